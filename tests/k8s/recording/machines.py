"""Pods that a machine had, and that the control plane takes away; and what the embedded cluster's kubelet says of programs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from k8s.kinds import path
from tests.k8s.recording.stage import Object, Recording, Stage, condition, placed, pod
from tests.support.cluster import is_ready, wait_for

_SPACE, _RUNS, _NODE = "golden-machines", "golden-runs", "golden-laptop"
_ROOT = Path(__file__).resolve().parents[3]


def taken_away(stage: Stage) -> Iterator[Recording]:
    """By the scheduler, the taint manager, the eviction API and the collector of pods whose node is gone."""
    stage.namespace(_SPACE)
    for name in ("golden-3", "golden-4", "golden-5"):
        stage.node(name)
        made = pod(name, cpu_request_millis=3000)
        made["spec"]["nodeSelector"] = {"kubernetes.io/hostname": name}
        made["metadata"]["finalizers"] = ["example.org/golden"]
        stage.client.apply(placed(made, _SPACE))
        stage.seen(_SPACE, name, until=lambda found: found["spec"].get("nodeName"))
    stage.remove(path("Node", name="golden-5"))
    disrupted: Callable[[Object], Any] = lambda found: condition(found, "DisruptionTarget")  # noqa: E731
    stage.node("golden-3", taints=[{"key": "maintenance", "effect": "NoExecute"}])
    yield "moving", "taint_no_execute", stage.seen(_SPACE, "golden-3", until=disrupted, event="TaintManagerEviction")
    stage.create({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "golden"}, "value": 1000},
                 "/apis/scheduling.k8s.io/v1/priorityclasses")  # fmt: skip
    urgent = pod("urgent", cpu_request_millis=3000)
    urgent["spec"] |= {"priorityClassName": "golden", "nodeSelector": {"kubernetes.io/hostname": "golden-4"}}
    stage.client.apply(placed(urgent, _SPACE))
    yield "moving", "preempted_while_it_ran", stage.seen(_SPACE, "golden-4", until=disrupted, event="Preempted")
    stage.client.delete("Pod", "urgent", _SPACE, grace_seconds=0)
    evicted = pod("evicted")
    stage.client.apply(placed(evicted, _SPACE))
    stage.seen(_SPACE, "evicted", until=lambda found: True)
    _release(stage, "golden-4")
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted", "namespace": _SPACE}}
    stage.node("golden-4")
    stage.seen(_SPACE, "evicted", until=lambda found: found["spec"].get("nodeName"))
    stage.create(body, f"{path('Pod', _SPACE, 'evicted')}/eviction")
    yield "moving", "drained", stage.seen(_SPACE, "evicted", until=disrupted)
    yield (
        "machine-gone",
        "node_removed",
        stage.seen(_SPACE, "golden-5", until=lambda found: found["status"]["phase"] == "Failed"),
    )
    for name in ("golden-3", "golden-5"):
        _release(stage, name)


def _release(stage: Stage, name: str) -> None:
    header = {"Content-Type": "application/merge-patch+json"}
    body = {"metadata": {"finalizers": None}}
    stage.client._json("patch", "PATCH", path("Pod", _SPACE, name), body=body, headers=header)
    stage.client.delete("Pod", name, _SPACE, grace_seconds=0)


def programs(stage: Stage) -> Iterator[Recording]:
    """Real processes of the embedded cluster's kubelet, which has its words from the sources of the real one."""
    stage.namespace(_RUNS)
    with _kubelet(stage):
        yield (
            "image-not-found",
            "embedded_image_not_found",
            _ran(stage, "missing", _waits("ErrImagePull", "ImagePullBackOff"), image="example/missing:1"),
        )
        yield "crashed", "embedded_crashed", _ran(stage, "crash", _ended, command=["sh", "-c", "exit 3"])
        hungry = "x = [bytearray(64 << 20) for _ in range(64)]; import time; time.sleep(60)"
        memory = {"image": "python:3.11", "command": ["python3", "-c", hungry]}
        yield "out-of-memory", "embedded_out_of_memory", _ran(stage, "hungry", _ended, **memory)
        yield "cannot-run", "embedded_no_program", _ran(stage, "no-program", _ended, command=["no-such-program"])
        key = {"secretKeyRef": {"name": "not-there", "key": "k"}}
        env = {"command": ["sleep", "60"], "env": [{"name": "A", "valueFrom": key}]}
        yield (
            "setting-missing",
            "embedded_setting_missing",
            _ran(stage, "setting", _waits("CreateContainerConfigError"), **env),
        )
        yield (
            "shut-down",
            "embedded_shut_down",
            _ran(stage, "done", _phase("Succeeded"), command=["true"], restart="Never"),
        )
        full = {"command": ["sh", "-c", "dd if=/dev/zero of=/small/f bs=1M count=8; sleep 60"], "small": True}
        yield "disk-full", "embedded_disk_full", _ran(stage, "full", _phase("Failed"), **full)
        late = {"command": ["sleep", "60"], "deadline": 1}
        yield "deadline", "embedded_deadline", _ran(stage, "late", _phase("Failed"), **late)


