"""Records what a real control plane says, for the tests of the diagnosis:

    python -m tests.k8s.record_golden KUBECONFIG    (of a control plane without nodes of its own)

Writes golden/refusals.json and golden/unschedulable.json. States that only a kubelet makes stand in kubelet.json,
written by hand after the kubelet's sources (pkg/kubelet/images, pkg/kubelet/kuberuntime, pkg/kubelet/eviction).
"""

import copy
import json
import sys
import time
from typing import Any

from k8s import manifests
from k8s.client import Client, Error, NotFound
from k8s.errors import Refused
from k8s.instance_objects import instance_objects
from tests.k8s import examples

CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"}


def pod(name: str, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = manifests.render(
        manifests.builtin("jupyterlab"), examples.context(**{"cpu_limit_millis": 64000, **changes})
    )[1]
    made["metadata"]["name"] = name
    return made


def lean(obj: dict[str, Any]) -> dict[str, Any]:
    obj = copy.deepcopy(obj)
    obj["metadata"].pop("managedFields", None)
    obj.pop("reportingInstance", None)  # It has the name of this machine.
    return obj


def provision(client: Client, namespace: str, quota: dict[str, int | None]) -> None:
    for obj in instance_objects(
        name="ml101", namespace=namespace, site="site-1", quota=quota, ingress_namespace_labels={"name": "ingress"}
    ):
        client.apply(obj)


def wait_for(condition: Any) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError


def refusals(client: Client) -> dict[str, dict[str, Any]]:
    small = {"cpu_millis": 2000, "memory_mib": 3072, "gpus": 1, "storage_gib": 10, "pods": 3}
    provision(client, "golden-quota", small)
    provision(client, "golden-open", {})
    client.apply({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small", "namespace": "golden-open"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "8", "memory": "4Gi"}}]},
    })  # fmt: skip
    wait_for(lambda: client.get("ResourceQuota", "instance", "golden-quota").get("status", {}).get("hard"))

    def refused(namespace: str, made: dict[str, Any]) -> dict[str, Any]:
        made["metadata"]["namespace"] = namespace
        try:
            client.apply(made)
        except Refused as refusal:
            return {"code": refusal.code, "reason": refusal.reason, "message": refusal.message, "kind": refusal.kind}
        raise AssertionError("accepted")

    def accepted(made: dict[str, Any]) -> None:
        made["metadata"]["namespace"] = "golden-quota"
        wait_for(lambda: client.apply(made))

    accepted(pod("first", cpu_request_millis=1500))
    said = {
        "quota_cpu": refused("golden-quota", pod("p", cpu_request_millis=1000)),
        "quota_memory": refused("golden-quota", pod("p", memory_mib=4096)),
        "quota_gpu": refused("golden-quota", pod("p", gpus=2)),
        "quota_many": refused("golden-quota", pod("p", cpu_request_millis=1000, memory_mib=4096)),
        "quota_above_all": refused("golden-quota", pod("p", cpu_request_millis=64000)),
    }
    accepted(pod("second", cpu_request_millis=100))
    accepted(pod("third", cpu_request_millis=100))
    said["quota_pods"] = refused("golden-quota", pod("p", cpu_request_millis=100))
    said["limit_range"] = refused("golden-open", pod("p", memory_mib=8192, cpu_limit_millis=1000))
    privileged = pod("p", cpu_limit_millis=1000)
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    said["pod_security"] = refused("golden-open", privileged)
    malformed = pod("p", cpu_limit_millis=1000)
    malformed["spec"]["containers"][0]["image"] = ""
    said["validation"] = refused("golden-open", malformed)
    return said


def node(client: Client, name: str, extra: dict[str, str] | None = None, **spec: Any) -> None:
    """A node that only the scheduler believes in."""
    labels = {"kubernetes.io/hostname": name}
    client.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec})
    capacity = {**CAPACITY, **(extra or {})}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}
    client._json(
        "apply",
        "PATCH",
        f"/api/v1/nodes/{name}/status",
        query={"fieldManager": "golden", "force": "true"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        body=json.dumps({**body, "status": status}),
    )


def unschedulable(client: Client) -> dict[str, dict[str, Any]]:
    namespace = "golden-open"

    def stuck(made: dict[str, Any]) -> dict[str, Any]:
        name = made["metadata"]["name"]
        made["metadata"]["namespace"] = namespace
        client.apply(made)

        def condition() -> dict[str, Any] | None:
            found = client.get("Pod", name, namespace)
            return found if found.get("status", {}).get("conditions") else None

        found = wait_for(condition)
        events = wait_for(lambda: client.list("Event", namespace, fields=f"involvedObject.name={name}").items)
        client.delete("Pod", name, namespace, grace_seconds=0)
        return {"pod": lean(found), "events": [lean(event) for event in events]}

    client.delete("LimitRange", "small", namespace)
    said = {"no_nodes": stuck(pod("no-nodes"))}
    for number in (1, 2):
        node(client, f"golden-{number}")
    wait_for(lambda: len(client.list("Node").items) >= 2)
    for item in client.list("Node").items:
        node(client, item["metadata"]["name"], taints=[])
    said["cpu"] = stuck(pod("cpu", cpu_request_millis=6000))
    said["memory"] = stuck(pod("memory", memory_mib=16384))
    said["cpu_and_memory"] = stuck(pod("both", cpu_request_millis=6000, memory_mib=16384))
    said["gpu"] = stuck(pod("gpu", gpus=1))
    said["gpu_model"] = stuck(pod("model", gpus=1, gpu_label={"nvidia.com/gpu.product": "H100"}))
    claim = pod("claim")
    claim["spec"]["volumes"].append({"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}})
    said["claim_missing"] = stuck(claim)
    client.apply({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "shared", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    })  # fmt: skip
    claim["metadata"]["name"] = "unbound"
    said["claim_unbound"] = stuck(claim)
    for number in (1, 2):
        node(client, f"golden-{number}", taints=[{"key": "maintenance", "effect": "NoSchedule"}])
    said["taint"] = stuck(pod("taint"))
    return said


def main() -> None:
    client = Client.from_kubeconfig(sys.argv[1])
    try:
        for name, record in (("refusals", refusals), ("unschedulable", unschedulable)):
            (examples.GOLDEN / f"{name}.json").write_text(json.dumps(record(client), indent=1) + "\n")
    finally:
        for kind, names in (("Namespace", ("golden-quota", "golden-open")), ("Node", ("golden-1", "golden-2"))):
            for name in names:
                try:
                    client.delete(kind, name)
                except (Error, NotFound) as problem:
                    print(f"{kind} {name} stays: {problem}")


if __name__ == "__main__":
    main()
