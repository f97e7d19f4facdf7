"""Who watches a cluster: of all programs that could, the one that holds its lease. The cluster keeps the lease, so each has its own."""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import socket
import threading
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from k8s.errors import Error
from k8s.lease import Election
from k8s.names import object_name
from k8s.repeats import Repeats
from labs.models import Cluster
from labs.rules.queue import enqueue

from . import clusters
from .watching import ClusterWatch

log = logging.getLogger(__name__)
#: Seconds between tries to reach a cluster whose connection cannot be used.
RETRY_SECONDS = 5.0


def lease_name() -> str:
    """The lease for which this site's watchers stand on a cluster: another site's have another."""
    identity = settings.SITE_IDENTITY
    return object_name(f"watcher-{identity}", uuid.uuid5(uuid.NAMESPACE_URL, identity))


def new_identity() -> str:
    """Whose lease it is, for people to read; never the same twice, so that nobody takes a dead one's lease for its own."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"[-63:].lstrip("-.")


def connection(cluster: Cluster) -> Any:
    """Changes with anything that a person can change of a cluster, and with its kubeconfig file; not with what is observed."""
    fields = {
        field.attname: getattr(cluster, field.attname) for field in cluster._meta.concrete_fields if field.editable
    }
    try:
        text = clusters.file_text(cluster)
    except Error as problem:
        text = problem.message
    return fields, hashlib.sha256(text.encode()).digest()


class LedWatch:
    """Stands for the lease of one cluster in a thread of its own, and watches the cluster for as long as it leads."""

    def __init__(self, cluster: Cluster, *, identity: str, is_alive: Callable[[], bool]) -> None:
        """`is_alive`: whether this program makes progress; one that hangs leaves the cluster to another."""
        self.cluster, self.connection = cluster, connection(cluster)
        self._identity, self._is_alive = identity, is_alive
        self._stop = threading.Event()
        self._watch_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{cluster.slug}-lease", daemon=True)

    def start(self) -> None:
        """Begin; returns at once, whatever the cluster does."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the cluster; returns at once. `join` waits until the lease is another's to take."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        trouble = Repeats(log)
        while not self._stop.is_set():
            try:
                election = Election(
                    clusters.client(self.cluster), namespace=settings.SITE_NAMESPACE, name=lease_name(),
                    identity=self._identity, is_alive=self._is_alive, where=self.cluster.slug,
                )  # fmt: skip
                election.run(self._stop, on_lead=self._watch, on_lost=self._let_go)
            except Error as problem:
                trouble.warn(f"cluster {self.cluster.slug}: {problem.message}")
            except Exception:
                log.exception("cluster %s", self.cluster.slug)
            self._stop.wait(RETRY_SECONDS)

    def _watch(self) -> None:
        self._watch_over = threading.Event()
        ClusterWatch(self.cluster, self._watch_over).start()
        # What nobody watched meanwhile, or a cluster that was set back: the rows are held against it now, not in a minute.
        close_old_connections()
        enqueue("run_sweep")

    def _let_go(self) -> None:
        self._watch_over.set()
