"""A program inside the site that runs what a test gives it, one after the other: starting one for each takes seconds.

`python -m tests.support.prompt` reads {"code"} and answers {"printed"} or {"problem"}, a line of JSON each.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import traceback

from tests.support.site import ROOT


class Prompt:
    """Started with the settings of `env`; close it."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.prompt"], env=env, cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, code: str) -> str:
        """What it printed. Raises AssertionError with the traceback of what went wrong."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"code": code}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the site's prompt has ended with {self._process.wait(10)}"
        answer = json.loads(line)
        assert "problem" not in answer, answer["problem"]
        return str(answer["printed"]).strip()

    def close(self) -> None:
        """End it."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Until the end of the input."""
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
    django.setup()
    from django.db import connections

    answers = sys.stdout
    for line in sys.stdin:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(json.loads(line)["code"], {"__name__": "prompt"})
            answer = {"printed": printed.getvalue()}
        except Exception:
            answer = {"problem": traceback.format_exc()}
        finally:
            connections.close_all()  # The data base may go away between two of them.
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
