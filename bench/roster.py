"""A roster of 10,000 lines is uploaded, looked at, confirmed, and imported again: `make bench-roster` or `python -m bench.roster`.

On PostgreSQL and on SQLite, each size in a process of its own, so that its memory is its own. Prints its conditions first.
Nothing of this is a test. `python -m bench.roster 1000 10000`: other sizes; 3,000 of the people have accounts already.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.postgres import Postgres, binaries
from tests.support.site import ROOT, environment, prepare

SIZES = (1_000, 10_000, 20_000)
ACCOUNTS = 3_000
CLASS = 200


def main(sizes: list[int]) -> None:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    print(
        f"{os.cpu_count()} cores ({model.partition(': ')[2]}), {platform.platform()}, Python {platform.python_version()}"
    )
    print("one process does all; an owner's file in CSV with e-mail, name, section, role, cpu, and two notes\n")
    with tempfile.TemporaryDirectory(prefix="mlsite-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Postgres(folder / "postgres") if binaries() else None
        try:
            for lines in sizes:
                if server:
                    _print("PostgreSQL", lines, _run(server.url(f"bench_{lines}"), lines))
                _print("SQLite", lines, _run(f"sqlite:///{folder}/{lines}.sqlite3", lines))
        finally:
            if server:
                server.stop()


def _run(database_url: str, lines: int) -> list[dict[str, Any]]:
    env = environment(database_url)
    prepare(env)
    done = subprocess.run(
        [sys.executable, "-m", "bench.roster", "--one", str(lines)], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _print(where: str, lines: int, steps: list[dict[str, Any]]) -> None:
    print(f"{lines:,} lines, {where}")
    for step in steps:
        print(
            f"  {step['what']:<28} {step['seconds']:6.1f} s ({step['cpu']:.1f} s of CPU)  {step['queries']:5} queries  "
            f"peak {step['peak']:4.0f} MiB (+{step['grown']:.0f})"
        )


def one(lines: int) -> None:
    """The steps of one size, on an empty data base; a line of JSON for each."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from accounts.models import Role, User
    from accounts.services import invitations, membership, people
    from accounts.services.roster import uploads
    from labs.models import Instance

    settings.ROSTER_MAX_LINES, now = max(lines, settings.ROSTER_MAX_LINES), timezone.now()
    instance = Instance.objects.create(slug="bench", title="Bench")
    owner = User.objects.create_user("owner@example.org")
    membership.add(user=owner, instance=instance, role=Role.OWNER, actor=None, now=now)
    _accounts(min(ACCOUNTS, lines))
    content = _file(lines)
    _step("nothing", lambda: None)
    told: dict[str, Any] = {"instance": instance, "actor": owner, "now": now}

    def keep(**more: Any) -> Any:
        """As it comes of the page and, where the list is large, of the worker."""
        upload = uploads.keep(content=content, file_name="list.csv", **more, **told)
        uploads.work_off(upload.pk, now=now)
        return upload

    upload = _step("upload and preview", keep)
    _step("confirm", lambda: uploads.confirm(upload.pk, **told))
    again = _step("the same file again", lambda: keep(suspend_missing=True))
    _step("confirm: changes nothing", lambda: uploads.confirm(again.pk, **told))
    _step("page of the people", lambda: people.page(instance, people.Wish(search="person"), start=0, size=50))
    _step("invite all", lambda: invitations.invite(**told))
    _step(f"labs for {CLASS} members", _class(owner, now))


def _class(owner: Any, now: Any) -> Any:
    """Start a lab for each member of a class: what the worker does, up to where the cluster comes in."""
    from accounts.models import Membership, Role, Status, User
    from labs.models import Cluster, Instance, ServiceTemplate
    from labs.services import classes

    instance = Instance.objects.create(slug="class", title="Class")
    instance.places.create(cluster=Cluster.objects.create(slug="bench", title="Bench", lab_domain="bench.example.org"))
    template = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    instance.services.set([template])
    people = [(owner, Role.OWNER), *((user, Role.MEMBER) for user in User.objects.exclude(pk=owner.pk)[:CLASS])]
    Membership.objects.bulk_create(
        Membership(instance=instance, user=user, role=role, status=Status.APPROVED) for user, role in people
    )
    saved = classes.save_launch(
        instance=instance, template=template, title="Week 3", actor=owner, now=now,
        values={"cpu": "0.5", "memory": "1024", "lifetime": "60"},
    )  # fmt: skip

    def work() -> None:
        run = classes.start(saved, section="", wait=True, actor=owner, now=now)
        while classes.work_off(run.pk):
            pass

    return work


def _accounts(count: int) -> None:
    from allauth.account.models import EmailAddress

    from accounts.models import User

    users = User.objects.bulk_create(
        (User(email=f"person{n}@uni.example", name=f"P {n}") for n in range(count)), batch_size=1000
    )
    EmailAddress.objects.bulk_create(
        (EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in users), batch_size=1000
    )


def _file(lines: int) -> bytes:
    rows = (
        f"Person{n}@UNI.example;Person Number {n};{'ABCDEFGH'[n % 8]};member;{n % 4 or ''};{100000 + n};Physics\n"
        for n in range(lines)
    )
    return ("\ufeffE-Mail;Name;Section;Role;CPU;Student number;Programme\n" + "".join(rows)).encode()


def _step(what: str, work: Any) -> Any:
    """Time, statements sent, and the peak of the process's memory so far."""
    from django.db import connection

    count = 0

    def counted(execute: Any, *args: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*args)

    before, begun, used = _peak(), time.monotonic(), time.process_time()
    with connection.execute_wrapper(counted):
        made = work()
    seconds = time.monotonic() - begun
    cpu = time.process_time() - used
    print(
        json.dumps(
            {"what": what, "seconds": seconds, "cpu": cpu, "queries": count, "peak": _peak(), "grown": _peak() - before}
        )
    )
    return made


def _peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]))
    else:
        main([int(size) for size in sys.argv[1:]] or list(SIZES))
