"""How fast labs start and end, and what that costs: `make bench` or `python -m bench.launches [labs]`.

The whole site runs as on a laptop, on a node that only pretends to run pods (ready two seconds after they are placed), so that
what is measured is the site and not JupyterLab. Prints its conditions first. Nothing of this is a test.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.postgres import Postgres, binaries
from tests.support.stack import Stack, until

LAUNCH = """
import time
from django.utils import timezone
from accounts.models import User
from labs.models import Instance, Quota
from labs.services.launch import launch
instance = Instance.objects.get(slug="physics-250")
Quota.objects.filter(instance=instance).update(cpu_millis=None, memory_mib=None, running=None)
actor, template = User.objects.get(email="member@example.org"), instance.services.get(slug="jupyterlab")
begun = time.perf_counter()
for number in range({count}):
    launch(actor=actor, instance=instance, template=template, now=timezone.now(),
        values={{"name": f"bench-{{number}}", "cpu": "0.25", "memory": "512", "lifetime": "60"}})
print((time.perf_counter() - begun) / {count} * 1000)
"""
STOP = """
from django.utils import timezone
from accounts.models import User
from labs.models import Workload
from labs.services.stopping import stop
actor = User.objects.get(email="member@example.org")
for row in Workload.objects.live().select_related("instance", "owner"):
    stop(row, actor=actor, now=timezone.now())
"""
COUNT = "from labs.models import Workload; print(Workload.objects.filter(state='{state}').count())"
TIMES = """
from labs.models import Workload
for created, started in Workload.objects.values_list("created_at", "started_at"):
    print((started - created).total_seconds())
"""


def main(count: int) -> None:
    with tempfile.TemporaryDirectory(prefix="mlsite-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = Postgres(folder / "postgres") if binaries() else None
        stack = Stack(
            folder / "stack",
            database_url=postgres.url("bench") if postgres else "",
            hollow=True,
            capacity={"cpu": "4000", "memory": "8000Gi", "pods": "20000"},
        )
        try:
            stack.start()
            print(f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}")
            print(
                f"{'PostgreSQL' if postgres else 'SQLite'}, embedded cluster with a hollow node (ready 2.0 s after placing), 2 workers"
            )
            measure(stack, count)
        finally:
            stack.stop()
            if postgres:
                postgres.stop()


def measure(stack: Stack, count: int) -> None:
    cluster = stack.cluster
    assert cluster
    until(
        lambda: "ml-physics-250" in [item["metadata"]["name"] for item in stack.client().list("Namespace").items],
        60,
        "the namespace",
    )
    time.sleep(10)  # the programs have started, and the instances are made
    cluster.forget_calls()
    each = float(stack.shell(LAUNCH.format(count=count)).splitlines()[-1])
    until(lambda: stack.shell(COUNT.format(state="running")) == str(count), 600, "all run", every=0.5)
    time.sleep(3)
    calls = cluster.calls("mlsite")
    waited = sorted(map(float, stack.shell(TIMES).splitlines()))
    print(f"{count} launches one after the other: {each:.1f} ms each in the site")
    p50, p99 = statistics.median(waited), waited[int(0.99 * (len(waited) - 1))]
    print(f"request to running: p50 {p50:.1f} s, p99 {p99:.1f} s, of which 2.0 s the node")
    print(
        f"calls to the API server a launch: {sum(n for (verb, _), n in calls.items() if verb == 'apply') / count:.2f}"
    )
    cluster.forget_calls()
    time.sleep(60)
    print(f"calls in a minute with {count} labs running: {sum(cluster.calls('mlsite').values())}")
    cluster.forget_calls()
    begun = time.monotonic()
    stack.shell(STOP)
    until(lambda: stack.shell(COUNT.format(state="ended")) == str(count), 600, "all have ended", every=0.5)
    print(f"all stopped and gone after {time.monotonic() - begun:.1f} s")
    deletes = sum(n for (verb, _), n in cluster.calls("mlsite").items() if verb == "delete")
    print(f"calls a stop: {deletes / count:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
