"""What a machine must offer before anything is installed or started. Standard library only."""

import errno
import fcntl
import importlib.util
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import IO


class Problem(Exception):
    """Why it cannot go on: one line, for the person at the terminal."""


def python() -> None:
    """Raises Problem when this Python cannot make virtual environments."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise Problem(f"{sys.executable} has no module {missing[0]}. On Debian and Ubuntu: apt install python3-venv")


def platform(kubeconfig: Path | None) -> None:
    """Raises Problem where the embedded cluster does not run and no other cluster is given."""
    if kubeconfig is not None:
        if not kubeconfig.is_file():
            raise Problem(f"There is no kubeconfig at {kubeconfig}.")
    elif sys.platform != "linux":
        raise Problem(
            "The embedded cluster needs Linux. On other systems, use a cluster: make run CLUSTER=path/to/kubeconfig"
        )


def folder(path: Path) -> None:
    """Make the folder, readable for its owner alone. Raises Problem when that or writing there is not allowed."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise Problem(f"Cannot write to {path}: {error.strerror}.") from None


def number(variable: str, text: str) -> int:
    """The number of a port, as it stands in make's variable. Raises Problem when it is none."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 65536):
        raise Problem(f"{variable}={text} is not a port: a port is a number from 1 to 65535.")
    return int(text)


def ports(wanted: dict[str, tuple[str, int]]) -> None:
    """Raises Problem when a port cannot be had on the loopback address. `wanted`: make's variable -> (what for, port)."""
    taken: list[str] = []
    for what, port in wanted.values():
        reason = _refused(port)
        if reason:
            taken.append(f"port {port} ({what}) {reason}")
    if not taken:
        return
    others = " ".join(f"{variable}={port}" for variable, port in _free([*wanted]).items())
    text = " and ".join(taken)
    raise Problem(f"{text[0].upper()}{text[1:]}. Choose other ports: make run {others}")


#: Where the search for another port begins.
_OTHERS = {"PORT": 8001, "LAB_PORT": 8081}


def _free(variables: list[str]) -> dict[str, int]:
    """A port that can be had for each of make's variables, no two the same."""
    found: dict[str, int] = {}
    for variable in variables:
        candidates = (port for port in range(_OTHERS[variable], 65536) if port not in found.values())
        found[variable] = next(port for port in candidates if not _refused(port))
    return found


def _refused(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections that a stopped site left in TIME_WAIT do not count as use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    return ""


RUNNING = "`make run` is already running in this folder. Stop it there with Ctrl-C."


def sole(path: Path, otherwise: str = RUNNING) -> IO[str]:
    """Take the lock of this file for as long as it is open. Raises Problem with `otherwise` when another process has it."""
    lock = path.open("w")
    try:
        # A record lock: kept when the supervisor takes this process's place, not inherited by what it starts.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Problem(otherwise) from None
    os.set_inheritable(lock.fileno(), True)
    return lock
