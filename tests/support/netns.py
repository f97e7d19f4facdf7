"""Networks of their own for tests: a machine, and what it is joined with, on which nothing of this machine's own network is seen."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

T = TypeVar("T")
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace. One thread of ours is all that holds it: it goes with the thread, however these tests end."""

    def __init__(self) -> None:
        """Raises OSError where this is not allowed."""
        self._thread = ThreadPoolExecutor(1, "namespace")
        try:
            self.inside(_leave)
            self.run("link set lo up")
        except BaseException:
            self.close()
            raise
        #: By which `ip` knows it.
        self.path = f"/proc/{os.getpid()}/task/{self.inside(threading.get_native_id)}/ns/net"

    def inside(self, act: Callable[[], T]) -> T:
        """Do something there: a socket that is opened and a program that is started in it stay in it."""
        return self._thread.submit(act).result()

    def run(self, *commands: str) -> None:
        """Lines of `ip`, all at once. Raises OSError for the first that fails."""
        self.execute(["ip", "-batch", "-"], "".join(f"{line}\n" for line in commands))

    def execute(self, command: Iterable[str], given: str = "") -> None:
        """A program, until its end. Raises OSError when it fails."""
        words = list(command)
        done = self.inside(lambda: subprocess.run(words, input=given, capture_output=True, text=True, check=False))
        if done.returncode:
            raise OSError(f"{words[0]}: {done.stderr.strip()}")

    def set(self, key: str, value: str) -> None:
        """A setting of its kernel's network, such as "ipv4/ip_forward"."""

        def write() -> None:
            with open(f"/proc/sys/net/{key}", "w") as file:
                file.write(value)

        self.inside(write)

    def socket(self, family: int, kind: int) -> socket.socket:
        """One that belongs there, for use by any thread."""
        return self.inside(lambda: socket.socket(family, kind))

    def close(self) -> None:
        """Its interfaces and rules go with it, and both ends of what joins it with others."""
        self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _leave() -> None:
    if _libc.unshare(_NEW_NETWORK):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
