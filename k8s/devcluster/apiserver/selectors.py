"""Label and field selectors."""

import re
from collections.abc import Callable
from typing import Any

from .errors import bad_request
from .resources import Resource

Object = dict[str, Any]
Match = Callable[[Object], bool]

_SET = re.compile(r"^\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s!=,()]+)\s*$")
#: What can be selected by beside metadata.name and metadata.namespace.
_FIELDS = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "namespaces": ("status.phase", "name"),
    "nodes": ("spec.unschedulable",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
}


def by_labels(text: str) -> Match | None:
    """A label selector; None when it selects everything. Raises ApiError 400."""
    tests = [_label_test(part) for part in _split(text)]
    if not tests:
        return None
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append(text[start:at])
            start = at + 1
    return [part for part in [*parts, text[start:]] if part.strip()]


def _label_test(part: str) -> Callable[[dict[str, str]], bool]:
    if found := _SET.match(part):
        key, operator, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(part):
        key, operator, value = found.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(part):
        absent, key = found.groups()
        return lambda labels: (key in labels) != bool(absent)
    if found := re.match(r"^\s*[^\s!=,()]+\s+(?:in|notin)\s+([^\s(]\S*)", part):
        raise bad_request(f"unable to parse requirement: found '{found[1]}' expected: '('")
    if re.match(r"^\s*[^\s!=,()]+\s*!?==?\s*\(", part):
        raise bad_request("unable to parse requirement: found '(', expected: identifier")
    words = part.split()
    strange = words[1] if len(words) > 1 else part
    raise bad_request(f"unable to parse requirement: found '{strange}', expected: in, notin, =, ==, !=, gt, lt")


def by_fields(resource: Resource, text: str) -> Match | None:
    """A field selector; None when it selects everything. Raises ApiError 400."""
    tests = []
    for part in _split(text):
        found = re.match(r"^\s*([^\s!=]+)\s*(==|=|!=)(.*)$", part)
        if not found:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        key, operator, value = found.groups()
        known = ("metadata.name", "metadata.namespace", *_FIELDS.get(resource.plural, ()))
        if key not in known:
            if resource.plural in _FIELDS:
                raise bad_request(f"field label not supported: {key}")
            text = 'is not a known field selector: only "metadata.name", "metadata.namespace"'
            raise bad_request(f'"{key}" {text}')
        tests.append((key, operator != "!=", value))
    if not tests:
        return None
    return lambda obj: all((_field(obj, key) == value) == wanted for key, wanted, value in tests)


def _field(obj: Object, key: str) -> str:
    if key == "name":
        key = "metadata.name"
    value: Any = obj
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if key == "source" and isinstance(value, dict):
        return str(value.get("component", ""))
    if key in ("spec.hostNetwork", "spec.unschedulable"):
        return "true" if value else "false"
    return str(value) if value is not None else ""


def both(first: Match | None, second: Match | None) -> Match:
    """What satisfies two selectors."""
    if first and second:
        return lambda obj: first(obj) and second(obj)
    return first or second or (lambda _: True)


def matches_labels(selector: Object, labels: dict[str, str]) -> bool:
    """Whether labels satisfy a LabelSelector of an object (matchLabels and matchExpressions)."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(requirement(one, labels) for one in selector.get("matchExpressions") or [])


def requirement(one: Object, labels: dict[str, str]) -> bool:
    """Whether labels satisfy one expression: In, NotIn, Exists, DoesNotExist, Gt, Lt."""
    value, values = labels.get(one["key"]), one.get("values") or []
    match one["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    if value is None or not value.lstrip("-").isdigit() or not values:
        return False
    return int(value) > int(values[0]) if one["operator"] == "Gt" else int(value) < int(values[0])
