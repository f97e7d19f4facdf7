"""Pods that run as processes, seen through the API server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from k8s.devcluster.kubeapi import path_of
from k8s.devcluster.kubelet.process import shim
from tests.devcluster.kubelet_cluster import (
    IMAGES,
    ROOT,
    Cluster,
    Program,
    last,
    ready,
    restarts,
    state,
    until,
    waiting,
)

pytestmark = pytest.mark.slow
SLEEP = {"command": ["sh", "-c", "exec sleep 300"]}


@pytest.fixture(scope="module", params=["translated", "namespaces"])
def node(request: pytest.FixtureRequest, kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A kubelet of each kind; where the machine has no user namespaces, both translate."""
    folder = tmp_path_factory.mktemp("kubelet")
    name = f"node-{folder.name}-{request.param}".replace("_", "-")
    cluster = Cluster(Path(kubeconfig))
    kubelet = Program(
        "kubelet",
        kubeconfig=kubeconfig,
        dir=folder,
        node_name=name,
        capacity=None,
        hollow=False,
        images_dir=IMAGES,
        backoff=1.0,
        namespaces=None if request.param == "namespaces" else False,
    )
    yield SimpleNamespace(cluster=cluster, name=name, folder=folder, kubelet=kubelet)
    kubelet.stop()
    cluster.call("DELETE", path_of("nodes", None, name))


def test_the_node_is_ready_and_says_what_it_has(node: Any) -> None:
    path = path_of("nodes", None, node.name)

    def registered() -> Any:
        listed = {one["metadata"]["name"] for one in node.cluster.call("GET", path_of("nodes"))["items"]}
        return node.name in listed and node.cluster.call("GET", path).get("status", {}).get("capacity")

    assert {"cpu", "memory", "pods", "ephemeral-storage"} <= set(until(registered, "node registered"))
    assert not node.cluster.call("GET", path)["spec"].get("taints")


def test_a_pod_that_succeeds_says_so(node: Any) -> None:
    name = node.cluster.pod(node.name, {"command": ["sh", "-c", "echo done"]}, restartPolicy="Never")
    pod = node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Succeeded", "succeeded")
    assert state(pod)["terminated"]["reason"] == "Completed"
    assert node.cluster.log(name) == "done\n"


def test_an_exit_code_is_reported(node: Any) -> None:
    name = node.cluster.pod(node.name, {"command": ["sh", "-c", "exit 3"]}, restartPolicy="Never")
    pod = node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Failed", "failed")
    assert (state(pod)["terminated"]["exitCode"], state(pod)["terminated"]["reason"]) == (3, "Error")


def test_a_container_that_keeps_ending_backs_off(node: Any) -> None:
    name = node.cluster.pod(node.name, {"command": ["sh", "-c", "echo again; exit 4"]})
    pod = node.cluster.pod_when(name, lambda pod: waiting(pod) == "CrashLoopBackOff", "CrashLoopBackOff")
    assert last(pod)["exitCode"] == 4
    assert pod["status"]["containerStatuses"][0]["restartCount"] >= 1
    assert pod["status"]["phase"] == "Running"
    node.cluster.event_when(name, "BackOff", "Back-off restarting failed container c0 in pod")
    assert node.cluster.log(name, previous="true") == "again\n"
    node.cluster.delete("pods", name)


def test_too_much_memory_ends_in_oomkilled(node: Any) -> None:
    hog = {"image": "python:3", "command": ["python3", "-c", "x = b'x' * 200_000_000; import time; time.sleep(300)"]}
    name = node.cluster.pod(node.name, {**hog, "resources": {"limits": {"memory": "64Mi"}}}, restartPolicy="Never")
    pod = node.cluster.pod_when(name, lambda pod: "terminated" in state(pod), "terminated")
    assert (state(pod)["terminated"]["reason"], state(pod)["terminated"]["exitCode"]) == ("OOMKilled", 137)


def test_an_image_that_is_not_here_cannot_be_pulled(node: Any) -> None:
    name = node.cluster.pod(node.name, {"image": "nosuch:1"})
    pod = node.cluster.pod_when(name, lambda pod: waiting(pod) == "ImagePullBackOff", "ImagePullBackOff")
    assert 'Back-off pulling image "nosuch:1"' in state(pod)["waiting"]["message"]
    assert pod["status"]["phase"] == "Pending"
    node.cluster.event_when(name, "Failed", "Error: ErrImagePull")
    node.cluster.event_when(name, "Failed", 'Failed to pull image "nosuch:1"')
    node.cluster.delete("pods", name)


