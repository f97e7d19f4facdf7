"""What the watches of a cluster tell, until it is written."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any
from uuid import UUID

from k8s import labels

from .observe import Told, is_ready

#: Events that came before their pod was told of.
EARLY_EVENTS = 200


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
