"""The loops that keep the cluster in order: scheduling, removal of what has lost its owner, namespaces, quotas, events."""

import asyncio
import contextlib
import logging
from typing import Any

from . import apply, schema
from .garbage import Garbage
from .meta import copy
from .namespaces import Namespaces
from .registry import Registry
from .resources import BY_PLURAL, Resource
from .scheduler import Scheduler
from .store import Change

log = logging.getLogger(__name__)

Object = dict[str, Any]
#: Seconds after which every controller looks again, whatever it has been told.
_RESYNC = 5.0


class Controllers:
    """Works through what the changes of the store have asked for, one step at a time."""

    def __init__(self, registry: Registry, authority: str) -> None:
        """`authority`: the certificate (PEM) by which pods know the API server."""
        self._registry = registry
        self._wake = asyncio.Event()
        self._garbage = Garbage(registry)
        self._namespaces = Namespaces(registry, authority)
        self._scheduler = Scheduler(registry)
        self._task: asyncio.Task[None] | None = None
        registry.store.listen(self._changed)

    def _changed(self, resource: Resource, change: Change) -> None:
        for one in (self._garbage, self._namespaces, self._scheduler):
            one.changed(resource, change)
        self._wake.set()

    def start(self) -> None:
        """Begin."""
        self._namespaces.first()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            self._step()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _RESYNC)
            self._wake.clear()

    def _step(self) -> None:
        for work in (self._namespaces.step, self._garbage.step, self._scheduler.step, self._quota_statuses):
            try:
                work()
            except Exception:
                log.exception("a controller failed; it is tried again")

    def _quota_statuses(self) -> None:
        quotas = self._registry.quotas
        stale, quotas.stale = quotas.stale, set()
        for namespace in stale:  # writing these makes them stale again: the next step finds nothing to write
            for quota, status in quotas.statuses(namespace):
                obj = copy(quota)
                obj["status"] = status
                resource = BY_PLURAL["resourcequotas"]
                manager = apply.Manager("devcluster", "Update", "v1", "status")
                apply.record_update(quota, obj, schema.type_of("v1", "ResourceQuota"), manager)
                self._registry.store.put(resource, obj)
