"""Pure: what the status of a pod says, from the states of its containers, as a kubelet computes it."""

from collections.abc import Sequence
from typing import Any, Protocol

from .spec import now

Object = dict[str, Any]


class Shown(Protocol):
    """A container as far as the status shows it."""

    spec: Object
    name: str
    state: Object
    last: Object
    ready: bool
    started: bool

    @property
    def restarts(self) -> int:
        """How often it was started again."""

    @property
    def container_id(self) -> str:
        """An id of the newest run."""


def phase(pod: Object, init: Sequence[Shown], main: Sequence[Shown]) -> str:
    """Pending, Running, Succeeded or Failed (kubelet_pods.go, getPhase)."""
    policy = pod["spec"].get("restartPolicy") or "Always"
    for container in init:
        code = container.state.get("terminated", {}).get("exitCode")
        if code != 0:
            return "Failed" if code is not None and policy == "Never" else "Pending"
    if any("waiting" in one.state and not one.last for one in main):
        return "Pending"
    if any("running" in one.state for one in main) or policy == "Always":
        return "Running"
    codes = [(one.state.get("terminated") or one.last["terminated"])["exitCode"] for one in main]
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def conditions(pod: Object, init: Sequence[Shown], main: Sequence[Shown], phase_now: str) -> list[Object]:
    """Initialized, Ready and ContainersReady, with the time of their last change kept where nothing changed."""
    incomplete = [one.name for one in init if one.state.get("terminated", {}).get("exitCode") != 0]
    unready = [one.name for one in main if not one.ready]
    if phase_now == "Succeeded":
        trouble = {"status": "False", "reason": "PodCompleted"}
    elif phase_now == "Failed":
        trouble = {"status": "False", "reason": "PodFailed"}
    elif unready:
        text = f"containers with unready status: [{' '.join(unready)}]"
        trouble = {"status": "False", "reason": "ContainersNotReady", "message": text}
    else:
        trouble = {"status": "True"}
    initialized: Object = {"status": "True"}
    if incomplete and phase_now != "Succeeded":
        text = f"containers with incomplete status: [{' '.join(incomplete)}]"
        initialized = {"status": "False", "reason": "ContainersNotInitialized", "message": text}
    elif phase_now == "Succeeded":
        initialized["reason"] = "PodCompleted"
    before = {one["type"]: one for one in pod.get("status", {}).get("conditions") or []}
    found = []
    for name, value in (("Initialized", initialized), ("Ready", trouble), ("ContainersReady", trouble)):
        old = before.get(name, {})
        changed = now() if old.get("status") != value["status"] else old.get("lastTransitionTime", now())
        # A strategic merge keeps what is not named, so an old reason has to be taken away by name.
        gone = {key: None for key in ("reason", "message") if key in old and key not in value}
        found.append({"type": name, "lastProbeTime": None, "lastTransitionTime": changed, **gone, **value})
    return found


def shown(container: Shown) -> Object:
    """The entry of a container in containerStatuses."""
    return {
        "name": container.name,
        "state": container.state,
        "lastState": container.last,
        "ready": container.ready,
        "started": container.started,
        "restartCount": container.restarts,
        "image": container.spec["image"],
        "imageID": container.spec["image"] if container.container_id else "",
        "containerID": container.container_id,
    }


def build(
    pod: Object, init: Sequence[Shown], main: Sequence[Shown], *, ip: str, started: str, ending: Object | None = None
) -> Object:
    """The whole status but for the conditions of others; `ending` is phase, reason and message of an eviction."""
    phase_now = (ending or {}).get("phase") or phase(pod, init, main)
    status = {
        "phase": phase_now,
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": started,
        "conditions": conditions(pod, init, main, phase_now),
        "containerStatuses": [shown(one) for one in main],
        **(ending or {}),
    }
    if init:
        status["initContainerStatuses"] = [shown(one) for one in init]
    return status


def contains(whole: Any, part: Any) -> bool:
    """Whether everything that `part` says stands in `whole` already (None: is absent there)."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(contains(whole.get(key), value) for key, value in part.items())
    if isinstance(part, list) and part and isinstance(part[0], dict) and "type" in part[0]:
        named = {entry.get("type"): entry for entry in whole or []}
        return all(contains(named.get(entry["type"]), entry) for entry in part)
    if isinstance(part, list):
        return len(whole or []) == len(part) and all(map(contains, whole or [], part))
    return bool(whole == part or (not part and not whole))
