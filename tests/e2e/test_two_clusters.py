"""Two clusters at once: one takes what the other has no room for; one dies and comes back, and nothing is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import programs
from tests.support import site_account
from tests.support.controlplane import ControlPlane
from tests.support.databases import Databases
from tests.support.devcluster import DevCluster
from tests.support.stack import Stack, until

CAPACITY = {"cpu": "4", "memory": "16Gi", "pods": "50"}
SERVER = "kube-apiserver"
ADD = """
from django.utils import timezone
from accounts.models import User
from labs.models import Cluster, Instance, InstanceCluster, Quota
from labs.services.clusters import save_cluster
from labs.services.places import set_places
Quota.objects.update(cpu_millis=None, memory_mib=None, running=None)
admin, now = User.objects.get(email="admin@example.org"), timezone.now()
cloud = Cluster(slug="cloud", title="Cloud", connection="stored", lab_domain="cloud.localhost", lab_scheme="http")
save_cluster(cloud, actor=admin, now=now, pasted=open({path!r}).read())
place = InstanceCluster(cluster=cloud, rank=2)
set_places(Instance.objects.get(slug="physics-250"), changed=[place], removed=[], actor=admin, now=now)
"""
LAUNCH = """
from django.utils import timezone
from accounts.models import User
from labs.models import Instance
from labs.services.launch import launch
instance, actor = Instance.objects.get(slug="physics-250"), User.objects.get(email="member@example.org")
values = {{"name": {name!r}, "cpu": "1", "memory": "1024", "lifetime": "60"}}
lab = launch(actor=actor, instance=instance, template=instance.services.get(slug="jupyterlab"), values=values, now=timezone.now())
print(lab.cluster.slug)
"""
LABS = """
import json
from django.utils import timezone
from labs.models import Lab
print(json.dumps({lab.name: [lab.cluster.slug, lab.state, lab.is_ready, lab.is_unknown(timezone.now()), lab.owner_uid]
    for lab in Lab.objects.select_related("cluster")}))
"""
STOP = """
from django.utils import timezone
from labs.models import Lab
from labs.services.stopping import stop
lab = Lab.objects.select_related("instance", "owner").get(name={name!r})
stop(lab, actor=lab.owner, now=timezone.now())
"""
CLUSTERS = """
import json
from labs.models import Cluster
print(json.dumps({row.slug: [row.problem, hasattr(row, "snapshot"), row.version] for row in Cluster.objects.all()}))
"""


@dataclass
class Two:
    """A site on two clusters of 4 CPUs each: "laptop" first, "cloud" by a kubeconfig that is kept encrypted."""

    stack: Stack
    cloud: DevCluster | ControlPlane

    def kill_first(self) -> None:
        if self.stack.plane:
            self.stack.plane.kill(SERVER)
        else:
            self.stack.kill("cluster")

    def start_first(self) -> None:
        if self.stack.plane:
            self.stack.plane.restart(SERVER)
        else:
            self.stack.start_one("cluster")

    def launch(self, name: str) -> str:
        return self.stack.shell(LAUNCH.format(name=name))

    def labs(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = json.loads(self.stack.shell(LABS))
        return found

    def clusters(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = json.loads(self.stack.shell(CLUSTERS))
        return found


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.k8s)])
def two(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[Two]:
    plane: ControlPlane | None = None
    cloud: DevCluster | ControlPlane
    if request.param == "real":
        if why := programs.missing():
            pytest.skip(why)
        plane = ControlPlane.start(tmp_path / "first")
        cloud = ControlPlane.start(tmp_path / "cloud")
        cloud.attach_kubelet(hollow=True, capacity=CAPACITY)
        (tmp_path / "accounts").mkdir()
        pasted = site_account.make(cloud.kubeconfig, tmp_path / "accounts")
    else:
        cloud = DevCluster.start(tmp_path / "cloud", ("up",), True, CAPACITY, ["--ingress-port", "0"])
        pasted = cloud.kubeconfig
    url = databases.sqlite(tmp_path / "site.sqlite3", demo=True)
    stack = Stack(tmp_path / "stack", database_url=url, hollow=True, capacity=CAPACITY, plane=plane)
    try:
        stack.start()
        stack.shell(ADD.format(path=str(pasted)))
        yield Two(stack, cloud)
    finally:
        stack.stop()
        cloud.stop()
        if plane:
            plane.stop()


@pytest.mark.slow
def test_one_of_two_clusters_dies_and_comes_back_and_nothing_is_lost(two: Two) -> None:
    until(lambda: all(known for _, known, _ in two.clusters().values()), 90, "the machines of both are known", every=2)
    where = [two.launch(f"lab-{number}") for number in range(6)]
    assert where == ["laptop"] * 4 + ["cloud"] * 2, "what does not fit on the first goes to the second"
    until(lambda: all(lab[1:3] == ["running", True] for lab in two.labs().values()), 60, "all six run", every=2)
    before = two.labs()

    two.kill_first()
    killed = time.monotonic()
    until(lambda: two.clusters()["laptop"][0], 30, "the silence is noticed", every=1)
    noticed = time.monotonic() - killed
    assert two.launch("while-down") == "cloud", "no launch goes to a cluster that is down"
    two.stack.shell(STOP.format(name="lab-3"))
    labs = two.labs()
    assert {name for name, lab in labs.items() if lab[3]} == {f"lab-{number}" for number in range(4)}, (
        "unknown, and no others"
    )
    assert {name: lab[1] for name, lab in labs.items() if lab[0] == "laptop"} == {
        "lab-0": "running", "lab-1": "running", "lab-2": "running", "lab-3": "stopping",
    }  # fmt: skip
    until(lambda: two.labs()["while-down"][1] == "running", 30, "work on the other cluster is not held up", every=1)

    two.start_first()
    back = time.monotonic()
    until(lambda: two.labs()["lab-3"][1] == "ended", 60, "what was stopped meanwhile has ended", every=1)
    until(lambda: not any(lab[3] for lab in two.labs().values()), 60, "nothing is unknown any more", every=1)
    took = time.monotonic() - back
    after = two.labs()
    assert [after[f"lab-{number}"] for number in range(3)] == [before[f"lab-{number}"] for number in range(3)]
    until(lambda: two.launch(f"again-{time.monotonic_ns()}") == "laptop", 60, "launches go there again", every=2)
    print(f"silence noticed after {noticed:.1f} s; true again {took:.1f} s after it was back")
    assert took < 60
