"""Processes that outlive the program that started them: known by the id in a file, ended by it."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

_GRACE = 15.0  # seconds


class Processes:
    """The running programs of one folder. Their ids lie in its pids.json, their output in its log folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "pids.json"
        #: Those that this program has started itself, and must wait for.
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def _known(self) -> dict[str, tuple[int, float]]:
        """Id and start time of each: an id alone may have been given to another process since."""
        return json.loads(self._file.read_text()) if self._file.exists() else {}

    def _remember(self, known: dict[str, tuple[int, float]]) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(known))
        fresh.replace(self._file)

    def find(self, name: str) -> psutil.Process | None:
        """The process of this name if it runs."""
        pid, created = self._known().get(name, (-1, 0.0))
        child = self._children.get(pid)
        if pid <= 0 or (child and child.poll() is not None):
            return None
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def names(self) -> list[str]:
        """Those that were started and not ended, the last one first."""
        return list(reversed(self._known()))

    def log(self, name: str) -> Path:
        """Where its output goes."""
        return self._folder / "log" / f"{name}.log"

    def start(
        self, name: str, command: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Start it unless it runs. `env`: more of the environment."""
        if self.find(name):
            return
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                [str(word) for word in command],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it in order
            )
        self._children[child.pid] = child
        known = self._known()
        known.pop(name, None)
        with contextlib.suppress(psutil.Error):
            known[name] = (child.pid, psutil.Process(child.pid).create_time())
        self._remember(known)

    def end(self, name: str, sign: signal.Signals = signal.SIGTERM) -> None:
        """End it if it runs, and wait until it has gone; one that does not go within 15 seconds is killed."""
        process = self.find(name)
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(sign)
            if not self._gone(name, _GRACE):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
                self._gone(name, _GRACE)
            if child := self._children.pop(process.pid, None):
                child.wait()  # or it would stay as a zombie
        known = self._known()
        if known.pop(name, None):
            self._remember(known)

    def _gone(self, name: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.find(name) and time.monotonic() < end:
            time.sleep(0.02)
        return not self.find(name)

    def tail(self, name: str, characters: int = 2000) -> str:
        """The end of its output."""
        path = self.log(name)
        return path.read_text(errors="replace")[-characters:] if path.exists() else ""
