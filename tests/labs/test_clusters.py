"""Connections to clusters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.exceptions import ValidationError

from k8s.errors import Unavailable
from labs.models import Cluster
from labs.models.cluster import check_networks
from labs.services import clusters, leading
from tests.support.kubeconfigs import named


def test_the_embedded_cluster_is_refused_outside_of_debug(embedded_kubeconfig: str, settings: object) -> None:
    cluster = Cluster(connection="file", kubeconfig_file=named(embedded_kubeconfig))
    clusters._from_file.cache_clear()
    settings.EMBEDDED_CLUSTER = False  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="for laptops"):
        clusters.client(cluster)
    settings.EMBEDDED_CLUSTER = True  # type: ignore[attr-defined]
    assert clusters.client(cluster).version()


def test_a_changed_kubeconfig_is_read_again(embedded_kubeconfig: str, tmp_path: Path, settings: Any) -> None:
    settings.EMBEDDED_CLUSTER = True
    copy = tmp_path / "kubeconfig"
    copy.write_text(Path(embedded_kubeconfig).read_text())
    cluster = Cluster(connection="file", kubeconfig_file=named(copy))
    first = clusters.client(cluster)
    assert clusters.client(cluster) is first
    copy.write_text(copy.read_text() + "\n")
    assert clusters.client(cluster) is not first


def test_a_path_in_the_row_is_never_opened(embedded_kubeconfig: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # whoever opens it, waits
    for path in (embedded_kubeconfig, tmp_path / "pipe", "/proc/self/environ"):
        cluster = Cluster(connection="file", kubeconfig_file=str(path))
        with pytest.raises(Unavailable, match="KUBECONFIG_FILES"):
            clusters.client(cluster)
        assert leading.connection(cluster)


def test_what_is_no_regular_file_of_bounded_size_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "long").write_bytes(b"#" * 1_000_001)
    told = {
        tmp_path / "pipe": "not a regular file", Path("/dev/zero"): "not a regular file", tmp_path / "folder": "not a regular",
        tmp_path / "long": "longer than", tmp_path / "absent": "No such file",
    }  # fmt: skip
    for path, why in told.items():
        with pytest.raises(Unavailable, match=why):
            clusters.client(Cluster(connection="file", kubeconfig_file=named(path)))


@pytest.mark.parametrize("way", ["exec", "auth-provider", "tokenFile", "client-certificate"])
def test_a_file_runs_programs_and_reads_files_only_where_the_operator_trusts_it(
    embedded_kubeconfig: str, tmp_path: Path, settings: Any, way: str
) -> None:
    settings.EMBEDDED_CLUSTER = True
    config = yaml.safe_load(Path(embedded_kubeconfig).read_text())
    user = config["users"][0]["user"]
    token, ran, program = user.pop("token"), tmp_path / "ran", tmp_path / "program"
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    program.write_text(f"#!/bin/sh\ntouch {ran}\necho '{json.dumps(answer)}'\n")
    program.chmod(0o700)
    (tmp_path / "token").write_text(f"{token}\n")
    user |= {
        "exec": {"exec": {"apiVersion": answer["apiVersion"], "command": "./program"}},
        "auth-provider": {"auth-provider": {"name": "gcp", "config": {"cmd-path": str(program)}}},
        "tokenFile": {"tokenFile": "token"},
        "client-certificate": {"token": token, "client-certificate": "absent.pem"},
    }[way]
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    with pytest.raises(Unavailable, match=f"Not allowed here: {way}"):
        clusters.client(Cluster(connection="file", kubeconfig_file=named(file)))
    assert not ran.exists()
    if way in ("exec", "tokenFile"):
        assert clusters.client(Cluster(connection="file", kubeconfig_file=named(file, trusted=True))).version()


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
