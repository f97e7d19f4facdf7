"""A kubelet without processes: pods are Running and Ready a while after their binding. For tests of many."""

import asyncio
import contextlib
import hashlib
from typing import Any

from ..kubeapi import STRATEGIC, ApiError, path_of
from . import status
from .context import Context
from .pod import finish_deletion
from .spec import now

Object = dict[str, Any]
_AT_ONCE = 16


def _address(uid: str) -> str:
    """An address of the range that is kept for benchmarks (RFC 2544), where nothing answers. Not of loopback: a cluster takes
    no such address into a Service's endpoints, and its controllers would try for ever.
    """
    digest = hashlib.sha256(uid.encode()).digest()
    return f"198.{18 + digest[0] % 2}.{digest[1]}.{1 + digest[2] % 254}"


class _Container:
    """A container that runs, or that has done its work if it is one of the first ones."""

    def __init__(self, spec: Object, *, init: bool) -> None:
        self.spec, self.name = spec, spec["name"]
        self.last: Object = {}
        done = {"exitCode": 0, "reason": "Completed", "startedAt": now(), "finishedAt": now()}
        self.state: Object = {"terminated": done} if init else {"running": {"startedAt": now()}}
        self.ready, self.started = True, not init
        self.restarts = 0
        self.container_id = f"hollow://{spec['name']}"


class Hollow:
    """Stands in for the pods of a node."""

    def __init__(self, context: Context, delay: float) -> None:
        self._context, self._delay = context, delay
        self._pods: dict[str, Object] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Follow the pods of the node, for ever."""
        fields = f"spec.nodeName={self._context.node}"
        async for kind, item in self._context.api.follow("pods", fields=fields):
            if kind == "SYNC":
                for uid in set(self._pods) - {pod["metadata"]["uid"] for pod in item}:
                    self._forget(uid)
            for pod in item if kind == "SYNC" else [item]:
                self._see(kind, pod)

    def _see(self, kind: str, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self._forget(uid)
        elif pod["metadata"].get("deletionTimestamp"):
            self._forget(uid)
            self._spawn(finish_deletion(self._context, pod))
        else:
            self._pods[uid] = pod
            if uid not in self._timers and not pod.get("status", {}).get("containerStatuses"):
                loop = asyncio.get_running_loop()
                self._timers[uid] = loop.call_later(self._delay, lambda: self._spawn(self._ready(uid)))

    def _forget(self, uid: str) -> None:
        self._pods.pop(uid, None)
        timer = self._timers.pop(uid, None)
        if timer:
            timer.cancel()

    def _spawn(self, work: Any) -> None:
        async def gated() -> None:
            async with self._gate:
                await work

        task = asyncio.create_task(gated())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ready(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if not pod:
            return
        meta, spec = pod["metadata"], pod["spec"]
        init = [_Container(one, init=True) for one in spec.get("initContainers") or []]
        main = [_Container(one, init=False) for one in spec["containers"]]
        wanted = status.build(pod, init, main, ip=_address(uid), started=now())
        body = {"metadata": {"uid": uid}, "status": wanted}
        path = path_of("pods", meta["namespace"], meta["name"], "status")
        with contextlib.suppress(ApiError):  # gone meanwhile
            await self._context.api.persist("PATCH", path, body, content_type=STRATEGIC)
