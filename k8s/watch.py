"""List and watch one kind of object for as long as the program runs, whatever the connection does meanwhile."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from k8s.client import Client, Gone, Unavailable, Watch
from k8s.errors import Error

log = logging.getLogger(__name__)

Object = dict[str, Any]


class Watcher:
    """Tells of all objects of one kind that match a selector: first all of them, then every change.

    on_sync(items): after each list, with all that there is; what is not among them is gone. on_event(type, obj): ADDED,
    MODIFIED or DELETED. An event can come twice, or a list without the changes that led to it: callers look at the state
    told, not at the steps. An exception in a callback is logged; the next list makes good for it.
    """

    def __init__(
        self,
        client: Client,
        kind: str,
        *,
        on_sync: Callable[[list[Object]], None],
        on_event: Callable[[str, Object], None],
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        relist_seconds: float = 600.0,
        watch_seconds: int = 60,
        first_delay: float = 0.5,
        longest_delay: float = 30.0,
    ) -> None:
        """`relist_seconds`: a list is asked for at least so often. `watch_seconds`: the server ends a watch after this,
        and it is taken up where it ended; a connection that is silently dead is noticed soon after.
        `first_delay`, `longest_delay`: seconds between tries after a fault, doubled each time, with jitter.
        """
        self._client, self._kind = client, kind
        self._namespace, self._labels, self._fields = namespace, labels, fields
        self._on_sync, self._on_event = on_sync, on_event
        self._relist_seconds, self._watch_seconds = relist_seconds, watch_seconds
        self._first_delay, self._longest_delay = first_delay, longest_delay
        self._stream: Watch | None = None
        self._failures = 0
        #: time.monotonic() of the last answer of the server; None before the first.
        self.last_contact: float | None = None
        #: The last fault, in a sentence; empty while all is well.
        self.problem = ""
        #: time.monotonic() of the last fault.
        self.last_failure: float | None = None

    @property
    def answers(self) -> bool:
        """Whether the server's last word came after the last fault."""
        return self.last_contact is not None and (self.last_failure is None or self.last_contact > self.last_failure)

    def run(self, stop: threading.Event) -> None:
        """Watches until `stop` is set, which ends a quiet watch at once (a call that hangs ends by its time-out)."""
        closer = threading.Thread(target=self._close_when, args=(stop,), daemon=True, name=f"close-{self._kind}")
        closer.start()
        while not stop.is_set():
            try:
                self._list_and_watch(stop)
            except Gone:
                log.info("watch of %s: too old, listing again", self._kind)
                self._failed("", stop)
            except Error as problem:
                self._failed(problem.message, stop)
            except Exception as problem:
                log.exception("watch of %s", self._kind)
                self._failed(type(problem).__name__, stop)

    def _list_and_watch(self, stop: threading.Event) -> None:
        listing = self._client.list(self._kind, self._namespace, labels=self._labels, fields=self._fields)
        self.last_contact = time.monotonic()  # Not yet well: a server may list and yet never hold a watch.
        self._tell(self._on_sync, listing.items)
        version, due = listing.resource_version, time.monotonic() + self._relist_seconds
        while not stop.is_set() and time.monotonic() < due:
            seconds = max(1, min(self._watch_seconds, int(due - time.monotonic()) + 1))
            began = time.monotonic()
            reached = self._watch(version, seconds, due, stop)
            if reached == version and time.monotonic() - began < 0.5 and not stop.is_set():
                raise Unavailable("The watch ended at once.")  # Not in a tight loop.
            self._well()
            version = reached

    def _watch(self, version: str, seconds: int, due: float, stop: threading.Event) -> str:
        """One watch. The version that it has come to; also after a break in the connection, if it had come further."""
        stream = self._client.watch(
            self._kind,
            namespace=self._namespace,
            labels=self._labels,
            fields=self._fields,
            resource_version=version,
            timeout_seconds=seconds,
        )
        self._stream = stream
        self.last_contact = time.monotonic()
        reached = version
        try:
            if stop.is_set():  # It was set before the closer could see the stream.
                return reached
            for kind, obj in stream:
                self._well()
                reached = str(obj.get("metadata", {}).get("resourceVersion") or reached)
                if kind != "BOOKMARK":
                    self._tell(self._on_event, kind, obj)
                if time.monotonic() >= due:
                    break
        except Unavailable as problem:
            if reached == version:
                raise
            log.info("watch of %s goes on after a break: %s", self._kind, problem.message)
        finally:
            self._stream = None
            stream.close()
        return reached

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            log.exception("telling of a change of %s", self._kind)

    def _well(self) -> None:
        self.last_contact = time.monotonic()
        self._failures, self.problem = 0, ""

    def _failed(self, problem: str, stop: threading.Event) -> None:
        delay = min(self._first_delay * 2**self._failures, self._longest_delay)
        self._failures = min(self._failures + 1, 16)
        self.problem, self.last_failure = problem, time.monotonic()
        if problem:
            log.warning("watch of %s, next try within %.0f s: %s", self._kind, delay, problem)
        stop.wait(random.uniform(delay / 2, delay))  # noqa: S311

    def _close_when(self, stop: threading.Event) -> None:
        stop.wait()
        stream = self._stream
        if stream is not None:
            stream.close()
