"""The queue as in production: a real qcluster, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow]

LAUNCH = """
from django.utils import timezone
from accounts.models import User
from labs.models import Instance, Quota
from labs.services.launch import launch
instance = Instance.objects.get(slug="physics-250")
Quota.objects.filter(instance=instance).update(cpu_millis=None, memory_mib=None, running=None)
for number in range(20):
    launch(actor=User.objects.get(email="member@example.org"), instance=instance, template=instance.services.get(),
        values={"name": f"queue-{number}", "cpu": "0.25", "memory": "512", "lifetime": "60"}, now=timezone.now())
"""
STATES = "from labs.models import Workload; print(sorted(set(Workload.objects.values_list('state', flat=True))))"
STOP = """
from django.utils import timezone
from accounts.models import User
from labs.models import Workload
from labs.services.stopping import stop
for row in Workload.objects.live().select_related("instance", "owner"):
    stop(row, actor=User.objects.get(email="member@example.org"), now=timezone.now())
"""
LEFT = "from django_q.models import OrmQ, Failure; print(OrmQ.objects.count(), Failure.objects.count())"


@pytest.fixture
def site(demo_on_postgres: str, tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(
        tmp_path / "stack",
        database_url=demo_on_postgres,
        hollow=True,
        capacity={"cpu": "400", "memory": "800Gi", "pods": "1000"},
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def test_launches_and_stops_go_through_the_queue_though_its_worker_is_killed(site: Stack) -> None:
    site.shell(LAUNCH)
    site.kill("worker")
    site.start_one("worker")
    until(lambda: site.shell(STATES) == "['running']", 90, "all labs run", every=1.0)
    site.shell(STOP)
    until(lambda: site.shell(STATES) == "['ended']", 90, "all labs have ended", every=1.0)
    until(lambda: site.shell(LEFT) == "0 0", 90, "the queue is empty and nothing in it failed", every=1.0)
