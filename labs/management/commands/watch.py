"""The watcher: turns what happens on the clusters into rows, and ends what is over to the second."""

import logging
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from k8s.errors import Error
from labs.models import Cluster
from labs.rules.queue import remind
from labs.services.leading import LedWatch, connection, new_identity
from labs.services.sweep import end_due

log = logging.getLogger(__name__)
TICK_SECONDS = 2.0
#: Without a tick for so long, this program hangs, and what it leads is another's.
HANGS_SECONDS = 60.0


class Command(BaseCommand):
    help = "Watch the clusters until stopped. If several run, one watches each cluster, and another takes over if it fails."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.identity, self.ticked = new_identity(), time.monotonic()
        watched: dict[int, LedWatch] = {}
        while not stop.is_set():
            self.ticked = time.monotonic()
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
            one.stop()
        for one in watched.values():
            one.join(5)

    def watch_clusters(self, watched: dict[int, LedWatch]) -> None:
        """Begin with clusters that are new or reached in another way, let go of those that went."""
        clusters = {cluster.pk: cluster for cluster in Cluster.objects.all()}
        for pk in list(watched):
            if pk not in clusters or connection(clusters[pk]) != watched[pk].connection:
                watched.pop(pk).stop()
        for pk in clusters.keys() - watched.keys():
            watched[pk] = LedWatch(clusters[pk], identity=self.identity, is_alive=self.is_alive)
            watched[pk].start()

    def is_alive(self) -> bool:
        """Whether the loop above still goes round."""
        return time.monotonic() - self.ticked < HANGS_SECONDS
