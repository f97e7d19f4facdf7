"""One run of a container: the folder that its shim writes to."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .spec import now

Object = dict[str, Any]
_SHIM = Path(__file__).resolve().parents[1] / "shim.py"
_POLL = 0.1
_START = 30.0
_children: list[subprocess.Popen[bytes]] = []


def shim(*args: str) -> list[str]:
    """The command line of a shim; without site packages, because each container pays for its start."""
    return [sys.executable, "-S", "-E", str(_SHIM), *args]


class StartError(Exception):
    """The command could not be run; the message is in a container runtime's words."""


class Process:
    """A run of a container, whether this kubelet started it or one before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def log(self) -> Path:
        """The log file; what was rotated away is beside it, with `.1` at the end."""
        return self.folder / "log"

    async def start(self, spec: Object) -> None:
        """Run argv, env, cwd and namespace of `spec`; returns when the command has been executed. Raises StartError."""
        self.folder.mkdir(parents=True, mode=0o700)
        path = self.folder / "spec.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({**spec, "log": str(self.log)}))
        with (self.folder / "shim.err").open("wb") as errors:
            child = subprocess.Popen(
                shim("run", str(self.folder)),
                env={},
                cwd="/",
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        _children.append(child)
        deadline = time.monotonic() + _START
        while not self._read("state.json") and child.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        error = self._read("error.json")
        if error:
            raise StartError(error["message"])
        if not self._read("state.json"):
            child.kill()
            raise StartError(
                (self.folder / "shim.err").read_text(errors="replace")[-500:] or "the container did not start"
            )

    @property
    def started(self) -> Object | None:
        """Process ids of `shim` and container (`pid`) and `startedAt`; None when it was never executed."""
        return self._read("state.json")

    @property
    def start_failure(self) -> Object | None:
        """Message and time of a start that failed."""
        return self._read("error.json")

    def alive(self) -> bool:
        """Whether the shim still runs. It holds a lock for its life, so a process id used anew is never taken for it."""
        try:
            with (self.folder / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def result(self) -> Object | None:
        """`exitCode`, `signal` and `finishedAt` when the run is over. A shim that was killed itself leaves 137."""
        found = self._read("exit.json")
        if not found and not self.alive():
            found = self._read("exit.json") or {"exitCode": 137, "signal": 9, "finishedAt": now(), "unknown": True}
        return found

    async def wait(self) -> Object:
        """The result, once there is one."""
        path, turn = str(self.folder / "exit.json"), 0
        # Looking for a file is cheap enough to do often for every container; asking for the lock is not.
        while not ((turn % 10 == 0 or os.path.exists(path)) and (found := self.result())):
            await asyncio.sleep(_POLL)
            turn += 1
            if turn % 10 == 0:
                reap()
        return found

    def mark(self, name: str) -> None:
        """Remember why the run is ended: the reason of its end (OOMKilled ...), or `stopped` with the kubelet."""
        (self.folder / "reason").write_text(name)

    @property
    def reason(self) -> str:
        """What was marked, or nothing."""
        path = self.folder / "reason"
        return path.read_text() if path.exists() else ""

    def terminate(self) -> None:
        """SIGTERM to the container's process group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to everything that descends from the container."""
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        state = self.started
        if state and self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(state["shim"], number)

    def _read(self, name: str) -> Object | None:
        try:
            found = json.loads((self.folder / name).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


async def end(processes: list[Process], grace: float) -> None:
    """SIGTERM, up to `grace` seconds of patience, SIGKILL; returns when all are gone (or after 10 s more)."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(process.alive() for process in processes):
        await asyncio.sleep(0.05)
        reap()
    for process in processes:
        process.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(process.alive() for process in processes):
        await asyncio.sleep(0.02)
        reap()


def reap() -> None:
    """Collect the exit status of our shims, so that none stays as a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]
