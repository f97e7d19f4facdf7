"""Several watchers: one leads on each cluster, and another follows when it is killed, hangs or is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.postgres import Postgres, binaries
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow, pytest.mark.alone]

LAUNCH = """
from django.utils import timezone
from accounts.models import User
from labs.models import Instance, Quota
from labs.services.launch import launch
instance = Instance.objects.get(slug="physics-250")
Quota.objects.filter(instance=instance).update(cpu_millis=None, memory_mib=None, running=None)
for name in "{names}".split():
    launch(actor=User.objects.get(email="member@example.org"), instance=instance, template=instance.services.get(),
        values={{"name": name, "cpu": "0.25", "memory": "512", "lifetime": "60"}}, now=timezone.now())
"""
STATES = "from labs.models import Workload; print(sorted(set(Workload.objects.values_list('state', 'is_ready'))))"
RUNNING = "[('running', True)]"
ELSEWHERE = """
from labs.models import Cluster
cluster = Cluster.objects.get()
cluster.kubeconfig_file = "elsewhere"
cluster.save()
Cluster.objects.create(slug="silent", title="Silent", connection="file", kubeconfig_file="silent", lab_domain="silent.test")
"""


@pytest.fixture(scope="module")
def postgres_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A data base server that may be stopped."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="mlsite-postgres-"))
    folder.chmod(0o755)
    server = Postgres(folder / "server")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watchers")


@pytest.fixture(scope="module")
def whole_site(postgres_of_its_own: Postgres, databases: Databases, folder: Path) -> Iterator[Stack]:
    stack = Stack(
        folder / "stack",
        database_url=databases.postgres_on(postgres_of_its_own, demo=True),
        hollow=True,
        capacity={"cpu": "400", "memory": "800Gi", "pods": "1000"},
    )
    stack.env["KUBECONFIG_FILES"] = f"elsewhere:{folder / 'elsewhere'},silent:{folder / 'nothing'}"
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def site(whole_site: Stack) -> Stack:
    """With two watchers, whatever another test has done to them."""
    for name in ("watcher", "watcher-2"):
        if name not in whole_site.running:
            whole_site.start_one(name)
    return whole_site


def holder(stack: Stack) -> str:
    """Whose the lease is; its name holds the process id."""
    leases = stack.client().list("Lease", "mlsite").items
    return str(leases[0]["spec"].get("holderIdentity", "")) if leases else ""


def leader(stack: Stack) -> str:
    """The watcher that leads: "watcher", "watcher-2" ...; empty: none of those that run."""
    held = holder(stack)
    return next((name for name, process in stack.running.items() if f"-{process.pid}-" in held), "")


def test_another_watcher_follows_one_that_is_killed_or_hangs_or_is_stopped(site: Stack) -> None:
    first = until(lambda: leader(site), 30, "one watcher leads")
    site.kill(first)
    begun = time.monotonic()
    second = until(lambda: leader(site), 15, "the other follows within 15 s")
    print(f"killed: followed after {time.monotonic() - begun:.1f} s")
    site.start_one(first)
    site.shell(LAUNCH.format(names="after-kill"))
    until(lambda: site.shell(STATES) == RUNNING, 30, "what happens is seen by the one that follows")

    hung = site.running[second]
    os.kill(hung.pid, signal.SIGSTOP)
    begun = time.monotonic()
    third = until(lambda: leader(site) != second and leader(site), 15, "another follows within 15 s")
    print(f"hung: followed after {time.monotonic() - begun:.1f} s")
    os.kill(hung.pid, signal.SIGCONT)
    until(lambda: "leads no more" in site.log(second), 15, "the one that hung has noticed")
    assert leader(site) == third

    begun = time.monotonic()
    site.stop_one(third)
    until(lambda: leader(site), 5, "the other follows at once")
    print(f"stopped: followed after {time.monotonic() - begun:.1f} s")
    site.shell(LAUNCH.format(names="after-stop"))
    until(lambda: site.shell(STATES) == RUNNING, 30, "what happens is seen")


def test_watchers_outlive_the_data_base_and_follow_a_cluster_to_another_connection(
    site: Stack, postgres_of_its_own: Postgres, folder: Path
) -> None:
    until(lambda: leader(site), 30, "one watcher leads")
    site.shell(LAUNCH.format(names="one two three"))
    postgres_of_its_own.stop()
    site.kill("worker")
    time.sleep(5)  # what the pods do meanwhile is told to nobody
    postgres_of_its_own.start()
    site.start_one("worker")
    begun = time.monotonic()
    until(lambda: site.shell(STATES) == RUNNING, 60, "all is true again", every=1.0)
    print(f"true again {time.monotonic() - begun:.1f} s after the data base was back")
    assert all(site.running[name].poll() is None for name in ("watcher", "watcher-2"))

    before = holder(site)
    copy = shutil.copy(site.kubeconfig, folder / "elsewhere")
    site.shell(ELSEWHERE)
    until(
        lambda: site.log(leader(site) or "watcher").count(" leads by ") >= 2 or holder(site) != before,
        20,
        "watched anew",
    )
    site.shell(LAUNCH.format(names="four"))  # a cluster that is not responding keeps nothing from its turn
    until(lambda: site.shell(STATES) == RUNNING, 30, "all run", every=1.0)
    copy.unlink()
    site.shell(
        "from labs.models import Cluster; Cluster.objects.exclude(slug='silent').update(kubeconfig_file='laptop')"
    )
    site.shell("from labs.models import Cluster; Cluster.objects.get(slug='silent').delete()")
    site.shell(LAUNCH.format(names="five"))
    until(lambda: site.shell(STATES) == RUNNING, 30, "all run", every=1.0)
