"""Pods without a machine: no room, no such machine, and places for files that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.k8s.recording.answers import claim
from tests.k8s.recording.stage import Object, Recording, Stage, condition, placed, pod, unschedulable
from tests.support.cluster import wait_for

_SPACE, _BARE = "golden-placing", "golden-ports"
_GPU = {"nvidia.com/gpu": "1"}


def record(stage: Stage) -> Iterator[Recording]:
    """All of them, on nodes that only the control plane believes in."""
    stage.namespace(_SPACE)
    stage.namespace(_BARE, bare=True)
    yield "no-machine", "no_nodes", _stuck(stage, pod("no-nodes"))
    for name in ("golden-1", "golden-2"):
        stage.node(name)
    yield from _room(stage)
    yield from _kinds(stage)
    yield from _waits(stage)
    yield from _files(stage)


def _stuck(
    stage: Stage, made: Object, *, space: str = _SPACE, about: str = "", event: str = "", machines: bool = False
) -> Object:
    name = made["metadata"]["name"]
    stage.client.apply(placed(made, space))
    event = event or "FailedScheduling"
    seen = stage.seen(space, name, until=unschedulable, event=event, about=about)
    if machines:
        seen["machines"] = stage.machines()
    stage.client.delete("Pod", name, space, grace_seconds=0)
    return seen


def _room(stage: Stage) -> Iterator[Recording]:
    yield "no-free-cpu", "cpu", _stuck(stage, pod("cpu", cpu_request_millis=6000))
    yield "no-free-memory", "memory", _stuck(stage, pod("memory", memory_mib=16384))
    yield "no-free-cpu", "cpu_and_memory", _stuck(stage, pod("both", cpu_request_millis=6000, memory_mib=16384))
    yield "no-free-gpu", "gpu", _stuck(stage, pod("gpu", gpus=1))
    too_large = _stuck(stage, pod("large", cpu_request_millis=6000), machines=True)
    yield "no-machine-so-large", "larger_than_any", too_large
    yield "no-machine-so-large", "no_gpu_anywhere", _stuck(stage, pod("no-gpu", gpus=1), machines=True)
    for number, used in enumerate((1000, 2500), start=1):
        taken = pod(f"taken-{number}", cpu_request_millis=used, memory_mib=2048)
        taken["spec"]["nodeSelector"] = {"kubernetes.io/hostname": f"golden-{number}"}
        stage.client.apply(placed(taken, _SPACE))
        stage.seen(_SPACE, f"taken-{number}", until=lambda found: found["spec"].get("nodeName"))
    yield "no-free-cpu", "cpu_with_some_free", _stuck(stage, pod("some", cpu_request_millis=4000), machines=True)
    yield "no-free-memory", "memory_with_some_free", _stuck(stage, pod("some-memory", memory_mib=7168), machines=True)
    both = pod("some-both", cpu_request_millis=4000, memory_mib=7168)
    yield "no-free-cpu", "both_with_some_free", _stuck(stage, both, machines=True)
    stage.node("golden-2", _GPU)
    stage.client.apply(placed(pod("has-gpu", gpus=1), _SPACE))
    stage.seen(_SPACE, "has-gpu", until=lambda found: found["spec"].get("nodeName"))
    yield "no-free-gpu", "gpu_in_use", _stuck(stage, pod("second-gpu", gpus=1), machines=True)
    stage.client.delete("Pod", "has-gpu", _SPACE, grace_seconds=0)
    for name in ("golden-1", "golden-2"):
        stage.node(name, {"pods": "1", "nvidia.com/gpu": "0"})
    yield "no-free-full", "too_many_pods", _stuck(stage, pod("many"))
    for number in (1, 2):
        stage.client.delete("Pod", f"taken-{number}", _SPACE, grace_seconds=0)
        stage.node(f"golden-{number}")


def _kinds(stage: Stage) -> Iterator[Recording]:
    model = pod("model", gpus=1, gpu_label={"nvidia.com/gpu.product": "H100"})
    yield "no-such-machine", "gpu_model", _stuck(stage, model)
    kind = pod("kind")
    kind["spec"]["nodeSelector"] = {"disk": "fast"}
    yield "no-such-machine", "node_selector", _stuck(stage, kind)
    for name in ("golden-1", "golden-2"):
        stage.node(name, taints=[{"key": "maintenance", "effect": "NoSchedule"}])
    yield "no-machine", "taint", _stuck(stage, pod("taint"))
    for name in ("golden-1", "golden-2"):
        stage.node(name, unschedulable=True)
    yield "no-machine", "cordoned", _stuck(stage, pod("cordoned"))
    for name in ("golden-1", "golden-2"):
        stage.node(name)


def _waits(stage: Stage) -> Iterator[Recording]:
    gated = pod("gated")
    gated["spec"]["schedulingGates"] = [{"name": "example.org/queue"}]
    stage.client.apply(placed(gated, _SPACE))
    yield (
        "held-back",
        "scheduling_gate",
        stage.seen(_SPACE, "gated", until=lambda found: condition(found, "PodScheduled")),
    )
    orphan = pod("orphan")
    orphan["spec"]["schedulerName"] = "nobody"
    stage.client.apply(placed(orphan, _SPACE))
    yield "not-placed", "no_scheduler", stage.seen(_SPACE, "orphan", until=lambda found: found["status"]["phase"])
    for name in ("golden-1", "golden-2"):
        busy = pod(f"port-{name}")
        _with_port(busy)
        stage.client.apply(placed(busy, _BARE))
        stage.seen(_BARE, f"port-{name}", until=lambda found: found["spec"].get("nodeName"))
    third = pod("port-third")
    _with_port(third)
    yield "unknown", "unschedulable_for_an_unknown_reason", _stuck(stage, third, space=_BARE)


def _with_port(made: Object) -> None:
    made["spec"]["serviceAccountName"] = "default"
    made["spec"]["containers"][0]["ports"] = [{"containerPort": 8888, "hostPort": 8888}]


def _files(stage: Stage) -> Iterator[Recording]:
    missing = _with_claim("missing", "not-there")
    yield "files-missing", "claim_missing", _stuck(stage, missing)
    slow = {"provisioner": "example.org/slow"}
    _storage_class(stage, "golden-slow", volumeBindingMode="Immediate", **slow)
    _storage_class(stage, "golden-odd", provisioner="kubernetes.io/odd", volumeBindingMode="Immediate")
    _storage_class(
        stage, "golden-local", provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer"
    )
    _storage_class(stage, "golden-first", volumeBindingMode="WaitForFirstConsumer", **slow)
    for cause, name, kind, event in (
        ("files-no-kind", "no-class", None, "FailedBinding"),
        ("files-kind", "unknown-class", "nowhere", "ProvisioningFailed"),
        ("files-slow", "slow-class", "golden-slow", "ExternalProvisioning"),
        ("files-failed", "odd-class", "golden-odd", "ProvisioningFailed"),
        ("files-none-free", "local-class", "golden-local", "WaitForFirstConsumer"),
    ):
        stage.client.apply(claim(_SPACE, name, **({"storageClassName": kind} if kind else {})))
        yield (
            cause,
            f"claim_{name.replace('-', '_')}",
            _stuck(stage, _with_claim(f"with-{name}", name), about=name, event=event),
        )
    stage.client.apply(claim(_SPACE, "first", storageClassName="golden-first"))
    stage.client.apply(placed(_with_claim("with-first", "first"), _SPACE))
    seen = stage.seen(_SPACE, "with-first", until=lambda found: True, about="first", event="ExternalProvisioning")
    yield "files-being-made", "claim_wait_for_first_consumer", seen
    stage.client.delete("Pod", "with-first", _SPACE, grace_seconds=0)
    yield from _bound(stage)


def _bound(stage: Stage) -> Iterator[Recording]:
    """Claims that have a volume, which cannot be had."""
    _volume(stage, "golden-far", ["ReadWriteOnce"], "golden-gone")
    stage.client.apply(claim(_SPACE, "far", storageClassName="", volumeName="golden-far"))
    wait_for("the claim is bound", lambda: _is_bound(stage, "far"))
    yield "files-elsewhere", "volume_on_another_machine", _stuck(stage, _with_claim("with-far", "far"))
    _volume(stage, "golden-once", ["ReadWriteOncePod"], "golden-1")
    once = claim(_SPACE, "once", storageClassName="", volumeName="golden-once")
    once["spec"]["accessModes"] = ["ReadWriteOncePod"]
    stage.client.apply(once)
    wait_for("the claim is bound", lambda: _is_bound(stage, "once"))
    stage.client.apply(placed(_with_claim("has-once", "once"), _SPACE))
    stage.seen(_SPACE, "has-once", until=lambda found: found["spec"].get("nodeName"))
    yield "files-in-use", "volume_in_use", _stuck(stage, _with_claim("wants-once", "once"))


def _is_bound(stage: Stage, name: str) -> bool:
    return stage.client.get("PersistentVolumeClaim", name, _SPACE).get("status", {}).get("phase") == "Bound"


def _with_claim(name: str, claimed: str) -> Object:
    made = pod(name)
    made["spec"]["volumes"].append({"name": "shared", "persistentVolumeClaim": {"claimName": claimed}})
    return made


def _storage_class(stage: Stage, name: str, **fields: Any) -> None:
    stage.create({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, **fields})


def _volume(stage: Stage, name: str, modes: list[str], node: str) -> None:
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    spec = {
        "capacity": {"storage": "1Gi"}, "accessModes": modes, "storageClassName": "",
        "csi": {"driver": "example.org", "volumeHandle": name},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }  # fmt: skip
    stage.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
