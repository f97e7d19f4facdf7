"""A class starts at once, on a real control plane with a hollow node: `make bench-k8s` or `python -m bench.class_start`.

The whole site runs: launches go through its own service, queue, worker and watcher on PostgreSQL, under the rights of
k8s/site/rbac.yaml. Nodes only pretend to run pods (ready 2.0 s after binding; that is taken off), so that what is measured
is the site and the control plane and not JupyterLab. Prints its conditions first. Nothing of this is a test.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.controlplane.arguments import ENVIRONMENT
from tests.support import site_account
from tests.support.controlplane import ControlPlane
from tests.support.databases import fill
from tests.support.postgres import Postgres
from tests.support.site import ROOT, manage
from tests.support.stack import Stack, until

NODE_SECONDS = 2.0
THREADS = 8
SLUG = "physics-250"
PREPARE = """
from accounts.models import Membership, Role, Status, User
from labs.models import Instance, Quota
instance = Instance.objects.get(slug="physics-250")
for quota in Quota.objects.filter(instance=instance):
    quota.cpu_millis = quota.memory_mib = quota.running = None
    quota.save()
people = User.objects.bulk_create(User(email=f"bench-{number}@example.org", name="B") for number in range(200))
Membership.objects.bulk_create(
    Membership(user=one, instance=instance, role=Role.MEMBER, status=Status.APPROVED) for one in people)
"""
COUNT = "from labs.models import Workload; print(Workload.objects.filter(state='{state}').count())"
UNSETTLED = """
from django.db.models import F
from labs.models import Workload
print(Workload.objects.filter(observed_generation__lt=F("generation")).count())
"""
STARTED = """
from labs.models import Workload
for pk, started in Workload.objects.exclude(started_at=None).values_list("pk", "started_at"):
    print(pk, started.timestamp())