def test_a_command_that_is_not_there_is_a_start_error(node: Any) -> None:
    name = node.cluster.pod(node.name, {"command": ["nonsense"]})
    pod = node.cluster.pod_when(name, last, "StartError")
    assert last(pod)["reason"] == "StartError"
    assert '"nonsense": executable file not found in $PATH' in last(pod)["message"]
    node.cluster.delete("pods", name)


def test_init_containers_run_in_order_before_the_others(node: Any) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    steps = [
        {"name": f"i{number}", "image": "busybox:1", "command": ["sh", "-c", f"echo {number} >> /data/steps"], **mount}
        for number in (1, 2)
    ]
    main = {"command": ["cat", "/data/steps"], **mount}
    name = node.cluster.pod(
        node.name, main, restartPolicy="Never", initContainers=steps, volumes=[{"name": "v", "emptyDir": {}}]
    )
    pod = node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Succeeded", "succeeded")
    assert node.cluster.log(name) == "1\n2\n"
    assert [one["ready"] for one in pod["status"]["initContainerStatuses"]] == [True, True]


def test_a_failing_init_container_fails_a_pod_that_is_never_restarted(node: Any) -> None:
    step = {"name": "clone", "image": "busybox:1", "command": ["sh", "-c", "exit 128"]}
    name = node.cluster.pod(node.name, SLEEP, restartPolicy="Never", initContainers=[step])
    pod = node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Failed", "failed")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 128
    assert waiting(pod) == "PodInitializing"


def test_secrets_are_files_and_variables(node: Any) -> None:
    node.cluster.secret("keys", **{"a.json": '{"x": 1}', "token": "t0ken"})
    name = node.cluster.pod(
        node.name,
        {
            "command": [
                "sh",
                "-c",
                "stat -L -c %a /etc/lab/renamed; cat /etc/lab/renamed; echo $TOKEN $(IP) $HOSTNAME",
            ],
            "env": [
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            "volumeMounts": [{"name": "s", "mountPath": "/etc/lab"}],
        },
        restartPolicy="Never",
        volumes=[
            {
                "name": "s",
                "secret": {"secretName": "keys", "defaultMode": 0o440, "items": [{"key": "a.json", "path": "renamed"}]},
            }
        ],
    )
    pod = node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Succeeded", "succeeded")
    assert node.cluster.log(name) == f'440\n{{"x": 1}}t0ken {pod["status"]["podIP"]} {name}\n'


def test_a_missing_secret_is_an_event_and_then_found(node: Any) -> None:
    volume = {"name": "s", "secret": {"secretName": "late"}}
    mounted = {"command": ["cat", "/etc/lab/k"], "volumeMounts": [{"name": "s", "mountPath": "/etc/lab"}]}
    name = node.cluster.pod(node.name, mounted, restartPolicy="Never", volumes=[volume])
    node.cluster.event_when(name, "FailedMount", 'MountVolume.SetUp failed for volume "s" : secret "late" not found')
    node.cluster.secret("late", k="v")
    node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Succeeded", "succeeded")
    assert node.cluster.log(name) == "v\n"


def test_a_pod_sees_nothing_of_the_sites_environment(node: Any) -> None:
    name = node.cluster.pod(node.name, {"command": ["env"]}, restartPolicy="Never")
    node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Succeeded", "succeeded")
    names = {line.partition("=")[0] for line in node.cluster.log(name).splitlines()}
    assert names <= {"PATH", "HOME", "LANG", "TZ", "HOSTNAME", "TMPDIR", "PWD"}


@pytest.mark.parametrize("kind", ["exec", "tcpSocket", "httpGet"])
def test_a_pod_is_ready_when_its_probe_succeeds(node: Any, kind: str) -> None:
    serve = "import http.server, os, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=8080, bind=sys.argv[1])"
    action: Any = {
        "exec": {"command": ["true"]},
        "tcpSocket": {"port": "web"},
        "httpGet": {"path": "/", "port": "web"},
    }[kind]
    name = node.cluster.pod(
        node.name,
        {
            "image": "python:3",
            "command": ["python3", "-c", serve, "$(IP)"],
            "ports": [{"name": "web", "containerPort": 8080}],
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "readinessProbe": {kind: action, "periodSeconds": 1},
        },
    )
    node.cluster.pod_when(name, ready, "ready")
    node.cluster.delete("pods", name, gracePeriodSeconds=0)


def test_a_failing_readiness_probe_keeps_a_pod_unready_and_is_told(node: Any) -> None:
    probe = {"httpGet": {"path": "/api", "port": 8888}, "periodSeconds": 1}
    name = node.cluster.pod(node.name, {**SLEEP, "readinessProbe": probe})
    node.cluster.event_when(name, "Unhealthy", "Readiness probe failed: Get")
    pod = node.cluster.get("pods", name)
    assert "running" in state(pod)
    assert not ready(pod)
    node.cluster.delete("pods", name)


def test_a_failing_liveness_probe_restarts_the_container(node: Any) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    name = node.cluster.pod(node.name, {**SLEEP, "livenessProbe": probe})
    node.cluster.pod_when(name, lambda pod: restarts(pod) > 0, "restarted")
    node.cluster.event_when(name, "Killing", "Container c0 failed liveness probe, will be restarted")
    node.cluster.delete("pods", name)


def test_deletion_lets_the_container_end_and_leaves_nothing(node: Any) -> None:
    command = f"trap 'echo bye > {node.folder}/bye; exit 0' TERM; while :; do sleep 0.1; done"
    visible = {"command": ["sh", "-c", command]} if "translated" in node.name else SLEEP
    name = node.cluster.pod(node.name, visible)
    pod = node.cluster.pod_when(name, ready, "ready")
    folder = node.folder / "pods" / pod["metadata"]["uid"]
    assert folder.is_dir()
    node.cluster.delete("pods", name)
    until(lambda: node.cluster.get("pods", name) is None, "gone")
    assert not folder.exists()
    assert visible is SLEEP or (node.folder / "bye").read_text() == "bye\n"


def test_a_container_that_ignores_sigterm_is_killed_after_its_grace_period(node: Any) -> None:
    stubborn = {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]}
    name = node.cluster.pod(node.name, stubborn, terminationGracePeriodSeconds=1)
    node.cluster.pod_when(name, ready, "ready")
    node.cluster.delete("pods", name)
    until(lambda: node.cluster.get("pods", name) is None, "gone", seconds=8)


