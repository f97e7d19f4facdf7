"""Tries to sign in are counted together, whichever process of the site they come to."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.core.cache.backends.db import DatabaseCache
from django.test import Client

from mlsite import settings as site_settings
from tests.factories import PASSWORD, UserFactory
from tests.support import site


def knock(env: dict[str, str], address: str, times: int) -> int:
    """Try in a process of its own; how often it was told to wait."""
    command = [sys.executable, "-m", "tests.support.knocking", address, str(times)]
    done = subprocess.run(command, env=env, cwd=site.ROOT, timeout=120, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_the_limit_holds_across_processes(database_url: str) -> None:
    env = site.environment(database_url, LOG_LEVEL="ERROR")
    assert knock(env, "ada@example.org", 7) == 0
    assert knock(env, "ada@example.org", 7) == 4, "ten tries at one address in five minutes"
    assert knock(env, "ben@example.org", 1) == 0, "others are not kept out"


def test_tries_from_many_addresses_make_no_other_count_forgotten() -> None:
    cache = DatabaseCache("a_table", site_settings.CACHES["default"])
    assert cache._max_entries == 100_000


@pytest.mark.django_db
def test_who_signs_in_rightly_is_not_counted() -> None:
    user = UserFactory()
    for _ in range(12):
        assert Client().post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302


@pytest.mark.django_db
def test_behind_a_proxy_the_address_that_it_saw_is_counted(settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    settings.ACCOUNT_RATE_LIMITS = {"login": "3/m/ip"}

    def tried(seen: str, claimed: str) -> int:
        forwarded = f"{claimed}, {seen}"
        return Client().post("/accounts/login/", headers={"x-forwarded-for": forwarded}).status_code

    assert [tried("192.0.2.1", f"198.51.100.{n}") for n in range(4)] == [200, 200, 200, 429]
    assert tried("192.0.2.2", "198.51.100.1") == 200


@pytest.mark.django_db
def test_nobody_uses_up_the_tries_of_somebody_who_comes_from_elsewhere(settings: Any) -> None:
    user = UserFactory()
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "3/5m/key", "login_failed_in_all": "7/h/key"}

    def told_to_wait(network: str, password: str = "wrong") -> bool:
        answer = Client(REMOTE_ADDR=network).post("/accounts/login/", {"login": user.email, "password": password})
        return "Too many attempts" in answer.text

    assert [told_to_wait("192.0.2.1") for _ in range(4)] == [False, False, False, True]
    assert not told_to_wait("192.0.2.2", PASSWORD)
    # Many networks together guess no faster than the total allows.
    tries = [told_to_wait(f"198.51.100.{number}") for number in range(6)]
    assert tries == [False] * 4 + [True] * 2
