"""A network of a test's own, whose loopback interface has addresses that a cluster takes for those of pods."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.netns import Namespace

#: Kept for benchmarks (RFC 2544). Pods have theirs in it: the kubelet is given it with `--pod-network`.
PODS = "198.18.0.0/15"
_ADDRESS = "198.18.0.1/15"
_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> str:
    """Why there can be none here, in one line; empty when there can."""
    if os.geteuid():
        return "a network of its own needs root"
    if not shutil.which("ip"):
        return "ip is not installed (Debian: iproute2)"
    try:
        Namespace().close()
    except OSError as problem:
        return f"this machine has no networks of their own: {problem}"
    return ""


@contextmanager
def entered() -> Iterator[None]:
    """What this thread opens and starts meanwhile is in a network with nothing but loopback, and in no other."""
    with Namespace() as namespace:
        namespace.run(f"address add {_ADDRESS} dev lo")
        with open("/proc/thread-self/ns/net") as home, open(namespace.path) as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())


def _enter(network: int) -> None:
    if _libc.setns(network, _NETWORK):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
