"""The whole site on a real control plane that fails under it: nothing is lost, doubled or left, and nothing foreign touched."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane import programs
from tests.e2e.test_watchers import leader
from tests.support import site_account
from tests.support.chaos import NAMESPACE, Foreign, Site, folder_of
from tests.support.controlplane import ControlPlane
from tests.support.databases import Databases
from tests.support.faulty import Faults, FaultyProxy
from tests.support.stack import NODE, Stack, until

pytestmark = [pytest.mark.k8s, pytest.mark.slow, pytest.mark.alone]
SEED = 7
WITHIN = 60.0  # seconds after which all is true again


@pytest.fixture(scope="module")
def site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two workers and two watchers with the site's own rights, on a control plane that may be broken, behind a proxy that fails."""
    if why := programs.missing():
        pytest.skip(why)
    folder, url = tmp_path_factory.mktemp("chaos"), databases.postgres(demo=True)
    with ControlPlane.start(folder / "plane") as plane:
        account = site_account.make(plane.kubeconfig, folder)
        with FaultyProxy(folder_of(folder, "proxy"), account, plane, SEED) as proxy:
            stack = Stack(
                folder / "stack", database_url=url, hollow=True, plane=plane, account=proxy.kubeconfig,
                capacity={"cpu": "400", "memory": "800Gi", "pods": "1000"},
            )  # fmt: skip
            try:
                stack.start()
                stack.start_one("worker-2")
                stack.start_one("watcher-2")
                until(lambda: leader(stack), 30, "a watcher leads")
                until(lambda: _has_namespace(plane), 30, "the course's namespace is there")
                site = Site(stack, plane, proxy, url)
                site.make_room()
                yield site
            finally:
                stack.stop()


def _has_namespace(plane: ControlPlane) -> bool:
    return NAMESPACE in [item["metadata"]["name"] for item in plane.client().list("Namespace").items]


def wait_until_true(site: Site, running: list[str]) -> float:
    """Seconds until rows and cluster say that these run and all others have ended. Fails with what is wrong after a minute."""
    begun, wrong = time.monotonic(), ["never asked"]
    while time.monotonic() - begun < WITHIN:
        wrong = site.untrue(running)
        if not wrong:
            return time.monotonic() - begun
        time.sleep(0.5)
    raise AssertionError(f"{len(wrong)} untrue after {WITHIN:g} s: {wrong[:12]}")


def end_all(site: Site) -> None:
    site.stop([row.name for row in site.rows().values() if row.state != "ended"])
    wait_until_true(site, [])


def test_nothing_is_lost_or_doubled_when_calls_fail_watches_are_cut_and_programs_and_the_api_server_are_killed(
    site: Site,
) -> None:
    chance = random.Random(SEED)
    first = [f"first-{number}" for number in range(20)]
    site.launch(first)
    wait_until_true(site, first)
    foreign, uids = Foreign(site.admin), site.pod_uids()

    site.proxy.faults = Faults(error_rate=0.1, latency_seconds=0.1, watch_seconds=5.0)
    second = [f"second-{number}" for number in range(20)]
    site.launch(second)
    site.stack.kill("worker")
    lost = leader(site.stack) or "watcher"
    site.stack.kill(lost)
    stopped = chance.sample(first, 5) + chance.sample(second, 5)
    site.stop(stopped)
    site.plane.kill("kube-apiserver")
    site.stack.start_one("worker")
    site.stack.start_one(lost)
    # While nothing answers: until that has been noticed launches are taken, and kept.
    third = site.try_to_launch([f"third-{number}" for number in range(5)])
    site.plane.restart("kube-apiserver")

    running = sorted({*first, *second, *third} - {*stopped})
    seconds = wait_until_true(site, running)
    print(
        f"true again {seconds:.1f} s after the API server, with the faults still on; made to fail: {dict(site.proxy.seen.failed)}"
    )
    assert not foreign.touched(site.admin)
    now = site.pod_uids()
    assert {name: now[name] for name in first if name in running} == {
        name: uids[name] for name in first if name in running
    }
    assert not _made_twice(site)
    site.proxy.faults = Faults()
    end_all(site)
    assert not foreign.touched(site.admin)


def _made_twice(site: Site) -> list[str]:
    """Pods that the site has made more than once."""
    calls = [
        call
        for call in site.plane.audit(site_account.USER)
        if call["verb"] in ("create", "patch") and call["responseStatus"]["code"] == 201
    ]
    made = Counter(call["objectRef"]["name"] for call in calls if call["objectRef"]["resource"] == "pods")
    return [name for name, count in made.items() if count > 1]


def test_a_cluster_that_was_set_back_to_a_backup_comes_to_be_as_the_rows_say(site: Site, tmp_path: Path) -> None:
    kept, gone, again = ([f"{word}-{number}" for number in range(10)] for word in ("kept", "gone", "again"))
    site.launch([*kept, *gone, *again])
    wait_until_true(site, [*kept, *gone, *again])
    foreign, uids = Foreign(site.admin), site.pod_uids()
    backup = site.plane.snapshot(tmp_path / "backup")

    # After the backup: some end, some are made anew with another Secret, some are launched.
    site.stop(gone)
    for secret in site.admin.list("Secret", NAMESPACE).items:
        if secret["metadata"]["name"].startswith("again-"):
            site.admin.delete("Secret", secret["metadata"]["name"], NAMESPACE)
    later = [f"later-{number}" for number in range(10)]
    site.launch(later)
    wait_until_true(site, [*kept, *again, *later])
    assert all(uid != uids[name] for name, uid in site.pod_uids().items() if name in again)

    site.plane.kill(NODE)  # as an operator does: nothing that remembers a later state goes on
    site.plane.restore(backup)
    begun = time.monotonic()
    site.plane.attach_kubelet(NODE, hollow=True, capacity=site.stack.capacity)
    seconds = wait_until_true(site, [*kept, *again, *later])
    print(f"true again {seconds:.1f} s after the cluster was set back ({time.monotonic() - begun:.1f} with the node)")
    now = site.pod_uids()
    assert {name: now[name] for name in [*kept, *again]} == {name: uids[name] for name in [*kept, *again]}
    assert not foreign.touched(site.admin)
    end_all(site)  # by the uids that the rows know now
    assert not foreign.touched(site.admin)
