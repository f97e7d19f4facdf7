"""Real workers: two at once send each mail once; one that is killed half-way loses none and doubles none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.mailgun import FakeMailgun, mailgun
from tests.support.site import ROOT, environment, manage, prepare

#: Ends well before a worker on a busy machine would be called stuck.
DEADLINE = 90
MAIL = "from accounts.models import Mail; import datetime; from django.utils import timezone; now = timezone.now(); "
#: As if so much time had gone by since the worker was lost: the minutes of the deliverer are not waited for.
LATER = (
    MAIL + "mail = Mail.objects.get(); span = datetime.timedelta(minutes={minutes}); "
    "Mail.objects.update(due_at=mail.due_at - span, claimed_until=mail.claimed_until - span,"
    " offered_at=mail.offered_at and mail.offered_at - span)"
)
STATE = MAIL + "mail = Mail.objects.get(); print(mail.state, mail.attempts, bool(mail.offered_at))"
ONE = (
    "from tests.support.mail_race_setup import instance; from accounts.models import Mail;"
    " Mail.objects.exclude(key='race:0').delete()"
)
ASK = "from labs.services import queue; queue.send('accounts.tasks.send_mails')"


@pytest.fixture
def server() -> Iterator[FakeMailgun]:
    with mailgun() as server:
        yield server


def shell(code: str, env: dict[str, str]) -> str:
    return manage("shell", "-v0", "-c", code, env=env)


@contextmanager
def worker(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py qcluster` in a group of its own, ended with all that belongs to it."""
    program = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "qcluster"], env=env, cwd=ROOT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield program
    finally:
        kill(program)


def kill(program: subprocess.Popen[Any]) -> None:
    if program.poll() is None:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_workers_at_the_same_moment_send_each_mail_once(database_url: str, server: FakeMailgun) -> None:
    env = environment(database_url, **server.environment)
    prepare(env)
    shell("import tests.support.mail_race_setup", env)
    start = time.time() + 4
    code = (
        f"import time; from accounts.services.delivery import deliver_due; time.sleep(max(0, {start} - time.time()))\n"
        "print(sum(deliver_due() for _ in range(20)))"
    )
    command = [sys.executable, str(ROOT / "manage.py"), "shell", "-v0", "-c", code]
    racers = [subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sent = [int(racer.communicate(timeout=DEADLINE)[0]) for racer in racers]
    assert sum(sent) == 40
    assert set(Counter(server.recipients()).values()) == {1}
    assert len(server.accepted) == 40


@pytest.mark.parametrize("step", ["taken-hang", "hang"])
def test_a_worker_killed_with_the_mail_in_its_hands_loses_and_doubles_nothing(
    database_url: str, server: FakeMailgun, step: str
) -> None:
    """Mailgun is asked, and only what it does not have is sent again."""
    env = environment(database_url, **server.environment)
    prepare(env)
    shell(ONE, env)
    server.plan.append(step)
    with worker(env) as first:
        assert server.arrived.acquire(timeout=DEADLINE)
        kill(first)
    server.release()
    assert shell(STATE, env).split() == ["waiting", "1", "True"]
    shell(LATER.format(minutes=35), env)
    shell(ASK, env)
    with worker(env):
        until(lambda: shell(STATE, env).startswith("sent"))
    assert len(server.asked) == 1
    assert len(server.accepted) == 1


def test_a_task_that_was_lost_is_made_up_for_by_the_schedule(database_url: str, server: FakeMailgun) -> None:
    env = environment(database_url, **server.environment)
    prepare(env)
    shell(ONE, env)
    shell(
        "from django_q.models import OrmQ, Schedule; OrmQ.objects.all().delete()\n"
        "from django.utils import timezone; Schedule.objects.filter(name='mails').update(next_run=timezone.now())",
        env,
    )
    with worker(env):
        until(lambda: len(server.accepted) == 1)
        until(lambda: shell(STATE, env).startswith("sent"))
    assert len(server.accepted) == 1
