"""Two watches a cluster, whatever the number of workloads: pods, and what the cluster says of pods."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from k8s import labels
from k8s.errors import Unavailable
from k8s.watch import Watcher
from labs.models import Cluster

from . import clusters, hearing, observe

log = logging.getLogger(__name__)
RELIST_SECONDS = 300
#: Between two looks at whether the cluster answers. They cost it nothing: what is looked at is the watch.
LOOK_SECONDS = 2.0
#: Between two tries to reach a cluster that was lost.
LONGEST_DELAY = 10.0
#: Pods whose events are remembered: more than any cluster of ours runs at once.
KNOWN_PODS = 20_000


class ClusterWatch:
    """The watches of one cluster, each in a thread of its own until `stop` is set."""

    def __init__(self, cluster: Cluster, stop: threading.Event) -> None:
        self.cluster = cluster
        self.stop = stop
        #: Kubernetes' events name the pod by uid only; its workload is known from the watch of pods.
        self.workload_of: dict[str, str] = {}

    def start(self) -> None:
        """Begin; returns at once. Raises k8s.errors.Unavailable when the connection cannot even be made."""
        try:
            client = clusters.client(self.cluster)
        except Unavailable as error:
            hearing.silent(self.cluster.pk, error.message)
            raise
        pods = Watcher(
            client, "Pod", labels=labels.selector(settings.SITE_IDENTITY), on_sync=self._each(self.pod), on_event=self.pod_event,
            relist_seconds=RELIST_SECONDS, longest_delay=LONGEST_DELAY,
        )  # fmt: skip
        events = Watcher(
            client, "Event", fields="involvedObject.kind=Pod", on_sync=self._each(self.event), on_event=self.event_event,
            relist_seconds=RELIST_SECONDS, longest_delay=LONGEST_DELAY,
        )  # fmt: skip
        for name, run in (("pods", pods.run), ("events", events.run), ("hearing", partial(self._hear, pods))):
            threading.Thread(target=run, args=(self.stop,), name=f"{self.cluster.slug}-{name}", daemon=True).start()

    def _hear(self, pods: Watcher, stop: threading.Event) -> None:
        """Note for as long as it is watched whether the cluster answers."""
        while not stop.wait(LOOK_SECONDS):
            try:
                close_old_connections()
                if pods.answers:
                    hearing.heard(self.cluster.pk, now=timezone.now())
                elif pods.problem:
                    hearing.silent(self.cluster.pk, pods.problem)
            except Exception:
                log.exception("watch: whether %s answers", self.cluster)

    def _each(self, handle: Callable[[dict[str, Any]], None]) -> Callable[[list[dict[str, Any]]], None]:
        """A handler of a whole list from a handler of one: an odd item does not keep the others from theirs."""

        def handle_all(items: list[dict[str, Any]]) -> None:
            for item in items:
                try:
                    handle(item)
                except Exception:
                    log.exception("watch: an item of the list of %s", self.cluster)

        return handle_all

    def pod_event(self, change: str, pod: dict[str, Any]) -> None:
        if change == "DELETED":
            close_old_connections()
            self.workload_of.pop(pod["metadata"]["uid"], None)
            observe.pod_gone(pod, now=timezone.now())
        else:
            self.pod(pod)

    def pod(self, pod: dict[str, Any]) -> None:
        close_old_connections()
        if len(self.workload_of) > KNOWN_PODS:
            self.workload_of.clear()
        self.workload_of[pod["metadata"]["uid"]] = pod["metadata"]["labels"][labels.WORKLOAD]
        observe.pod_changed(pod, now=timezone.now())

    def event_event(self, change: str, event: dict[str, Any]) -> None:
        if change != "DELETED":
            self.event(event)

    def event(self, event: dict[str, Any]) -> None:
        pk = self.workload_of.get(event.get("involvedObject", {}).get("uid", ""))
        if pk:
            close_old_connections()
            observe.event_seen(pk, event, now=timezone.now())
