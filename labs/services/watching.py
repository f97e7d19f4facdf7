"""Two watches a cluster, whatever the number of workloads: pods, and what the cluster says of pods."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from k8s import labels
from k8s.errors import Unavailable
from k8s.watch import Watcher
from labs.models import Cluster
from labs.models.instance import NAMESPACE_PREFIX

from . import clusters, hearing
from .inbox import Inbox
from .observe import Told, observe

log = logging.getLogger(__name__)
RELIST_SECONDS = 300
#: What is told within this time is written together.
GATHER_SECONDS = 0.1
#: Pods that are written in one go.
BATCH = 50
#: Pods that are not ready are looked at again so often: how long something has lasted is part of a diagnosis.
LOOK_AGAIN_SECONDS = 20.0
#: A stop is noticed within this time.
IDLE_SECONDS = 1.0
#: After a fault of the data base.
RETRY_SECONDS = 2.0
#: Between two looks at whether the cluster answers. They cost it nothing: what is looked at is the watch.
HEAR_SECONDS = 2.0
#: The watch is taken up again within a second or two where only its connection broke.
LOST_SECONDS = 3.0
#: Between two tries to reach a cluster that was lost.
LONGEST_DELAY = 10.0


def _of_an_instance(event: dict[str, Any]) -> bool:
    """No selector can say that a namespace is one of ours: what is said of other pods is dropped as it comes."""
    return str(event["metadata"].get("namespace", "")).startswith(NAMESPACE_PREFIX)


class ClusterWatch:
    """The watches of one cluster and the writer of what they tell, each in a thread of its own until `stop` is set."""

    def __init__(self, cluster: Cluster, stop: threading.Event) -> None:
        self.cluster = cluster
        self.stop = stop
        self.inbox = Inbox()

    def start(self) -> None:
        """Begin; returns at once. Raises k8s.errors.Unavailable when the connection cannot even be made."""
        try:
            client = clusters.client(self.cluster)
        except Unavailable as error:
            hearing.silent(self.cluster.pk, error.message)
            raise
        pods = Watcher(
            client, "Pod", labels=labels.selector(settings.SITE_IDENTITY), on_sync=self._pods, on_event=self._pod,
            relist_seconds=RELIST_SECONDS, longest_delay=LONGEST_DELAY, where=self.cluster.slug,
        )  # fmt: skip
        events = Watcher(
            client, "Event", fields="involvedObject.kind=Pod", keep=_of_an_instance, on_sync=self._events, on_event=self._event,
            relist_seconds=RELIST_SECONDS, longest_delay=LONGEST_DELAY, where=self.cluster.slug,
        )  # fmt: skip
        self._thread("pods", lambda: pods.run(self.stop))
        self._thread("events", lambda: events.run(self.stop))
        self._thread("rows", self._write)
        self._thread("hearing", lambda: self._hear(pods))

    def _hear(self, pods: Watcher) -> None:
        """Note for as long as it is watched whether the cluster answers. One broken connection is not silence yet."""
        lost_at: float | None = None
        while not self.stop.wait(HEAR_SECONDS):
            try:
                close_old_connections()
                if pods.answers:
                    lost_at = None
                    hearing.heard(self.cluster.pk, now=timezone.now())
                    continue
                lost_at = lost_at or time.monotonic()
                if pods.problem and time.monotonic() - lost_at > LOST_SECONDS:
                    hearing.silent(self.cluster.pk, pods.problem)
            except Exception:
                log.exception("watch: whether %s answers", self.cluster)

    def _thread(self, name: str, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name=f"{self.cluster.slug}-{name}", daemon=True).start()

    def _pods(self, pods: list[dict[str, Any]]) -> None:
        for pod in pods:
            self.inbox.pod(pod)
        self.inbox.only(pods)

    def _pod(self, change: str, pod: dict[str, Any]) -> None:
        self.inbox.pod(pod, gone=change == "DELETED")

    def _events(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.inbox.event(event)

    def _event(self, change: str, event: dict[str, Any]) -> None:
        if change != "DELETED":
            self.inbox.event(event)

    def _write(self) -> None:
        look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        while not self.stop.is_set():
            if time.monotonic() > look_at:
                self.inbox.look_again()
                look_at = time.monotonic() + LOOK_AGAIN_SECONDS
            if self.inbox.wait(IDLE_SECONDS):
                self.stop.wait(GATHER_SECONDS)
                self._write_some(self.inbox.take(BATCH))

    def _write_some(self, told: dict[str, Told]) -> None:
        """Without the data base all of it waits; an odd item does not keep the others from theirs."""
        close_old_connections()
        try:
            observe(told.values(), now=timezone.now())
        except (OperationalError, InterfaceError) as error:
            log.warning("watch of %s: %s; trying again", self.cluster, error)
            self.inbox.put_back(told)
            self.stop.wait(RETRY_SECONDS)
        except Exception:
            log.exception("watch of %s", self.cluster)
            if len(told) > 1:
                for uid, one in told.items():
                    self._write_some({uid: one})
