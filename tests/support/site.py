"""The site's own programs, started by tests on a data base of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment(database_url: str, **more: str) -> dict[str, str]:
    """What the site's programs need, and nothing of this process's settings."""
    kept = {
        key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
    }
    return {**kept, "DEBUG": "on", "SECRET_KEY": "tests", "DATABASE_URL": database_url, "PYTHONPATH": str(ROOT), **more}


def manage(*args: str, env: dict[str, str], timeout: float = 120) -> str:
    """Run a management command to its end; returns what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *args],
        env=env,
        cwd=ROOT,
        timeout=timeout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"manage.py {' '.join(args)}: {done.stdout}{done.stderr}"
    return done.stdout


def prepare(env: dict[str, str]) -> None:
    """Tables of the site and of its cache."""
    manage("migrate", "-v0", env=env)
    manage("createcachetable", "-v0", env=env)
