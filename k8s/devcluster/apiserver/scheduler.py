"""The scheduler: gives pods a node with room, and says why there is none, in the words of kube-scheduler."""

import contextlib
import secrets
from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

from . import limits
from .errors import ApiError
from .meta import copy, now, now_micro
from .quantity import parse
from .registry import Registry, Request
from .resources import BY_PLURAL, Resource
from .selectors import requirement
from .store import Change

Object = dict[str, Any]
Amounts = dict[str, Decimal]

_PODS, _NODES, _EVENTS = BY_PLURAL["pods"], BY_PLURAL["nodes"], BY_PLURAL["events"]
_NAME = "default-scheduler"
_REQUEST = Request(manager="kube-scheduler")
#: Reasons that the removal of another pod could do away with.
_FULL = ("Insufficient", "Too many pods")


class Scheduler:
    """Tries pods without a node when they come and whenever something could have made room."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._store = registry, registry.store
        self._used: dict[str, Amounts] = defaultdict(lambda: defaultdict(Decimal))
        self._pending: dict[str, tuple[str, str]] = {}
        self._ready: set[str] = set()
        for entry in self._store.each(_PODS):
            self._count(entry.obj, 1)
            self._note(entry.obj)
        self._retry = True

    def _count(self, pod: Object, sign: int) -> None:
        node = pod["spec"].get("nodeName")
        if not node or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        used = self._used[node]
        for name, amount in _wanted(pod).items():
            used[name] += sign * amount

    def _note(self, pod: Object) -> None:
        meta, spec = pod["metadata"], pod["spec"]
        if spec.get("nodeName") or meta.get("deletionTimestamp") or spec.get("schedulerName") != _NAME:
            self._pending.pop(meta["uid"], None)
        elif meta["uid"] not in self._pending:
            self._pending[meta["uid"]] = (meta["namespace"], meta["name"])
            self._ready.add(meta["uid"])

    def changed(self, resource: Resource, change: Change) -> None:
        """Keep count, and remember what to try."""
        if resource is _NODES:
            self._retry = self._retry or _node_differs(change)
        if resource is not _PODS:
            return
        if change.before:
            self._count(change.before.obj, -1)
        if change.type == "DELETED":
            self._pending.pop(change.entry.obj["metadata"]["uid"], None)
            self._retry = self._retry or bool(change.entry.obj["spec"].get("nodeName"))
            return
        self._count(change.entry.obj, 1)
        self._note(change.entry.obj)
        if (change.entry.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            self._retry = True

    def step(self) -> None:
        """Try what is worth trying."""
        chosen = list(self._pending) if self._retry else [uid for uid in self._pending if uid in self._ready]
        self._retry, self._ready = False, set()
        nodes = [entry.obj for entry in self._store.each(_NODES)] if chosen else []
        for uid in chosen:
            namespace, name = self._pending.get(uid, ("", ""))
            found = self._store.get(_PODS, namespace, name)
            if found is None or found.obj["metadata"]["uid"] != uid:
                self._pending.pop(uid, None)
            else:
                with contextlib.suppress(ApiError):
                    self._try(found.obj, nodes)

    def _try(self, pod: Object, nodes: list[Object]) -> None:
        reasons: Counter[str] = Counter()
        best: tuple[Decimal, str] | None = None
        full = 0
        for node in nodes:
            why = self._why_not(pod, node)
            if why:
                reasons.update(why)
                full += why[0].startswith(_FULL) and self._fits_empty(pod, node)
                continue
            free = parse(_allocatable(node).get("cpu", "0")) - self._used[node["metadata"]["name"]]["cpu"]
            if best is None or free > best[0]:
                best = (free, node["metadata"]["name"])
        meta = pod["metadata"]
        if best:
            self._registry.bind(meta["namespace"], meta["name"], best[1], _REQUEST)
            text = f"Successfully assigned {meta['namespace']}/{meta['name']} to {best[1]}"
            self._event(pod, "Normal", "Scheduled", text, "Binding")
        else:
            self._refuse(pod, _explain(len(nodes), reasons, full))

    def _why_not(self, pod: Object, node: Object) -> list[str]:
        spec, name = node.get("spec") or {}, node["metadata"]["name"]
        if spec.get("unschedulable"):
            return ["node(s) were unschedulable"]
        if any(not _tolerated(taint, pod) for taint in _taints(node) if taint.get("effect") != "PreferNoSchedule"):
            return ["node(s) had untolerated taint(s)"]
        if not _selected(pod, node):
            return ["node(s) didn't match Pod's node affinity/selector"]
        free, used = _allocatable(node), self._used[name]
        why = []
        for resource, amount in _wanted(pod).items():
            if amount and used[resource] + amount > parse(free.get(resource, "110" if resource == "pods" else "0")):
                why.append("Too many pods" if resource == "pods" else f"Insufficient {resource}")
        return sorted(why)

    @staticmethod
    def _fits_empty(pod: Object, node: Object) -> bool:
        free = _allocatable(node)
        return all(
            amount <= parse(free.get(name, "110" if name == "pods" else "0")) for name, amount in _wanted(pod).items()
        )

    def _refuse(self, pod: Object, message: str) -> None:
        conditions = (pod.get("status") or {}).get("conditions") or []
        known = next((one for one in conditions if one["type"] == "PodScheduled"), None)
        if known and known.get("message") == message:
            return
        current = self._registry.get(_PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        obj = copy(current.obj)
        since = known["lastTransitionTime"] if known and known["status"] == "False" else now()
        condition = {
            "type": "PodScheduled",
            "observedGeneration": pod["metadata"].get("generation", 1),
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": since,
            "reason": "Unschedulable",
            "message": message,
        }
        obj["status"]["conditions"] = [one for one in conditions if one["type"] != "PodScheduled"] + [condition]
        request = Request(manager="kube-scheduler", subresource="status")
        self._registry.replace(_PODS, current, obj, request)
        self._event(pod, "Warning", "FailedScheduling", message, "Scheduling")

    def _event(self, pod: Object, kind: str, reason: str, message: str, action: str) -> None:
        meta = pod["metadata"]
        about = {
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": "v1",
            "resourceVersion": meta["resourceVersion"],
        }
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "type": kind,
            "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}", "namespace": meta["namespace"]},
            "eventTime": now_micro(),
            "action": action,
            "reportingComponent": _NAME,
            "reportingInstance": f"{_NAME}-devcluster",
        }
        with contextlib.suppress(ApiError):
            self._registry.create(_EVENTS, body, meta["namespace"], _REQUEST)


def _wanted(pod: Object) -> Amounts:
    amounts: Amounts = dict(limits.totals(pod["spec"])["requests"])
    amounts["pods"] = Decimal(1)
    return amounts


def _allocatable(node: Object) -> Object:
    status = node.get("status") or {}
    found: Object = status.get("allocatable") or status.get("capacity") or {}
    return found


def _taints(node: Object) -> list[Object]:
    """The taints of a node; one that is not ready has that of the node controller."""
    taints = list((node.get("spec") or {}).get("taints") or [])
    conditions = (node.get("status") or {}).get("conditions") or []
    if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        taints.append({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})
    return taints


def _tolerated(taint: Object, pod: Object) -> bool:
    for one in pod["spec"].get("tolerations") or []:
        if one.get("effect") and one["effect"] != taint.get("effect"):
            continue
        if not one.get("key") and one.get("operator") == "Exists":
            return True
        if one.get("key") == taint["key"]:
            exists = one.get("operator") == "Exists"
            if exists or (one.get("value") or "") == (taint.get("value") or ""):
                return True
    return False


def _selected(pod: Object, node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    terms = (affinity or {}).get("nodeSelectorTerms") or []
    return not terms or any(
        all(requirement(one, labels) for one in term.get("matchExpressions") or []) for term in terms
    )


def _node_differs(change: Change) -> bool:
    """Whether more than the heartbeat of a node has changed."""

    def view(obj: Object) -> Any:
        return _allocatable(obj), _taints(obj), obj.get("spec"), obj["metadata"].get("labels")

    return change.before is None or change.type == "DELETED" or view(change.before.obj) != view(change.entry.obj)


def _explain(count: int, reasons: Counter[str], full: int) -> str:
    """The scheduler's sentence; `full` nodes would do if other pods were not there."""
    if not count:
        return "no nodes available to schedule pods"
    head = f"0/{count} nodes are available: "
    listed = ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items()))
    hopeless = count - full
    parts = [f"{full} No preemption victims found for incoming pod"] if full else []
    parts += [f"{hopeless} Preemption is not helpful for scheduling"] if hopeless else []
    return f"{head}{listed}. no new claims to deallocate, preemption: {head}{', '.join(sorted(parts))}."
