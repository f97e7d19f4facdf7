"""The connections to the clusters: one client a process and cluster, reused."""

from __future__ import annotations

import functools
import os

from django.conf import settings

from k8s.client import Client
from k8s.errors import Unavailable
from labs.models import Cluster
from labs.models.cluster import Connection

USER_TIMEOUT = 5.0
#: Part of the version by which the embedded cluster tells what it is.
EMBEDDED = "devcluster"


def client(cluster: Cluster) -> Client:
    """The client of this cluster, made anew when its connection or its kubeconfig has changed. Raises k8s.errors.Unavailable."""
    if cluster.connection == Connection.IN_CLUSTER:
        return _in_cluster()
    try:
        changed = os.stat(cluster.kubeconfig_file).st_mtime_ns
    except OSError:
        changed = 0
    return _from_file(cluster.kubeconfig_file, changed)


@functools.lru_cache(maxsize=1)
def _in_cluster() -> Client:
    return Client.from_in_cluster(timeout=USER_TIMEOUT)


@functools.lru_cache(maxsize=32)
def _from_file(path: str, changed: int) -> Client:
    found = Client.from_kubeconfig(path, timeout=USER_TIMEOUT)
    if not settings.EMBEDDED_CLUSTER and EMBEDDED in found.version():
        raise Unavailable(
            "The embedded cluster is for laptops: it runs labs as processes of this machine. It needs DEBUG."
        )
    return found