def _ran(
    stage: Stage, name: str, until: Callable[[Object], Any], *, image: str = "busybox:1", restart: str = "Always",
    deadline: int = 0, small: bool = False, **container: Any,
) -> Object:  # fmt: skip
    made = pod(name, cpu_request_millis=10, memory_mib=64 if "hungry" in name else 128)
    spec = made["spec"]
    main = spec["containers"][0]
    for key in ("args", "readinessProbe", "livenessProbe", "startupProbe"):
        main.pop(key, None)
    # A program without a probe would count as one that has answered.
    main |= {"image": image, "readinessProbe": {"exec": {"command": ["false"]}}, **container}
    spec |= {"nodeSelector": {"kubernetes.io/hostname": _NODE}, "restartPolicy": restart}
    spec["volumes"] = [item for item in spec["volumes"] if "secret" not in item]
    kept = {item["name"] for item in spec["volumes"]}
    main["volumeMounts"] = [item for item in main["volumeMounts"] if item["name"] in kept]
    if deadline:
        spec["activeDeadlineSeconds"] = deadline
    if small:
        spec["volumes"].append({"name": "small", "emptyDir": {"sizeLimit": "1Mi"}})
        main["volumeMounts"].append({"name": "small", "mountPath": "/small"})
    stage.client.apply(placed(made, _RUNS))
    seen = stage.seen(_RUNS, name, until=until)
    stage.client.delete("Pod", name, _RUNS, grace_seconds=0)
    return seen


def _status(found: Object) -> Object:
    statuses: list[Object] = found.get("status", {}).get("containerStatuses") or [{}]
    return statuses[0]


def _waits(*reasons: str) -> Callable[[Object], bool]:
    return lambda found: _status(found).get("state", {}).get("waiting", {}).get("reason") in reasons


def _ended(found: Object) -> Any:
    state = _status(found)
    return state.get("state", {}).get("terminated") or state.get("lastState", {}).get("terminated")


def _phase(phase: str) -> Callable[[Object], bool]:
    return lambda found: found.get("status", {}).get("phase") == phase


@contextmanager
def _kubelet(stage: Stage) -> Iterator[None]:
    command = [
        sys.executable, "-m", "k8s.devcluster", "kubelet", "--node-name", _NODE, "--backoff", "1",
        "--dir", str(stage.folder / "kubelet"), "--kubeconfig", str(stage.kubeconfig),
        "--images-dir", str(_ROOT / ".run" / "images"),
    ]  # fmt: skip
    stage._made.append(path("Node", name=_NODE))
    with (stage.folder / "kubelet.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        ready = lambda: any(is_ready(item) for item in stage.client.list("Node", fields=f"metadata.name={_NODE}").items)  # noqa: E731
        wait_for("the kubelet's node", ready)
        yield
        wait_for("its pods are gone", lambda: not stage.client.list("Pod", _RUNS).items)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
