"""Limits of memory and storage, looked at from outside: nothing stops a process on a laptop from taking more."""

import asyncio
import logging
from collections.abc import Callable, Iterable

import psutil

from .container import OOM_KILLED, Container
from .pod import Pod
from .process import Process
from .spec import quantity

log = logging.getLogger(__name__)

MEMORY_PERIOD = 1.0  # seconds
STORAGE_PERIOD = 10.0  # seconds


async def memory(pods: Callable[[], Iterable[Pod]]) -> None:
    """For ever: kill containers whose processes hold more resident memory than the limit of the container."""
    while True:
        await asyncio.sleep(MEMORY_PERIOD)
        limited = [found for pod in pods() for one in pod.containers if (found := _limited(one))]
        if not limited:
            continue
        used = await asyncio.to_thread(_resident, {shim for _, shim, _ in limited})
        for process, shim, limit in limited:
            if used.get(shim, 0) > limit and process.alive():
                process.mark(OOM_KILLED)
                process.kill()


def _limited(container: Container) -> tuple[Process, int, float] | None:
    limit = container.spec.get("resources", {}).get("limits", {}).get("memory")
    process = container.process
    state = process.started if limit and process and "running" in container.state else None
    return (process, int(state["shim"]), quantity(limit)) if process and state else None


def _resident(shims: set[int]) -> dict[int, int]:
    """Bytes of resident memory below each shim, from one pass over all processes."""
    parents = {}
    for process in psutil.process_iter():
        try:
            parents[process.pid] = process.ppid()
        except psutil.Error:
            continue
    used = dict.fromkeys(shims, 0)
    for pid in parents:
        above, seen = parents[pid], 0
        while above not in shims and above in parents and seen < 100:
            above, seen = parents[above], seen + 1
        if above in shims:
            try:
                used[above] += psutil.Process(pid).memory_info().rss
            except psutil.Error:
                continue
    return used


async def storage(pods: Callable[[], Iterable[Pod]]) -> None:
    """For ever: evict pods that use more local storage than they may."""
    while True:
        await asyncio.sleep(STORAGE_PERIOD)
        for pod in list(pods()):
            if pod.over or pod.terminating:
                continue
            message = await asyncio.to_thread(pod.storage)
            if message and not pod.terminating:
                await pod.evict(message)
