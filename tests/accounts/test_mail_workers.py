"""Real workers: two at once send each mail once; one that is killed half-way loses none and doubles none."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests.support.databases import Databases, execute
from tests.support.mailgun import FakeMailgun, mailgun
from tests.support.racers import Racers
from tests.support.site import ROOT, environment

pytestmark = pytest.mark.slow
WHAT = "tests.support.races.mails"
#: Seconds. Far longer than it takes, also on a machine that is busy with other tests.
DEADLINE = 200


@pytest.fixture
def server() -> Iterator[FakeMailgun]:
    with mailgun() as server:
        yield server


class Site:
    """A data base with mails that wait, looked at and changed without the site's programs."""

    def __init__(self, url: str, server: FakeMailgun) -> None:
        self.url, self.env = url, environment(url, **server.environment)
        self._run("world")

    def _run(self, what: str) -> None:
        with Racers(self.env, programs=1) as site:
            site.run(f"{WHAT}:{what}")

    def ask(self) -> None:
        """Have a worker send what is due. The schedule, which comes to it in half a minute, is the last test's."""
        self._run("ask")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement, and give its rows."""
        return execute(self.url, statement)

    def only_one(self) -> None:
        """All mails but one are gone, and so is the task that would send it."""
        self.sql("DELETE FROM accounts_mail WHERE key <> 'race:0'")
        self.sql("DELETE FROM django_q_ormq")

    def state(self) -> tuple[Any, ...]:
        (row,) = self.sql("SELECT state, attempts, offered_at IS NOT NULL FROM accounts_mail")
        return (*row[:2], bool(row[2]))

    def later(self) -> None:
        """As if half an hour had gone by since the worker was lost, and its task with it."""
        long_ago = (timezone.now() - datetime.timedelta(minutes=40)).strftime("%Y-%m-%d %H:%M:%S+00")
        stamp = long_ago.removesuffix("+00") if self.url.startswith("sqlite") else long_ago
        self.sql(f"UPDATE accounts_mail SET due_at='{stamp}', claimed_until='{stamp}', offered_at='{stamp}'")
        self.sql("DELETE FROM django_q_ormq")

    def now(self) -> None:
        """The schedule's minute is over."""
        stamp = (timezone.now() - datetime.timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M:%S")
        self.sql(f"UPDATE django_q_schedule SET next_run='{stamp}' WHERE name='mails'")


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
    site = Site(database_url, server)
    with Racers(site.env, programs=3) as racers:
        sent = racers.race(f"{WHAT}:deliver", [()] * 3)
    assert sum(sent) == 40
    assert set(Counter(server.recipients()).values()) == {1}
    assert len(server.accepted) == 40


@pytest.mark.parametrize("step", ["taken-hang", "hang"])
def test_a_worker_killed_with_the_mail_in_its_hands_loses_and_doubles_nothing(
    postgres: Databases, server: FakeMailgun, step: str
) -> None:
    """Mailgun is asked, and only what it does not have is sent again."""
    site = Site(postgres.postgres(), server)
    site.only_one()
    site.ask()
    server.plan.append(step)
    with worker(site.env) as first:
        assert server.arrived.acquire(timeout=DEADLINE)
        kill(first)
    server.release()
    assert site.state() == ("waiting", 1, True)
    site.later()
    site.ask()
    with worker(site.env):
        until(lambda: site.state()[0] == "sent")
    assert len(server.asked) == 1
    assert len(server.accepted) == 1


def test_a_task_that_was_lost_is_made_up_for_by_the_schedule(
    databases: Databases, tmp_path: Path, server: FakeMailgun
) -> None:
    site = Site(databases.sqlite(tmp_path / "site.sqlite3"), server)
    site.only_one()
    site.now()
    with worker(site.env):
        until(lambda: site.state()[0] == "sent")
    assert len(server.accepted) == 1
