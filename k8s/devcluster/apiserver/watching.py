"""Watches: a stream of what happens to a kind."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from . import tables
from .errors import ApiError
from .faults import Faults
from .listing import check_version, include, partial, selection
from .selectors import Match
from .store import Change, Entry, Store, dump
from .target import Target, content_as, flag, number

Object = dict[str, Any]

_BOOKMARK_SECONDS = 30.0
#: Changes that may wait for a slow reader before its watch is ended.
_BACKLOG = 20_000
_INITIAL_END = "k8s.io/initial-events-end"


class Watch:
    """One watch of one client."""

    def __init__(self, request: web.Request, target: Target, store: Store) -> None:
        """Raises ApiError 400 for a selector that cannot be read."""
        self._request, self._resource, self._namespace, self._store = request, target.resource, target.namespace, store
        self._match: Match | None = selection(request, target)
        check_version(request)
        self._form = content_as(request)
        self._first_row = True
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue()

    def _selects(self, obj: Object) -> bool:
        if self._namespace and obj["metadata"].get("namespace") != self._namespace:
            return False
        return self._match is None or self._match(obj)

    def _start(self) -> Iterator[bytes]:
        """What is sent first: what there is, or what has happened since the version asked for."""
        text = self._request.query.get("resourceVersion", "")
        initial = flag(self._request, "sendInitialEvents")
        if initial or text in ("", "0"):
            for entry in self._store.each(self._resource, self._namespace):
                if self._selects(entry.obj):
                    yield self._line("ADDED", entry)
            if initial:
                yield self._bookmark({_INITIAL_END: "true"})
            return
        try:
            for change in self._store.since(self._resource, int(text)):
                yield from self._lines(change)
        except ApiError as gone:
            yield dump({"type": "ERROR", "object": gone.status()}) + b"\n"
            self._queue.put_nowait(None)

    def _lines(self, change: Change) -> Iterator[bytes]:
        was = change.before is not None and self._selects(change.before.obj)
        is_now = change.type != "DELETED" and self._selects(change.entry.obj)
        if is_now:
            yield self._line("MODIFIED" if was else "ADDED", change.entry)
        elif was and change.type == "DELETED":
            yield self._line("DELETED", change.entry)
        elif was and change.before:
            # It has left the selection: its last state there, at the version at which it left.
            before = change.before.obj
            obj = {**before, "metadata": {**before["metadata"], "resourceVersion": str(change.version)}}
            yield self._line("DELETED", Entry(obj, change.version, dump(_bare(obj))[1:]))

    def _line(self, kind: str, entry: Entry) -> bytes:
        if self._form == "Table":
            found = tables.table(self._resource, [entry.obj], str(entry.version), include(self._request))
            if not self._first_row:
                found["columnDefinitions"] = None
            self._first_row = False
            return dump({"type": kind, "object": found}) + b"\n"
        if self._form:
            return dump({"type": kind, "object": partial(entry.obj)}) + b"\n"
        return b'{"type":"' + kind.encode() + b'","object":' + entry.whole(self._resource) + b"}\n"

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        meta: Object = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        obj = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": meta}
        if self._form == "Table":
            obj = tables.table(self._resource, [], str(self._store.version), "None")
        elif self._form:
            obj = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
        return dump({"type": "BOOKMARK", "object": obj}) + b"\n"

    def _push(self, change: Change) -> None:
        if self._namespace and change.entry.obj["metadata"].get("namespace") != self._namespace:
            return
        if self._queue.qsize() >= _BACKLOG:
            self._queue.put_nowait(None)
        else:
            self._queue.put_nowait(change)

    async def run(self, faults: Faults, closing: asyncio.Event) -> web.StreamResponse:
        """Send until the time is over, the client goes away or the server stops."""
        seconds = number(self._request, "timeoutSeconds") or random.randint(1800, 3600)  # noqa: S311
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        # Nothing can happen between these two: there is no await before the subscription.
        first = list(self._start())
        stop = self._store.watch(self._resource, self._push)
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(seconds, self._queue.put_nowait, None)]
        drop = faults.drop_after(self._request)
        if drop is not None:
            timers.append(loop.call_later(drop, self._cut))
        closer = asyncio.create_task(self._when(closing))
        try:
            await response.prepare(self._request)
            await response.write(b"".join(first))
            await self._stream(response)
            await response.write_eof()
        except ConnectionError:
            return response  # who watched has gone, as they may at any time
        except asyncio.CancelledError:
            if closing.is_set():
                return response
            raise
        finally:
            stop()
            closer.cancel()
            for timer in timers:
                timer.cancel()
        return response

    async def _when(self, closing: asyncio.Event) -> None:
        await closing.wait()
        self._queue.put_nowait(None)

    def _cut(self) -> None:
        if self._request.transport:
            self._request.transport.abort()

    async def _stream(self, response: web.StreamResponse) -> None:
        bookmarks = flag(self._request, "allowWatchBookmarks")
        while True:
            try:
                change = await asyncio.wait_for(self._queue.get(), _BOOKMARK_SECONDS)
            except TimeoutError:
                if bookmarks:
                    await response.write(self._bookmark())
                continue
            parts: list[bytes] = []
            over = change is None
            while change is not None:
                parts += self._lines(change)
                if self._queue.empty() or len(parts) > 500:
                    break
                change = self._queue.get_nowait()
                over = change is None
            if over and bookmarks:
                parts.append(self._bookmark())
            if parts:
                await response.write(b"".join(parts))
            if over:
                return


def _bare(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
