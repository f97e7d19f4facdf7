"""Which processes a supervisor started, so that the next one can end them if it was killed. Standard library only."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

POLL = 0.1


def started(pid: int) -> str:
    """When a process began, in the system's own count; nothing when there is none. With the id it names a process for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field is the program's name in brackets, and may hold blanks and brackets itself.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def record(path: Path, pids: list[int]) -> None:
    """Remember these processes, each the leader of a group of its own."""
    path.write_text(json.dumps({pid: started(pid) for pid in pids}))


def end(path: Path, *, patience: float = 15.0) -> list[int]:
    """End the remembered processes that still run: SIGTERM, and after `patience` seconds SIGKILL. Returns their ids."""
    try:
        known = {int(pid): start for pid, start in json.loads(path.read_text()).items()}
    except (OSError, ValueError):
        return []

    def alive() -> list[int]:
        return [pid for pid, start in known.items() if start and started(pid) == start]

    found = alive()
    deadline = time.monotonic() + patience
    for pid in found:
        terminate(pid)
    while alive() and time.monotonic() < deadline:
        time.sleep(POLL)
    for pid in alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return found


def terminate(pid: int) -> None:
    """Ask a process to stop, and it alone: a queue whose workers are ended behind its back waits for them for ever."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
