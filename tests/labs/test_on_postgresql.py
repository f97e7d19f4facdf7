"""What a database itself has to see to, on the kind that production has: its locks and triggers are not SQLite's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.databases import Databases
from tests.support.site import ROOT, environment

pytestmark = pytest.mark.slow

AGAIN = (
    "tests/labs/test_seal.py",
    "tests/labs/test_history.py",
    "tests/console/test_limits.py",
    "tests/console/test_decisions.py",
    "tests/security/test_input.py",
)


def test_history_limits_and_decisions_are_the_same_there(postgres: Databases) -> None:
    env = environment("", TEST_DATABASE_URL=postgres.postgres())
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *AGAIN]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
