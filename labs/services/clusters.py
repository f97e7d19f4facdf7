"""The connections to the clusters: one client a process and cluster, reused."""

from __future__ import annotations

import functools
import os

from k8s.client import Client
from labs.models import Cluster
from labs.models.cluster import Connection

USER_TIMEOUT = 5.0


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
    return Client.from_kubeconfig(path, timeout=USER_TIMEOUT)
