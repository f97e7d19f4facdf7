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
    """What the watches tell, gathered by pod until it is taken: of many changes of a pod only the last counts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        #: By uid of the pod, as is all that follows.
        self._told: dict[str, Told] = {}
        #: Kubernetes' Events name the pod only; its workload is known from the watch of pods.
        self._workload_of: dict[str, UUID] = {}
        #: Pods that do not answer yet or are to go, for Events that come without a change of the pod.
        self._waiting: dict[str, dict[str, Any]] = {}
        self._early: deque[dict[str, Any]] = deque(maxlen=EARLY_EVENTS)

    def pod(self, pod: dict[str, Any], *, gone: bool = False) -> None:
        """A pod with our labels was added, changed or removed."""
        uid, workload = pod["metadata"]["uid"], _workload(pod)
        if workload is None:
            return
        with self._changed:
            told = self._told.setdefault(uid, Told(workload))
            told.pod, told.gone = pod, gone
            if gone:
                self._workload_of.pop(uid, None)
            elif uid not in self._workload_of:
                self._workload_of[uid] = workload
                told.events += [event for event in self._early if _about(event) == uid]
            if gone or (is_ready(pod) and not pod["metadata"].get("deletionTimestamp")):
                self._waiting.pop(uid, None)
            else:
                self._waiting[uid] = pod
            self._changed.notify()

    def event(self, event: dict[str, Any]) -> None:
        """The cluster said something about a pod."""
        with self._changed:
            uid = _about(event)
            if uid not in self._workload_of:
                self._early.append(event)
                return
            told = self._told.setdefault(uid, Told(self._workload_of[uid], pod=self._waiting.get(uid)))
            told.events.append(event)
            self._changed.notify()

    def only(self, pods: list[dict[str, Any]]) -> None:
        """These pods are all that there are: what else was known is forgotten."""
        with self._changed:
            there = {pod["metadata"]["uid"] for pod in pods}
            self._workload_of = {uid: pk for uid, pk in self._workload_of.items() if uid in there}
            self._waiting = {uid: pod for uid, pod in self._waiting.items() if uid in there}

    def look_again(self) -> None:
        """Tell once more of the pods that do not answer yet, or should have gone."""
        with self._changed:
            for uid, pod in self._waiting.items():
                self._told.setdefault(uid, Told(self._workload_of[uid], pod=pod))
            self._changed.notify()

    def wait(self, seconds: float) -> bool:
        """Until there is something, at most so long."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._told), seconds)

    def take(self, most: int) -> dict[str, Told]:
        """The oldest of what was told."""
        with self._changed:
            return {uid: self._told.pop(uid) for uid in list(self._told)[:most]}

    def put_back(self, told: dict[str, Told]) -> None:
        """It could not be written. What was told since then is newer."""
        with self._changed:
            for uid, old in told.items():
                newer = self._told.setdefault(uid, old)
                if newer is not old:
                    newer.events[:0] = old.events


def _workload(pod: dict[str, Any]) -> UUID | None:
    try:
        return UUID(pod["metadata"]["labels"][labels.WORKLOAD])
    except (KeyError, ValueError):
        return None  # Somebody's hand-made label: not ours.


def _about(event: dict[str, Any]) -> str:
    return str(event.get("involvedObject", {}).get("uid", ""))
