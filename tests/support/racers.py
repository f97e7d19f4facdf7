"""Programs that do something at the same moment: started once for a site, and held at a barrier before each race.

`python -m tests.support.racers` reads {"call", "turns"}, a line of JSON. `call` ("module:function") is called for each turn's
arguments in a thread of its own and returns what is then to be done. "ready" is answered when all threads have come so far.
The next line lets them go; what became of each is answered: ["value", ...], ["refusal", its code] or ["error", its text].
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

from tests.support.site import ROOT

#: Seconds for all threads of a program to be ready. Far longer than it takes, also on a busy machine.
DEADLINE = 120.0


class Racers:
    """So many programs of one site. Use as a context manager."""

    def __init__(self, env: dict[str, str], programs: int) -> None:
        command = [sys.executable, "-m", "tests.support.racers"]
        self._programs = [
            subprocess.Popen(command, env=env, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(programs)
        ]

    def race(self, call: str, turns: Iterable[tuple[Any, ...]]) -> list[Any]:
        """What became of each turn, in no order: what it returned, the code of its Refusal, or the text of its error.

        The turns are shared among the programs. None begins before all are ready, however busy the machine is.
        """
        return [outcome for _, outcome in self._race(call, list(turns))]

    def run(self, call: str, *arguments: Any) -> Any:
        """What one turn returned, alone: for what comes before a race and after it."""
        ((kind, outcome),) = self._race(call, [arguments])
        assert kind == "value", outcome
        return outcome

    def _race(self, call: str, turns: list[tuple[Any, ...]]) -> list[tuple[str, Any]]:
        count = min(len(turns), len(self._programs))
        programs = self._programs[:count]
        for number, program in enumerate(programs):
            _say(program, {"call": call, "turns": turns[number::count]})
        for program in programs:
            assert _hear(program) == "ready"
        for program in programs:
            _say(program, "go")
        return [tuple(outcome) for program in programs for outcome in _hear(program)]

    def close(self) -> None:
        """End them."""
        for program in self._programs:
            with contextlib.suppress(OSError):
                program.communicate(timeout=10)  # closes their input, which ends them
        for program in self._programs:
            if program.poll() is None:
                program.kill()
                program.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _say(program: subprocess.Popen[str], word: Any) -> None:
    assert program.stdin
    program.stdin.write(json.dumps(word) + "\n")
    program.stdin.flush()


def _hear(program: subprocess.Popen[str]) -> Any:
    assert program.stdout
    line = program.stdout.readline()
    assert line, f"a racer has ended with {program.wait(10)}"
    return json.loads(line)


def main() -> None:
    """One of the programs: until the end of the input."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
    django.setup()
    answers, sys.stdout = sys.stdout, sys.stderr  # What a turn prints is no answer.
    for line in sys.stdin:
        asked = json.loads(line)
        module, _, name = asked["call"].partition(":")
        call = getattr(importlib.import_module(module), name)
        heat = Heat(call, asked["turns"])
        answers.write('"ready"\n')
        answers.flush()
        sys.stdin.readline()
        answers.write(json.dumps(heat.run()) + "\n")
        answers.flush()


class Heat:
    """The turns of one program in one race; made when all of its threads stand at the barrier."""

    def __init__(self, call: Callable[..., Callable[[], Any]], turns: list[list[Any]]) -> None:
        self._call, self._go = call, threading.Event()
        self._ready = threading.Barrier(len(turns) + 1)
        self._outcomes: list[tuple[str, Any]] = []
        self._threads = [threading.Thread(target=self._one, args=(turn,)) for turn in turns]
        for thread in self._threads:
            thread.start()
        self._ready.wait(DEADLINE)

    def run(self) -> list[tuple[str, Any]]:
        """Let them go; what became of each."""
        self._go.set()
        for thread in self._threads:
            thread.join()
        return self._outcomes

    def _one(self, turn: list[Any]) -> None:
        from django.db import connection

        from labs.errors import Refusal

        try:
            connection.ensure_connection()
            act = self._call(*turn)
            self._ready.wait(DEADLINE)
            self._go.wait()
            self._outcomes.append(("value", act()))
        except Refusal as refusal:
            self._outcomes.append(("refusal", refusal.code))
        except Exception as error:
            self._ready.abort()
            self._outcomes.append(("error", f"{type(error).__name__}: {error}"))
        finally:
            connection.close()


if __name__ == "__main__":
    main()