"""
STOP_ALL = """
from django.utils import timezone
from labs.models import Instance
from labs.services.stopping import stop_all
stop_all(Instance.objects.get(slug="physics-250"), now=timezone.now())
"""
ENDS = """
from labs.models import Workload
print(*Workload.objects.order_by().values_list("state", "end_reason").distinct())
"""


@dataclass
class Pages:
    """Somebody who looks at a page of the site all the time."""

    port: int
    worst: float = 0.0
    failed: int = 0
    count: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.wait(0.1):
            begun = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.request("GET", f"/i/{SLUG}/")
                response = connection.getresponse()
                response.read()
                self.failed += response.status != 200
            except OSError:
                self.failed += 1
            finally:
                connection.close()
            self.worst, self.count = max(self.worst, time.monotonic() - begun), self.count + 1


def main(runs: list[tuple[int, float]]) -> None:
    for number, (labs, seconds) in enumerate(runs):
        one_class(labs, seconds, is_first=number == 0)


def one_class(labs: int, seconds: float, *, is_first: bool) -> None:
    """On a site, a data base and a control plane of its own: a class does not bear what one before it has left."""
    with tempfile.TemporaryDirectory(prefix="mlsite-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = Postgres(folder / "postgres")
        plane = ControlPlane.start(folder / "plane")
        stack = None
        try:
            (folder / "account").mkdir()
            url = postgres.url("bench")
            fill(url, demo=False)
            fill(url, demo=True)
            stack = Stack(
                folder / "stack",
                database_url=url,
                hollow=True,
                capacity={"cpu": "4000", "memory": "8000Gi", "pods": "20000", "ephemeral-storage": "20000Gi"},
                plane=plane,
                account=site_account.make(plane.kubeconfig, folder / "account"),
                is_debug=False,
            )
            stack.start()
            if is_first:
                conditions(plane)
            manage("shell", "-v0", "-c", PREPARE, env=stack.env)
            until(
                lambda: plane.client().list("Namespace", fields=f"metadata.name=ml-{SLUG}").items, 60, "the namespace"
            )
            time.sleep(5)
            measure(stack, plane, postgres, labs, seconds)
        except BaseException:
            for log in (folder / "stack").glob("*.log"):
                print(f"--- {log.name}\n" + log.read_text(errors="replace")[-3000:], file=sys.stderr)
            raise
        finally:
            if stack:
                stack.stop()
            plane.stop()
            postgres.stop()


def conditions(plane: ControlPlane) -> None:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    print(f"{os.cpu_count()} cores for everything ({model.partition(': ')[2]}), {platform.platform()}")
    print(
        f"Python {platform.python_version()}, Kubernetes {plane.client().version()}, PostgreSQL, 2 workers, 1 watcher, 1 web process"
    )
    print(
        f"control plane as shipped (scheduler: 50 bindings/s), garbage collection at {ENVIRONMENT['GOGC']}%, etcd without fsync"
    )
    print(
        f"hollow node, ready {NODE_SECONDS} s after binding (taken off), no ingress; the course has no limits; "
        f"launches by {THREADS} threads of one process\n"
    )


def measure(stack: Stack, plane: ControlPlane, postgres: Postgres, labs: int, seconds: float) -> None:
    """One class: start, a minute of rest, stop."""
    pages = Pages(stack.web_port)
    threading.Thread(target=pages.run, daemon=True).start()
    seen = len(plane.audit(site_account.USER))
    used = cpu_seconds(stack, plane, postgres)
    begun = time.monotonic()
    launches = launch(stack, labs, seconds)
    until(lambda: settled(stack, labs), 600, "all run", every=1.0)
    took = time.monotonic() - begun
    pages.stop.set()
    print(f"{labs} labs in {seconds:g} s" if seconds else f"{labs} labs at once")
    report_launches(stack, launches)
    print(f"  page of the course meanwhile: {pages.count} times, {pages.failed} failed, worst {pages.worst:.2f} s")
    report_cpu(used, cpu_seconds(stack, plane, postgres), took)
    # The last call of a launch, its pod's new end of time, comes half a minute after all have started.
    until(lambda: stack.shell(UNSETTLED) == "0", 300, "all is done", every=1.0)
    time.sleep(4)
    calls = plane.audit(site_account.USER)[seen:]
    changes = [
        call
        for call in calls
        if call["verb"] in ("create", "patch", "update", "delete", "deletecollection")
        and call["objectRef"]["resource"] != "leases"  # renewed whatever is launched
    ]
    print(f"  calls a launch: {len(changes) / labs:.2f}; pods made twice: {doubled(plane, labs)}")
    rest(stack, plane)
    end(stack, plane, postgres, labs)


def launch(stack: Stack, labs: int, seconds: float) -> list[tuple[str, float, float, str]]:
    command = [sys.executable, "-m", "bench.launcher", SLUG, str(labs), str(seconds), str(THREADS)]
    done = subprocess.run(command, env=stack.env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def settled(stack: Stack, labs: int) -> bool:
    return int(stack.shell(COUNT.format(state="running"))) >= labs


def report_launches(stack: Stack, launches: list[tuple[str, float, float, str]]) -> None:
    started = dict(line.split() for line in stack.shell(STARTED).splitlines())
    waited = sorted(float(started[key]) - asked - NODE_SECONDS for key, asked, _, _ in launches if key in started)
    refused = [refusal for *_, refusal in launches if refusal]
    service = sorted(took for _, _, took, _ in launches)
    print(
        f"  request to running: p50 {at(waited, 0.5):.1f} s, p99 {at(waited, 0.99):.1f} s, longest {waited[-1]:.1f} s"
    )
    print(
        f"  the launch itself: p50 {at(service, 0.5) * 1000:.0f} ms, p99 {at(service, 0.99) * 1000:.0f} ms; refused: {len(refused)}"
    )
    if refused:
        print(f"  {refused[0]}")


def at(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def doubled(plane: ControlPlane, labs: int) -> int:
    return len(plane.client().list("Pod", f"ml-{SLUG}", metadata_only=True).items) - labs


def rest(stack: Stack, plane: ControlPlane, seconds: float = 60.0) -> None:
    """What it costs that they run."""
    seen = len(plane.audit(site_account.USER))
    time.sleep(seconds)
    calls = plane.audit(site_account.USER)[seen:]
    watcher = Path(f"/proc/{stack.running['watcher'].pid}/status").read_text().splitlines()
    now, peak = (
        int(line.split()[1]) / 1024 for key in ("VmRSS:", "VmHWM:") for line in watcher if line.startswith(key)
    )
    print(f"  a minute of rest: {len(calls)} calls; the watcher has {now:.0f} MiB, at most {peak:.0f} MiB")


def end(stack: Stack, plane: ControlPlane, postgres: Postgres, labs: int) -> None:
    seen = len(plane.audit(site_account.USER))
    used = cpu_seconds(stack, plane, postgres)
    begun = time.monotonic()
    stack.shell(STOP_ALL)
    until(lambda: int(stack.shell(COUNT.format(state="ended"))) >= labs, 600, "all have ended", every=0.5)
    took = time.monotonic() - begun
    spent = cpu_seconds(stack, plane, postgres)
    deadline = time.monotonic() + 120
    while plane.client().list("Pod", f"ml-{SLUG}", metadata_only=True).items and time.monotonic() < deadline:
        time.sleep(0.5)
    calls = [call for call in plane.audit(site_account.USER)[seen:] if call["verb"] in ("delete", "deletecollection")]
    print(f"  all stopped: ended after {took:.1f} s, calls a stop {len(calls) / labs:.2f}; {stack.shell(ENDS)}")
    report_cpu(used, spent, took)
    print(flush=True)


def report_cpu(before: dict[str, float], after: dict[str, float], took: float) -> None:
    spent = ", ".join(f"{name} {value - before.get(name, 0.0):.1f}" for name, value in after.items())
    print(f"  CPU seconds: {spent}; in {took:.1f} s")


def cpu_seconds(stack: Stack, plane: ControlPlane, postgres: Postgres) -> dict[str, float]:
    """User and system time so far, by program, its children included; and what the machine had left."""
    programs = {name: psutil.Process(process.pid) for name, process in stack.running.items()}
    programs |= {name: process for name in plane.processes.names() if (process := plane.processes.find(name))}
    programs["PostgreSQL"] = psutil.Process(postgres.server.pid)
    found = {}
    for name, process in programs.items():
        running = [process, *process.children(recursive=True)]
        # Those that have ended count for the one that started them.
        found[name] = sum(sum(one.cpu_times()[:2]) for one in running) + sum(process.cpu_times()[2:4])
    whole = psutil.cpu_times()
    return found | {
        "launches": sum(psutil.Process().cpu_times()[2:4]),
        "idle": whole.idle,
        "taken by others": whole.steal,
    }


if __name__ == "__main__":
    asked: list[Any] = [one.split(":") for one in sys.argv[1:]] or [("200", "10"), ("500", "0"), ("1000", "10")]
    main([(int(labs), float(seconds)) for labs, seconds in asked])
