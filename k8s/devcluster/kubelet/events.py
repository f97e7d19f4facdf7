"""Events in a kubelet's words; repetitions raise the count of the first one."""

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from typing import Any

from ..kubeapi import MERGE, Api, ApiError, backoff, path_of
from .spec import now

log = logging.getLogger(__name__)

Object = dict[str, Any]
#: Seconds within which repetitions of an event are written at once.
_REPEAT = 10.0
_ATTEMPTS = 6
_KEEP = 5000


@dataclass
class _Seen:
    name: str
    namespace: str
    count: int = 1
    written: int = 0
    at: float = 0.0


def _involved(meta: Object, field: str) -> Object:
    """The reference to a pod, or to its part `field`, as an event carries it."""
    involved = {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "resourceVersion": meta.get("resourceVersion", ""),
        "fieldPath": field,
    }
    return {name: value for name, value in involved.items() if value}


class Events:
    """Records events and writes them from `run`, one after the other; losing one is no failure."""

    def __init__(self, api: Api, node: str) -> None:
        self._api = api
        self._node = node
        self._seen: dict[tuple[str, ...], _Seen] = {}
        self._queue: asyncio.Queue[tuple[_Seen, Object]] = asyncio.Queue(maxsize=2000)

    def pod(
        self, pod: Object, kind: str, reason: str, message: str, container: str = "", *, init: bool = False
    ) -> None:
        """Record an event (`kind` Normal or Warning) about a pod or one of its containers."""
        meta = pod["metadata"]
        field = f"spec.{'initContainers' if init else 'containers'}{{{container}}}" if container else ""
        seen = self._due(meta, (meta["uid"], field, reason, message))
        if seen is None:
            return
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": seen.name, "namespace": seen.namespace},
            "involvedObject": _involved(meta, field),
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
        }
        try:
            self._queue.put_nowait((seen, body))
        except asyncio.QueueFull:
            log.debug("event dropped: %s %s", reason, message)

    def _due(self, meta: Object, key: tuple[str, ...]) -> _Seen | None:
        """Count the event `key` of the pod `meta`; None if the last write of it is too recent for another."""
        seen = self._seen.get(key)
        if seen:
            seen.count += 1
            if time.monotonic() - seen.at < _REPEAT:
                return None
        else:
            seen = self._seen[key] = _Seen(f"{meta['name']}.{secrets.token_hex(8)}", meta["namespace"])
            while len(self._seen) > _KEEP:
                self._seen.pop(next(iter(self._seen)))
        seen.at = time.monotonic()
        return seen

    async def run(self) -> None:
        """Write what is recorded, for ever."""
        while True:
            seen, body = await self._queue.get()
            for attempt in range(_ATTEMPTS):
                try:
                    await self._write(seen, body)
                    break
                except ApiError as error:
                    if not error.transient:
                        break  # e.g. the namespace is going away
                    await asyncio.sleep(backoff(attempt))

    async def _write(self, seen: _Seen, body: Object) -> None:
        count = seen.count
        if seen.written:
            change = {"count": count, "lastTimestamp": body["lastTimestamp"]}
            await self._api.call("PATCH", path_of("events", seen.namespace, seen.name), change, content_type=MERGE)
        else:
            await self._api.call("POST", path_of("events", seen.namespace), {**body, "count": count})
        seen.written = count
