"""Connections to clusters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from k8s.errors import Unavailable
from labs.models import Cluster
from labs.models.cluster import check_networks
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


@pytest.mark.parametrize(
    ("server", "left_out"),
    [("8.8.8.8", ["8.8.8.8/32"]), ("2606:4700::1111", ["2606:4700::1111/128"]), ("10.0.0.1", []), ("localhost", []),
     ("", []), ("no-such-name.invalid", [])],
)  # fmt: skip
def test_labs_do_not_reach_a_public_api_server_nor_what_the_row_names(server: str, left_out: list[str]) -> None:
    cluster = Cluster(forbidden_networks=["203.0.113.0/24"])
    assert clusters.forbidden_networks(cluster, server) == ["203.0.113.0/24", *left_out]


@pytest.mark.parametrize("value", [["10.0.0.1/8"], ["x"], "10.0.0.0/8", [5]])
def test_networks_that_are_none_are_not_kept(value: object) -> None:
    with pytest.raises(ValidationError):
        check_networks(value)
