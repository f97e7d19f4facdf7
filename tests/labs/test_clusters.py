"""Connections to clusters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from k8s.errors import Unavailable
from labs.models import Cluster
from labs.services import clusters


def test_the_embedded_cluster_is_refused_outside_of_debug(embedded_kubeconfig: str, settings: object) -> None:
    cluster = Cluster(connection="file", kubeconfig_file=embedded_kubeconfig)
    clusters._from_file.cache_clear()
    settings.EMBEDDED_CLUSTER = False  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="for laptops"):
        clusters.client(cluster)
    settings.EMBEDDED_CLUSTER = True  # type: ignore[attr-defined]
    assert clusters.client(cluster).version()


def test_a_changed_kubeconfig_is_read_again(embedded_kubeconfig: str, tmp_path: object, settings: object) -> None:
    settings.EMBEDDED_CLUSTER = True  # type: ignore[attr-defined]
    copy = tmp_path / "kubeconfig"  # type: ignore[operator]
    copy.write_text(Path(embedded_kubeconfig).read_text())
    cluster = Cluster(connection="file", kubeconfig_file=str(copy))
    first = clusters.client(cluster)
    assert clusters.client(cluster) is first
    os.utime(copy, ns=(1, 1))
    assert clusters.client(cluster) is not first
