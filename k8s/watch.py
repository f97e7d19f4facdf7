"""List and watch one kind of object for as long as the program runs, whatever the connection does meanwhile."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from k8s.client import PAGE_SIZE, Client, Gone, Unavailable, Watch
from k8s.errors import Error
from k8s.repeats import Repeats

log = logging.getLogger(__name__)

Object = dict[str, Any]

#: Seconds that a watch lasts when the server means it.
LASTING = 0.5
#: Seconds after which a list is asked for again when a callback has failed: the first time, and at most. The data base may be
#: away; when it is back, the rows are to be true within a minute.
FIRST_MISHAP, LONGEST_MISHAP = 5.0, 40.0


class Watcher:
    """Tells of all objects of one kind that match a selector: first all of them, then every change.

    on_sync(items): after each list, with all that there is; what is not among them is gone. on_event(type, obj): ADDED,
    MODIFIED or DELETED. An event can come twice, or a list without the changes that led to it: callers look at the state
    told, not at the steps. An exception in a callback is logged, and another list is asked for soon, which makes good for
    it. Objects come without metadata.managedFields, which are half of a pod and which nobody here reads.

    A watch that the server ends goes on from its last version. After any fault all is listed anew: meanwhile the cluster
    may have been restored from a backup. From a version that is yet to come such a cluster sends nothing; once its new
    history has passed that version, it sends only what came after. Either way no version tells.

    Lists ask for the newest state (no resourceVersion), never for "any" (resourceVersion=0): a server that lags behind
    could then tell of a past that had been left.
    """

    #: time.monotonic() of the last answer of the server; None before the first.
    last_contact: float | None = None
    #: The last fault, in a sentence; empty while all is well.
    problem = ""
    #: time.monotonic() of the last fault.
    last_failure: float | None = None
    _stream: Watch | None = None
    #: From where a watch can go on; None: only from a new list.
    _version: str | None = None
    #: time.monotonic() at which the next list is due.
    _due = 0.0
    _failures = _mishaps = 0
    #: Whether a callback has failed since the last list.
    _missed = False

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
        keep: Callable[[Object], bool] = lambda obj: True,
        relist_seconds: float = 600.0,
        watch_seconds: int = 300,
        first_delay: float = 0.5,
        longest_delay: float = 30.0,
        where: str = "",
    ) -> None:
        """`where`: what logs call the cluster; without it the name of its API server.

        `keep`: what no selector can say; other objects are dropped as they come, also out of a long list, page by page.

        `relist_seconds`: a list is asked for at least so often. `watch_seconds`: the server ends a watch after this,
        and it is taken up where it ended; a connection that is silently dead is noticed soon after.
        `first_delay`, `longest_delay`: seconds between tries after a fault, doubled each time, with jitter.
        """
        self._client, self._kind = client, kind
        self._name = f"watch of {kind} on {where or client.server}"
        self._trouble = Repeats(log)
        self._namespace, self._labels, self._fields, self._keep = namespace, labels, fields, keep
        self._on_sync, self._on_event = on_sync, on_event
        self._relist_seconds, self._watch_seconds = relist_seconds, watch_seconds
        self._first_delay, self._longest_delay = first_delay, longest_delay

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
                if self._version is None or time.monotonic() >= self._due:
                    self._list()
                self._watch(stop)
            except Gone:
                log.info("%s: too old, listing again", self._name)
                self._failed("", stop)
            except Error as problem:
                self._failed(problem.message, stop)
            except Exception as problem:
                log.exception("%s", self._name)
                self._failed(type(problem).__name__, stop)

    def _list(self) -> None:
        self._mishaps, self._missed = min(self._mishaps + 1, 16) if self._missed else 0, False
        items: list[Object] = []
        page, version = "", ""
        while True:
            found = self._client.list(
                self._kind, self._namespace, labels=self._labels, fields=self._fields, limit=PAGE_SIZE, page=page
            )
            items += [_slim(item) for item in found.items if self._keep(item)]
            page, version = found.next_page, found.resource_version
            if not page:
                break
        self.last_contact = time.monotonic()  # Not yet well: a server may list and yet never hold a watch.
        self._version, self._due = version, time.monotonic() + self._relist_seconds
        self._tell(self._on_sync, items)

    def _watch(self, stop: threading.Event) -> None:
        """One watch. Raises Unavailable when it breaks off, or ends at once."""
        assert self._version is not None  # noqa: S101  # for the types
        began, before = time.monotonic(), self._version
        seconds = max(1, min(self._watch_seconds, int(self._due - began) + 1))
        stream = self._client.watch(
            self._kind,
            namespace=self._namespace,
            labels=self._labels,
            fields=self._fields,
            resource_version=self._version,
            timeout_seconds=seconds,
        )
        self._stream = stream
        self.last_contact = time.monotonic()
        try:
            if stop.is_set():  # It was set before the closer could see the stream.
                return
            for kind, obj in stream:
                self._well()
                self._see(kind, obj)
                if time.monotonic() >= self._due:
                    return
        except Unavailable:
            if time.monotonic() - began > LASTING:
                self._well()
            raise
        finally:
            self._stream = None
            stream.close()
        if before == self._version and time.monotonic() - began < LASTING and not stop.is_set():
            raise Unavailable("The watch ended immediately.")  # Not in a tight loop.
        self._well()

    def _see(self, kind: str, obj: Object) -> None:
        self._version = str(obj.get("metadata", {}).get("resourceVersion") or self._version)
        if kind != "BOOKMARK" and self._keep(obj):
            self._tell(self._on_event, kind, _slim(obj))

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            log.exception("%s: telling of a change", self._name)
            delay = min(FIRST_MISHAP * 2**self._mishaps, LONGEST_MISHAP, self._relist_seconds)
            self._missed, self._due = True, min(self._due, time.monotonic() + delay)

    def _well(self) -> None:
        self.last_contact = time.monotonic()
        self._failures, self.problem = 0, ""
        self._trouble.over()

    def _failed(self, problem: str, stop: threading.Event) -> None:
        self._version = None
        delay = min(self._first_delay * 2**self._failures, self._longest_delay)
        self._failures = min(self._failures + 1, 16)
        self.problem, self.last_failure = problem, time.monotonic()
        if problem:
            self._trouble.warn(f"{self._name}: {problem}")
        stop.wait(random.uniform(delay / 2, delay))  # noqa: S311

    def _close_when(self, stop: threading.Event) -> None:
        stop.wait()
        stream = self._stream
        if stream is not None:
            stream.close()


def _slim(obj: Object) -> Object:
    obj.get("metadata", {}).pop("managedFields", None)
    return obj
