"""The watcher: turns what happens on the clusters into rows, and ends what is over to the second."""

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from k8s.errors import Error
from labs.models import Cluster
from labs.services.queue import remind
from labs.services.sweep import end_due
from labs.services.watching import ClusterWatch

log = logging.getLogger(__name__)
TICK_SECONDS = 2.0


class Command(BaseCommand):
    help = "Watch the clusters until told to stop. More than one may run: every change is a compare-and-set."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        watched: dict[int, threading.Event] = {}
        while not stop.is_set():
            close_old_connections()
            try:
                self.watch_clusters(watched)
                end_due(timezone.now())
                remind(timezone.now())
            except (DatabaseError, Error) as error:
                log.warning("watch: %s; trying again", error)
            except Exception:
                log.exception("watch: trying again")
            stop.wait(TICK_SECONDS)
        for one in watched.values():
            one.set()

    def watch_clusters(self, watched: dict[int, threading.Event]) -> None:
        """Begin with clusters that are new, let go of those that went."""
        clusters = {cluster.pk: cluster for cluster in Cluster.objects.all()}
        for pk in watched.keys() - clusters.keys():
            watched.pop(pk).set()
        for pk in clusters.keys() - watched.keys():
            one = threading.Event()
            ClusterWatch(clusters[pk], one).start()
            watched[pk] = one
