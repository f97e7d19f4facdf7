"""Two watches a cluster, whatever the number of workloads: pods, and what the cluster says of pods."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from k8s import labels
from k8s.watch import Watcher
from labs.models import Cluster
from labs.models.instance import NAMESPACE_PREFIX

from . import clusters
from .observe import Told, is_ready, observe

log = logging.getLogger(__name__)
RELIST_SECONDS = 300
#: What is told within this time is written together.
GATHER_SECONDS = 0.05
#: Workloads that are written in one go.
BATCH = 50
#: Pods that are not ready are looked at again so often: how long something has lasted is part of a diagnosis.
LOOK_AGAIN_SECONDS = 20.0
#: A stop is noticed within this time.
IDLE_SECONDS = 1.0
#: Events that came before their pod was told of.
EARLY_EVENTS = 200
#: After a fault of the data base.
RETRY_SECONDS = 2.0


class Inbox:
    """What the watches tell, gathered by workload until it is taken: of many changes of a pod only the last counts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: dict[UUID, Told] = {}
        #: Pods that do not answer yet, for Events that come without a change of the pod.
        self._waiting: dict[UUID, dict[str, Any]] = {}
        #: Kubernetes' Events name the pod by uid only; its workload is known from the watch of pods.
        self._workload_of: dict[str, UUID] = {}
        self._early: deque[dict[str, Any]] = deque(maxlen=EARLY_EVENTS)

    def pod(self, pod: dict[str, Any], *, gone: bool = False) -> None:
        """A pod of ours was added, changed or removed."""
        metadata = pod["metadata"]
        pk = _key(metadata)
        if pk is None:
            return
        with self._changed:
            told = self._told.setdefault(pk, Told())
            told.pod, told.gone = pod, gone
            if gone:
                self._workload_of.pop(metadata["uid"], None)
            elif metadata["uid"] not in self._workload_of:
                self._workload_of[metadata["uid"]] = pk
                told.events += [event for event in self._early if event["involvedObject"].get("uid") == metadata["uid"]]
            if gone or is_ready(pod):
                self._waiting.pop(pk, None)
            else:
                self._waiting[pk] = pod
            self._changed.notify()

    def event(self, event: dict[str, Any]) -> None:
        """The cluster said something about a pod."""
        with self._changed:
            about = event.get("involvedObject", {})
            pk = self._workload_of.get(about.get("uid", ""))
            if pk is None:
                if str(about.get("namespace", "")).startswith(NAMESPACE_PREFIX):
                    self._early.append(event)
                return
            told = self._told.setdefault(pk, Told(pod=self._waiting.get(pk)))
            told.events.append(event)
            self._changed.notify()

    def only(self, pods: list[dict[str, Any]]) -> None:
        """These pods are all that there are: what else was known is forgotten."""
        with self._changed:
            uids = {pod["metadata"]["uid"] for pod in pods}
            self._workload_of = {uid: pk for uid, pk in self._workload_of.items() if uid in uids}
            alive = set(self._workload_of.values())
            self._waiting = {pk: pod for pk, pod in self._waiting.items() if pk in alive}

    def look_again(self) -> None:
        """Tell once more of the pods that do not answer yet."""
        with self._changed:
            for pk, pod in self._waiting.items():
                self._told.setdefault(pk, Told(pod=pod))
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """Until there is something, at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._told), seconds)

    def take(self, most: int) -> dict[UUID, Told]:
        """The oldest of what was told."""
        with self._changed:
            return {pk: self._told.pop(pk) for pk in list(self._told)[:most]}

    def put_back(self, told: dict[UUID, Told]) -> None:
        """It could not be written. What was told since then is newer."""
        with self._changed:
            for pk, old in told.items():
                newer = self._told.setdefault(pk, old)
                if newer is not old:
                    newer.events[:0] = old.events


def _key(metadata: dict[str, Any]) -> UUID | None:
    try:
        return UUID(metadata["labels"][labels.WORKLOAD])
    except (KeyError, ValueError):
        return None  # Somebody's hand-made label: not ours.


class ClusterWatch:
    """The watches of one cluster and the writer of what they tell, each in a thread of its own until `stop` is set."""

    def __init__(self, cluster: Cluster, stop: threading.Event) -> None:
        self.cluster = cluster
        self.stop = stop
        self.inbox = Inbox()

    def start(self) -> None:
        """Begin; returns at once."""
        client = clusters.client(self.cluster)
        pods = Watcher(
            client, "Pod", labels=labels.selector(settings.SITE_IDENTITY), on_sync=self._pods, on_event=self._pod,
            relist_seconds=RELIST_SECONDS,
        )  # fmt: skip
        events = Watcher(
            client, "Event", fields="involvedObject.kind=Pod", on_sync=self._events, on_event=self._event,
            relist_seconds=RELIST_SECONDS,
        )  # fmt: skip
        self._thread("pods", lambda: pods.run(self.stop))
        self._thread("events", lambda: events.run(self.stop))
        self._thread("rows", self._write)

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

    def _write_some(self, told: dict[UUID, Told]) -> None:
        """Without the data base all of it waits; an odd item does not keep the others from theirs."""
        close_old_connections()
        try:
            observe(told, now=timezone.now())
        except (OperationalError, InterfaceError) as error:
            log.warning("watch of %s: %s; trying again", self.cluster, error)
            self.inbox.put_back(told)
            self.stop.wait(RETRY_SECONDS)
        except Exception:
            log.exception("watch of %s", self.cluster)
            if len(told) > 1:
                for pk, one in told.items():
                    self._write_some({pk: one})
