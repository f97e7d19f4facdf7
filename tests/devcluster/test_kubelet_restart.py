"""What becomes of pods when the kubelet is killed, stopped and started again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from k8s.devcluster.kubeapi import path_of
from tests.devcluster.kubelet_cluster import Cluster, Program, ready, state, until

pytestmark = pytest.mark.slow


class Node:
    """A kubelet that can be ended and started again."""

    def __init__(self, kubeconfig: str, folder: Path, **options: Any) -> None:
        self.name = f"node-{folder.name}".replace("_", "-")
        self.folder = folder / "state"
        self.cluster = Cluster(Path(kubeconfig))
        base = {"kubeconfig": kubeconfig, "dir": self.folder, "node_name": self.name, "capacity": None, "hollow": False}
        self._options = {**base, "images_dir": folder / "images", "backoff": 1.0, **options}
        self.kubelet = self.start()

    def start(self) -> Program:
        self.kubelet = Program("kubelet", **self._options)
        return self.kubelet

    def pid(self, uid: str) -> int:
        """The process of a pod's only container, from the state of its newest run."""
        import json

        runs = sorted(
            (self.folder / "pods" / uid).glob("containers/*/*/state.json"), key=lambda path: int(path.parent.name)
        )
        return int(json.loads(runs[-1].read_text())["pid"])


@pytest.fixture
def node(kubeconfig: str, tmp_path: Path) -> Iterator[Node]:
    node = Node(kubeconfig, tmp_path)
    yield node
    node.kubelet.stop()
    node.cluster.call("DELETE", path_of("nodes", None, node.name))


def running(node: Node, **spec: Any) -> tuple[str, str]:
    """Name and uid of a pod that runs."""
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    command = ["sh", "-c", "echo run >> /data/runs; exec sleep 300"]
    volumes = [{"name": "v", "emptyDir": {}}]
    name = node.cluster.pod(node.name, {"command": command, **mount}, volumes=volumes, **spec)
    return name, node.cluster.pod_when(name, ready, "ready")["metadata"]["uid"]


def test_a_killed_kubelet_leaves_containers_running_and_takes_them_up_again(node: Node) -> None:
    name, uid = running(node)
    pid = node.pid(uid)
    node.kubelet.kill()
    assert psutil.pid_exists(pid)
    node.start()
    node.cluster.delete("pods", name)
    until(lambda: node.cluster.get("pods", name) is None, "gone")
    assert not psutil.pid_exists(pid)


def test_a_restarted_kubelet_knows_the_exit_code_of_what_ended_meanwhile(node: Node) -> None:
    name, uid = running(node, restartPolicy="Never")
    node.kubelet.kill()
    psutil.Process(node.pid(uid)).kill()
    until(lambda: list((node.folder / "pods" / uid).glob("containers/*/*/exit.json")), "its end recorded")
    node.start()
    pod = node.cluster.pod_when(name, lambda pod: pod["status"]["phase"] == "Failed", "failed")
    assert state(pod)["terminated"]["exitCode"] == 137


def test_a_pod_stays_ready_through_a_restart_and_is_not_started_twice(node: Node) -> None:
    name, uid = running(node)
    pid = node.pid(uid)
    address = node.cluster.get("pods", name)["status"]["podIP"]  # type: ignore[index]
    node.kubelet.kill()
    node.start()
    other, _ = running(node)
    pod = node.cluster.pod_when(name, ready, "ready")
    assert (node.pid(uid), pod["status"]["podIP"]) == (pid, address)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    for one in (name, other):
        node.cluster.delete("pods", one)


def test_a_stopped_kubelet_ends_all_processes_and_starts_the_pods_again(node: Node) -> None:
    name, uid = running(node, restartPolicy="Never")
    pid = node.pid(uid)
    node.kubelet.stop()
    assert not psutil.pid_exists(pid)
    assert node.cluster.get("pods", name)["status"]["phase"] == "Running"  # type: ignore[index]
    node.start()
    kept = node.folder / "pods" / uid / "volumes" / "v" / "runs"
    until(lambda: kept.read_text() == "run\nrun\n", "started again with the same volumes")
    until(lambda: psutil.pid_exists(node.pid(uid)), "process started")
    node.cluster.pod_when(name, ready, "ready")


def test_what_was_deleted_while_no_kubelet_ran_is_cleaned_up(node: Node) -> None:
    name, uid = running(node)
    pid = node.pid(uid)
    node.kubelet.kill()
    node.cluster.delete("pods", name, gracePeriodSeconds=0)
    until(lambda: node.cluster.get("pods", name) is None, "gone")
    node.start()
    until(lambda: not psutil.pid_exists(pid), "process killed")
    until(lambda: not (node.folder / "pods" / uid).exists(), "folder removed")


def test_hollow_pods_become_ready_without_processes_and_go_at_once(kubeconfig: str, tmp_path: Path) -> None:
    node = Node(kubeconfig, tmp_path, hollow=True, hollow_delay=0.2)
    names = [node.cluster.pod(node.name, {"image": "anything:1"}) for _ in range(5)]
    for name in names:
        node.cluster.pod_when(name, ready, "ready")
        node.cluster.delete("pods", name)
        until(lambda name=name: node.cluster.get("pods", name) is None, "gone")  # type: ignore[misc]
    assert not list((tmp_path / "state" / "pods").iterdir())
    node.kubelet.stop()
    node.cluster.call("DELETE", path_of("nodes", None, node.name))
