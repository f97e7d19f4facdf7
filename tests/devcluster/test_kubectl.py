"""A current kubectl against the API server."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import Cluster, wait_for

from .apiserver_support import MERGE, Space, node

Kubectl = Callable[..., str]
_PROGRAM = Path(sys.executable).with_name("kubectl")
_OBJECTS = """
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: x}}
spec: {containers: [{name: c, image: "busybox:1", command: [sleep, "100"], resources: {requests: {cpu: 100m}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {selector: {app: x}, ports: [{port: 80, targetPort: 8888}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i}
spec: {rules: [{host: a.localhost, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}
"""

pytestmark = pytest.mark.skipif(not _PROGRAM.exists(), reason="kubectl is not installed (requirements-dev.txt)")


def _environment(cluster: Cluster, home: Path) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(home)}


@pytest.fixture
def kubectl(cluster: Cluster, space: Space, tmp_path: Path) -> Kubectl:
    """Runs kubectl in the namespace of the test; fails when it does, unless `code` says what is expected."""

    def run(*arguments: str, text: str = "", code: int = 0) -> str:
        command = [str(_PROGRAM), "-n", space.name, *arguments]
        done = subprocess.run(
            command,
            input=text,
            env=_environment(cluster, tmp_path),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return run


def test_apply_creates_then_changes_nothing_then_changes(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", text=_OBJECTS).split("\n")[:3] == [
        "pod/a created",
        "service/s created",
        "ingress.networking.k8s.io/i created",
    ]
    assert "pod/a unchanged" in kubectl("apply", "-f", "-", text=_OBJECTS)
    assert "pod/a configured" in kubectl(
        "apply", "-f", "-", text=_OBJECTS.replace("{app: x}}\nspec: {cont", "{app: z}}\nspec: {cont")
    )


def test_server_side_apply_tells_of_conflicts(kubectl: Kubectl) -> None:
    assert "pod/a serverside-applied" in kubectl("apply", "--server-side", "-f", "-", text=_OBJECTS)
    other = _OBJECTS.replace("port: 80, targetPort: 8888", "port: 80, targetPort: 9999")
    text = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", text=other, code=1)
    assert 'conflict with "kubectl": .spec.ports[port=80,protocol="TCP"].targetPort' in text
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-", text=other)


def test_a_mistake_in_a_file_is_found(kubectl: Kubectl) -> None:
    text = kubectl("apply", "-f", "-", text=_OBJECTS.replace("restartPolicy", "x").replace("image:", "imagee:"), code=1)
    assert 'unknown field "spec.containers[0].imagee"' in text


def test_get_prints_tables_wide_and_yaml(kubectl: Kubectl, space: Space) -> None:
    kubectl("apply", "-f", "-", text=_OBJECTS)
    assert kubectl("get", "pods").splitlines()[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert kubectl("get", "pods").splitlines()[1].split()[:4] == ["a", "0/1", "Pending", "0"]
    assert "NODE" in kubectl("get", "pods", "-o", "wide")
    assert space.name in kubectl("get", "pods", "-A", "-l", "app=x")
    assert "No resources found" in kubectl("get", "pods", "-l", "app=other")
    found = yaml.safe_load(kubectl("get", "pod", "a", "-o", "yaml"))
    assert (found["kind"], found["metadata"]["name"]) == ("Pod", "a")
    text = kubectl("get", "pod,svc,ing,secret,cm,sa,quota,events,ns")
    assert "ingress.networking.k8s.io/i" in text
    assert "80/TCP" in text


def test_describe_tells_the_story(kubectl: Kubectl, space: Space) -> None:
    kubectl("apply", "-f", "-", text=_OBJECTS)
    wait_for("an event", lambda: space.get("events")["items"])
    assert "FailedScheduling" in kubectl("describe", "pod", "a")
    assert "TargetPort:" in kubectl("describe", "svc", "s")
    assert "a.localhost" in kubectl("describe", "ingress", "i")
    assert "FailedScheduling" in kubectl("get", "events")
    node(space, "n")
    assert "cpu" in kubectl("describe", "node", "n")
    space.call("DELETE", "/api/v1/nodes/n")


def test_create_label_and_annotate(kubectl: Kubectl, space: Space) -> None:
    kubectl("create", "secret", "generic", "sec", "--from-literal=a=b")
    assert space.get("secrets/sec")["data"] == {"a": "Yg=="}
    kubectl("create", "configmap", "cm", "--from-literal=a=b")
    kubectl("create", "quota", "q", "--hard=pods=3,requests.cpu=2")
    assert space.get("resourcequotas/q")["spec"]["hard"] == {"pods": "3", "requests.cpu": "2"}
    kubectl("label", "cm", "cm", "x=1")
    kubectl("annotate", "cm", "cm", "y=2")
    meta = space.get("configmaps/cm")["metadata"]
    assert (meta["labels"], meta["annotations"]) == ({"x": "1"}, {"y": "2"})
    kubectl("create", "namespace", f"{space.name}-more")
    kubectl("delete", "namespace", f"{space.name}-more")


def test_wait_for_conditions_fields_and_deletion(kubectl: Kubectl, space: Space) -> None:
    kubectl("apply", "-f", "-", text=_OBJECTS)
    assert "condition met" in kubectl("wait", "--for=jsonpath={.status.phase}=Pending", "pod/a", "--timeout=10s")
    assert "timed out" in kubectl("wait", "--for=condition=Ready", "pod/a", "--timeout=1s", code=1)
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    space.call("PATCH", "pods/a/status", status, content=MERGE)
    assert "condition met" in kubectl("wait", "--for=condition=Ready", "pod/a", "--timeout=10s")
    assert 'pod "a" deleted' in kubectl("delete", "pod", "a")
    kubectl("wait", "--for=delete", "pod/a", "--timeout=10s")


def test_delete_takes_what_a_file_names(kubectl: Kubectl, space: Space) -> None:
    kubectl("apply", "-f", "-", text=_OBJECTS)
    kubectl("delete", "-f", "-", text=_OBJECTS)
    assert space.gone("pods/a")
    assert space.gone("services/s")


def test_get_watches(cluster: Cluster, kubectl: Kubectl, space: Space, tmp_path: Path) -> None:
    kubectl("apply", "-f", "-", text=_OBJECTS)
    command = [str(_PROGRAM), "-n", space.name, "get", "pods", "-w"]
    with subprocess.Popen(command, env=_environment(cluster, tmp_path), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("NAME")
            assert "Pending" in process.stdout.readline()
            space.call("PATCH", "pods/a/status", {"status": {"phase": "Running"}}, content=MERGE)
            lines = iter(process.stdout.readline, "")
            assert any("Running" in line for line in lines)
        finally:
            process.terminate()


def test_resources_and_their_fields_are_explained(kubectl: Kubectl) -> None:
    assert "networkpolicies" in kubectl("api-resources")
    assert "Server Version: v1." in kubectl("version")
    assert "Container image name" in kubectl("explain", "pod.spec.containers.image")


def test_drain_evicts_what_is_on_a_machine(kubectl: Kubectl, space: Space) -> None:
    node(space, "to-empty")
    kubectl("apply", "-f", "-", text=_OBJECTS)
    wait_for("a node", lambda: space.get("pods/a")["spec"].get("nodeName") == "to-empty")
    assert "evicting pod" in kubectl("drain", "to-empty", "--force", "--dry-run=server")
    assert "deletionTimestamp" not in space.get("pods/a")["metadata"]
    text = kubectl("drain", "to-empty", "--force", "--grace-period=0", "--timeout=20s")
    assert f"evicting pod {space.name}/a" in text
    assert "node/to-empty drained" in text
    assert space.gone("pods/a")
    assert space.get("/api/v1/nodes/to-empty")["spec"]["unschedulable"] is True


def test_drain_without_eviction_deletes(kubectl: Kubectl, space: Space) -> None:
    node(space, "to-empty-too")
    kubectl("apply", "-f", "-", text=_OBJECTS.replace("containers:", "nodeName: to-empty-too, containers:"))
    kubectl("drain", "to-empty-too", "--force", "--disable-eviction", "--grace-period=0", "--timeout=20s")
    assert space.gone("pods/a")
