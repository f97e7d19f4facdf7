"""Tables as kubectl prints them: columns and cells by kind."""

import datetime
from collections.abc import Callable
from typing import Any

from .meta import parse_time
from .resources import Resource

Object = dict[str, Any]
#: A heading, the priority (1: only with -o wide), and what stands in the cell.
Column = tuple[str, int, Callable[[Object], Any]]
_NONE = "<none>"


def table(resource: Resource, objects: list[Object], version: str, include: str) -> Object:
    """A Table of objects. `include`: Metadata, Object or None."""
    columns: list[Column] = [("Name", 0, lambda obj: obj["metadata"]["name"]), *_COLUMNS.get(resource.kind, [_AGE])]
    if resource.kind == "Event":
        columns = [*_COLUMNS["Event"], ("Name", 1, lambda obj: obj["metadata"]["name"])]
    definitions = [
        {
            "name": name,
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": name,
            "priority": priority,
        }
        for name, priority, _ in columns
    ]
    rows = [_row(resource, columns, obj, include) for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _row(resource: Resource, columns: list[Column], obj: Object, include: str) -> Object:
    row: Object = {"cells": [cell(obj) for _, _, cell in columns]}
    if include == "Object":
        row["object"] = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    elif include != "None":
        row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
    return row


def age(text: str | None) -> str:
    """How long ago, as kubectl says it: 42s, 3m12s, 5h, 2d."""
    if not text:
        return "<unknown>"
    seconds = max(0, int((datetime.datetime.now(datetime.UTC) - parse_time(text)).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


_AGE: Column = ("Age", 0, lambda obj: age(obj["metadata"].get("creationTimestamp")))


def _pod_status(obj: Object) -> str:
    """Why a pod is not running, in one word, or its phase (source: printPod of the API server)."""
    status = obj.get("status") or {}
    word = status.get("reason") or status.get("phase", "Unknown")
    first = _init_status(obj)
    if first:
        word = first
    else:
        running = False
        for one in reversed(status.get("containerStatuses") or []):
            state = one.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                word = state["waiting"]["reason"]
            elif state.get("terminated"):
                word = _ended(state["terminated"])
            elif state.get("running") and one.get("ready"):
                running = True
        if word == "Completed" and running:
            ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
            word = "Running" if ready else "NotReady"
    if obj["metadata"].get("deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed"):
        word = "Terminating"
    return str(word)


def _ended(state: Object) -> str:
    if state.get("reason"):
        return str(state["reason"])
    return f"Signal:{state['signal']}" if state.get("signal") else f"ExitCode:{state.get('exitCode')}"


def _init_status(obj: Object) -> str:
    statuses = (obj.get("status") or {}).get("initContainerStatuses") or []
    for at, one in enumerate(statuses):
        state = one.get("state") or {}
        ended = state.get("terminated")
        if ended and ended.get("exitCode") == 0:
            continue
        if ended:
            return f"Init:{_ended(ended)}"
        waiting = (state.get("waiting") or {}).get("reason")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{at}/{len(obj['spec'].get('initContainers') or [])}"
    return ""


def _ready(obj: Object) -> str:
    statuses = (obj.get("status") or {}).get("containerStatuses") or []
    return f"{sum(1 for one in statuses if one.get('ready'))}/{len(obj['spec']['containers'])}"


def _restarts(obj: Object) -> str:
    statuses = (obj.get("status") or {}).get("containerStatuses") or []
    count = sum(one.get("restartCount", 0) for one in statuses)
    ends = [((one.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for one in statuses]
    last = max((end for end in ends if end), default=None)
    return f"{count} ({age(last)} ago)" if count and last else str(count)


def _at(*path: str, default: Any = _NONE) -> Callable[[Object], Any]:
    def cell(obj: Object) -> Any:
        value: Any = obj
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return default if value in (None, "", [], {}) else value

    return cell


def _ports(obj: Object) -> str:
    texts = []
    for port in obj["spec"].get("ports") or []:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        texts.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(texts) or _NONE


def _pairs(values: Object | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((values or {}).items())) or _NONE


def _node_status(obj: Object) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or []
    ready = next((one for one in conditions if one["type"] == "Ready"), None)
    word = "Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"
    return word + (",SchedulingDisabled" if obj.get("spec", {}).get("unschedulable") else "")


def _address(kind: str) -> Callable[[Object], str]:
    def cell(obj: Object) -> str:
        addresses = (obj.get("status") or {}).get("addresses") or []
        return next((one["address"] for one in addresses if one["type"] == kind), _NONE)

    return cell


def _hosts(obj: Object) -> str:
    return ",".join(rule.get("host") or "*" for rule in obj["spec"].get("rules") or []) or "*"


def _ingress_address(obj: Object) -> str:
    entries = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return ",".join(one.get("ip") or one.get("hostname") or "" for one in entries)


def _used(prefix: str) -> Callable[[Object], str]:
    """The used and hard amounts of a quota: those of limits, or the others."""

    def cell(obj: Object) -> str:
        status = obj.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        names = sorted(name for name in hard if name.startswith("limits.") == (prefix == "limits."))
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return cell


def _last_seen(obj: Object) -> str:
    series = obj.get("series") or {}
    last = (
        series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime") or obj.get("firstTimestamp")
    )
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    count = series.get("count") or obj.get("count") or 0
    return f"{age(last)} (x{count} over {age(first)})" if count > 1 else age(last)


def _object(obj: Object) -> str:
    about = obj.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_source(obj: Object) -> str:
    source = obj.get("source") or {}
    parts = [source.get("component") or obj.get("reportingComponent") or "", source.get("host") or ""]
    return ", ".join(part for part in parts if part)


def _data(obj: Object) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


_COLUMNS: dict[str, list[Column]] = {
    "Pod": [
        ("Ready", 0, _ready),
        ("Status", 0, _pod_status),
        ("Restarts", 0, _restarts),
        _AGE,
        ("IP", 1, _at("status", "podIP")),
        ("Node", 1, _at("spec", "nodeName")),
        ("Nominated Node", 1, _at("status", "nominatedNodeName")),
        ("Readiness Gates", 1, lambda _: _NONE),
    ],
    "Service": [
        ("Type", 0, _at("spec", "type")),
        ("Cluster-IP", 0, _at("spec", "clusterIP")),
        ("External-IP", 0, lambda _: _NONE),
        ("Port(s)", 0, _ports),
        _AGE,
        ("Selector", 1, lambda obj: _pairs(obj["spec"].get("selector"))),
    ],
    "Ingress": [
        ("Class", 0, _at("spec", "ingressClassName")),
        ("Hosts", 0, _hosts),
        ("Address", 0, _ingress_address),
        ("Ports", 0, lambda obj: "80, 443" if obj["spec"].get("tls") else "80"),
        _AGE,
    ],
    "Secret": [("Type", 0, _at("type")), ("Data", 0, _data), _AGE],
    "ConfigMap": [("Data", 0, _data), _AGE],
    "Namespace": [("Status", 0, _at("status", "phase")), _AGE],
    "Node": [
        ("Status", 0, _node_status),
        ("Roles", 0, lambda _: _NONE),
        _AGE,
        ("Version", 0, _at("status", "nodeInfo", "kubeletVersion", default="")),
        ("Internal-IP", 1, _address("InternalIP")),
        ("External-IP", 1, _address("ExternalIP")),
        ("OS-Image", 1, _at("status", "nodeInfo", "osImage", default="<unknown>")),
        ("Kernel-Version", 1, _at("status", "nodeInfo", "kernelVersion", default="<unknown>")),
        ("Container-Runtime", 1, _at("status", "nodeInfo", "containerRuntimeVersion", default="<unknown>")),
    ],
    "Event": [
        ("Last Seen", 0, _last_seen),
        ("Type", 0, _at("type", default="")),
        ("Reason", 0, _at("reason", default="")),
        ("Object", 0, _object),
        ("Subobject", 1, _at("involvedObject", "fieldPath", default="")),
        ("Source", 1, _event_source),
        ("Message", 0, lambda obj: (obj.get("message") or "").strip()),
        ("First Seen", 1, lambda obj: age(obj.get("firstTimestamp") or obj.get("eventTime"))),
        ("Count", 1, lambda obj: (obj.get("series") or {}).get("count") or obj.get("count") or 1),
    ],
    "ResourceQuota": [("Request", 0, _used("")), ("Limit", 0, _used("limits.")), _AGE],
    "PersistentVolumeClaim": [
        ("Status", 0, _at("status", "phase")),
        ("Volume", 0, _at("spec", "volumeName", default="")),
        ("StorageClass", 0, _at("spec", "storageClassName", default="")),
        _AGE,
    ],
    "NetworkPolicy": [
        ("Pod-Selector", 0, lambda obj: _pairs((obj["spec"].get("podSelector") or {}).get("matchLabels"))),
        _AGE,
    ],
    "LimitRange": [("Created At", 0, _at("metadata", "creationTimestamp"))],
    "Lease": [("Holder", 0, _at("spec", "holderIdentity", default="")), _AGE],
}
