"""The control plane can be broken and set back, and takes nodes of ours. One of its own, since it does not stay whole."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s.client import Client, Gone, Unavailable
from tests.controlplane import programs
from tests.support.cluster import is_ready, wait_for
from tests.support.controlplane import ControlPlane

pytestmark = [pytest.mark.k8s, pytest.mark.slow]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    if os.environ.get("KUBECONFIG"):
        pytest.skip("kills the API server, and KUBECONFIG names one that is not the tests' own")
    if why := programs.missing():
        pytest.skip(why)
    with ControlPlane.start(tmp_path_factory.mktemp("plane")) as started:
        yield started


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


def names(client: Client) -> set[str]:
    return {item["metadata"]["name"] for item in client.list("ConfigMap", "default").items}


def test_a_killed_server_comes_back_with_what_it_had_and_an_older_watch_is_told_to_list_again(
    plane: ControlPlane,
) -> None:
    client = Client.from_kubeconfig(plane.kubeconfig, retries=0)
    version = client.list("ConfigMap", "default").resource_version
    client.apply(config_map("kept"))
    plane.kill("kube-apiserver")
    with pytest.raises(Unavailable):
        client.version()
    plane.restart("kube-apiserver")
    assert "kept" in names(client)
    client.apply(config_map("after"))
    with pytest.raises(Gone, match="too old resource version"):
        list(client.watch("ConfigMap", namespace="default", resource_version=version, timeout_seconds=2))


def test_a_cluster_set_back_has_what_it_had_then(plane: ControlPlane, tmp_path: Path) -> None:
    client = plane.client()
    client.apply(config_map("before"))
    snapshot = plane.snapshot(tmp_path / "snapshot")
    client.apply(config_map("since"))
    plane.restore(snapshot)
    assert "before" in names(client)
    assert "since" not in names(client)


def test_a_hollow_node_runs_pods_until_it_is_detached(plane: ControlPlane) -> None:
    client = plane.client()
    plane.attach_kubelet("hollow", hollow=True, capacity={"cpu": "4"})
    container = {"name": "c", "image": "busybox:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}}
    client.apply({**pod, "spec": {"containers": [container]}})
    wait_for("the pod is ready", lambda: is_ready(client.get("Pod", "p", "default")))
    plane.detach("hollow")
    assert not client.list("Node").items
    wait_for("the pod is gone", lambda: not client.list("Pod", "default").items)


def test_an_ingress_answers_and_keeps_its_port(plane: ControlPlane) -> None:
    port = plane.attach_ingress()
    plane.kill("ingress")
    assert plane.attach_ingress() == port
    with pytest.raises(urllib.error.HTTPError) as unknown:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
    assert unknown.value.code == 404
    plane.detach("ingress")


def test_the_audit_log_tells_of_every_answered_call(plane: ControlPlane) -> None:
    before = len(plane.audit("admin"))
    plane.client().list("Pod", "default")
    (call,) = plane.audit("admin")[before:]
    assert (call["verb"], call["objectRef"]["resource"], call["responseStatus"]["code"]) == ("list", "pods", 200)
    assert not plane.audit("nobody")


def test_what_was_started_is_known_by_its_process_and_ended_by_it(plane: ControlPlane) -> None:
    process = plane.processes.find("kube-scheduler")
    assert process
    plane.stop_one("kube-scheduler")
    assert not process.is_running()
    assert plane.processes.find("kube-scheduler") is None
    plane.restart("kube-scheduler")
    assert plane.processes.find("kube-scheduler").pid != process.pid  # type: ignore[union-attr]
