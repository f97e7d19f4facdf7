"""One leader among several programs, by a Lease (coordination.k8s.io/v1) on the cluster that they look after.

Not a fence: for a few seconds two may think that they lead. It spares work twice done; what is done must bear being done twice.
"""

import datetime
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from k8s.client import Client, Conflict, Unavailable
from k8s.errors import Error, NotFound
from k8s.repeats import Repeats
from k8s.watch import Watcher

log = logging.getLogger(__name__)

Object = dict[str, Any]

#: Seconds. A leader that is lost is followed after DURATION and two calls, which must be within 15 s; a renewal that fails can be
#: tried again for 2.5 s. Renewals are 5.5 of the 12 calls a minute that the site may make in the background.
DURATION, RENEW_EVERY = 13.5, 11.0
#: Seconds for one call: one that takes longer than what is left of the lease is of no use.
CALL_TIMEOUT = 2.5
#: Seconds between looks at the clock; the cluster is not asked.
TICK = 0.2
#: Seconds, more or less, between tries to take a lease or to renew it while the cluster does not answer.
PAUSE = 1.0


class Election:
    """A candidate. Whether the lease has run out is judged by when *it* last saw it change: no clock of another is believed."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        is_alive: Callable[[], bool] = lambda: True,
        duration: float = DURATION,
        renew_every: float = RENEW_EVERY,
        where: str = "",
    ) -> None:
        """`where`: what logs call the cluster; without it the name of its API server.

        `identity`: a name that no other candidate has, nor this program in another life. `is_alive`: whether what it leads
        makes progress; one that does not lets the lease go. `duration`, `renew_every`: seconds.
        """
        self._client = client.impatient(CALL_TIMEOUT)
        self._where, self._trouble = where or client.server, Repeats(log)
        self._namespace, self._name, self._identity = namespace, name, identity
        self._is_alive, self._duration, self._renew_every = is_alive, duration, renew_every
        self._lock = threading.Lock()
        #: The lease as it was last seen to change, and time.monotonic() of then; None: there is none, or it is not known.
        self._seen: tuple[Object | None, float] | None = None
        #: Whether it leads, as far as it knows.
        self.leads = False

    def run(self, stop: threading.Event, *, on_lead: Callable[[], None], on_lost: Callable[[], None]) -> None:
        """Stands for election until `stop` is set, and then hands over at once. The callbacks must not wait."""
        while not stop.is_set():
            if not self._follow(stop):
                return
            log.info("%s leads by %s/%s on %s", self._identity, self._namespace, self._name, self._where)
            self.leads = True
            try:
                on_lead()
                self._hold(stop)
            finally:
                self.leads = False
                on_lost()
                log.info("%s leads no more by %s/%s on %s", self._identity, self._namespace, self._name, self._where)
            if stop.is_set() or not self._is_alive():
                self._release()

    def _follow(self, stop: threading.Event) -> bool:
        """Wait for the lease, and take it. False: stopped."""
        self._seen = None
        over = threading.Event()
        watcher = Watcher(
            self._client, "Lease", namespace=self._namespace, fields=f"metadata.name={self._name}",
            on_sync=lambda items: self._note(items[0] if items else None),
            on_event=lambda kind, lease: self._note(None if kind == "DELETED" else lease),
            longest_delay=5.0, where=self._where,
        )  # fmt: skip
        thread = threading.Thread(target=watcher.run, args=(over,), name=f"lease-{self._identity}", daemon=True)
        thread.start()
        try:
            while not stop.wait(TICK):
                if self._is_free() and self._is_alive() and self._try_to_take(stop):
                    return True
            return False
        finally:
            over.set()

    def _note(self, lease: Object | None) -> None:
        with self._lock:
            if self._seen is None or _version(lease) != _version(self._seen[0]):
                self._seen = (lease, time.monotonic())

    def _is_free(self) -> bool:
        """Nobody holds it, or its holder has been silent for too long, or it is still our own."""
        with self._lock:
            if self._seen is None:
                return False
            lease, since = self._seen
        holder = ((lease or {}).get("spec") or {}).get("holderIdentity")
        return not holder or holder == self._identity or time.monotonic() - since > self._duration

    def _try_to_take(self, stop: threading.Event) -> bool:
        try:
            return self._take()
        except Error as problem:
            self._trouble.warn(f"lease on {self._where} cannot be taken: {problem.message}")
            stop.wait(random.uniform(PAUSE / 2, 3 * PAUSE / 2))  # noqa: S311
            return False

    def _take(self) -> bool:
        """Compare-and-swap. False: somebody was faster."""
        assert self._seen is not None  # noqa: S101  # for the types
        lease = self._seen[0]
        now = _now()
        terms = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._duration),
            "acquireTime": now,
            "renewTime": now,
        }
        try:
            if lease is None:
                held = self._client.create(self._new(terms))
            else:
                changes = int(lease.get("spec", {}).get("leaseTransitions") or 0) + 1
                held = self._client.replace(_with(lease, **terms, leaseTransitions=changes))
        except Conflict:
            self._look_again()
            return False
        except NotFound:
            if lease is None:  # the site's first start on this cluster
                self._client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}})
            self._note(None)
            return False
        self._note(held)
        return True

    def _new(self, terms: Object) -> Object:
        metadata = {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": terms}

    def _look_again(self) -> None:
        """What was known was old: the watch has not told yet, or cannot."""
        found = self._client.list("Lease", self._namespace, fields=f"metadata.name={self._name}").items
        self._note(found[0] if found else None)

    def _hold(self, stop: threading.Event) -> None:
        """Renew until stopped, or until it is another's or has run out."""
        renewed = time.monotonic()
        due = renewed + self._renew_every
        while not stop.wait(TICK):
            now = time.monotonic()
            if now - renewed > self._duration:
                log.warning("lease on %s has run out before it could be renewed", self._where)
                return
            if now < due:
                continue
            if not self._is_alive():
                log.error("lease on %s is let go: this program makes no progress", self._where)
                return
            try:
                self._renew()
                renewed, due = now, now + self._renew_every
                self._trouble.over()
            except Unavailable as problem:
                self._trouble.warn(f"lease on {self._where} not renewed yet: {problem.message}")
                due = now + random.uniform(PAUSE / 2, 3 * PAUSE / 2)  # noqa: S311
            except Error as problem:  # Another has it; or the cluster was set back to before it was ours.
                log.warning("lease on %s is lost: %s", self._where, problem.message)
                return

    def _renew(self) -> None:
        lease = self._seen[0] if self._seen else None
        if lease is None:
            raise NotFound("It was removed.")
        self._note(self._client.replace(_with(lease, renewTime=_now())))

    def _release(self) -> None:
        """The next one need not wait for it to run out."""
        lease = self._seen[0] if self._seen else None
        if lease is None or lease["spec"].get("holderIdentity") != self._identity:
            return
        try:
            self._client.replace(_with(lease, holderIdentity=None, renewTime=_now()))
        except Error as problem:
            log.info("lease on %s runs out by itself: %s", self._where, problem.message)


def _with(lease: Object, **changes: Any) -> Object:
    """The lease with these terms (None: without), for a compare-and-swap: it names the version that was seen."""
    spec = {**(lease.get("spec") or {}), **changes}
    metadata = {key: lease["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def _version(lease: Object | None) -> str:
    return str(lease["metadata"]["resourceVersion"]) if lease else ""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