def test_a_deadline_fails_the_pod(node: Any) -> None:
    name = node.cluster.pod(node.name, SLEEP, activeDeadlineSeconds=1, restartPolicy="Never")
    pod = node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Failed", "failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"


def test_a_folder_over_its_size_limit_evicts_the_pod(node: Any) -> None:
    filler = {
        "command": ["sh", "-c", "head -c 5000000 /dev/zero > /data/x; exec sleep 300"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volume = {"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}
    name = node.cluster.pod(node.name, filler, volumes=[volume])
    pod = node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Failed", "evicted", seconds=30)
    assert pod["status"]["reason"] == "Evicted"
    assert 'Usage of EmptyDir volume "data" exceeds the limit "1Mi".' in pod["status"]["message"]


def test_a_claims_folder_outlives_the_pod(node: Any) -> None:
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/keep"}]}
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "home"}}
    for command in ("echo kept > /keep/x", "cat /keep/x"):
        name = node.cluster.pod(
            node.name, {"command": ["sh", "-c", command], **mounted}, restartPolicy="Never", volumes=[volume]
        )
        node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Succeeded", "succeeded")
    assert node.cluster.log(name) == "kept\n"


def test_pods_have_addresses_of_their_own(node: Any) -> None:
    names = [node.cluster.pod(node.name, SLEEP) for _ in range(2)]
    addresses = {node.cluster.pod_when(name, ready, "ready")["status"]["podIP"] for name in names}
    assert len(addresses) == 2
    assert "127.0.0.1" not in addresses
    for name in names:
        node.cluster.delete("pods", name)


def test_a_root_of_its_own_hides_the_state_folder_and_the_site(node: Any, tmp_path: Path) -> None:
    if "namespaces" not in node.name or subprocess.run(shim("probe", str(tmp_path)), check=False).returncode:
        pytest.skip("paths are translated: a pod has no root folder of its own")
    command = ["sh", "-c", f"ls {node.folder} {ROOT}/k8s; ls -d /etc/lab; id -u"]
    mounted = {"command": command, "volumeMounts": [{"name": "v", "mountPath": "/etc/lab"}]}
    name = node.cluster.pod(
        node.name,
        mounted,
        restartPolicy="Never",
        volumes=[{"name": "v", "emptyDir": {}}],
        securityContext={"runAsUser": 1234},
    )
    node.cluster.pod_when(name, lambda pod: pod["status"].get("phase") == "Succeeded", "succeeded")
    lines = node.cluster.log(name).splitlines()
    assert lines[-2:] == ["/etc/lab", "1234"]
    assert not {"pods", "labels.py"} & set(lines)


def test_processes_of_deleted_pods_are_gone(node: Any) -> None:
    shims = [
        one.info["cmdline"]
        for one in psutil.process_iter(["cmdline"])
        if one.info["cmdline"]
        and str(node.folder) in " ".join(one.info["cmdline"])
        and "shim.py" in " ".join(one.info["cmdline"])
    ]
    present = {one.name for one in (node.folder / "pods").iterdir()}
    assert all(any(uid in word for word in line for uid in present) for line in shims)
