"""LimitRange: defaults for containers that say nothing, and bounds."""

from typing import Any

from .quantity import parse

Object = dict[str, Any]


def fill(pod: Object, ranges: list[Object]) -> None:
    """Give containers the defaults of the namespace's LimitRanges, in place."""
    notes = []
    for kind in ("containers", "initContainers"):
        for one in pod["spec"].get(kind) or []:
            given: dict[str, list[str]] = {"request": [], "limit": []}
            for limit in _of_type(ranges, "Container"):
                _fill_one(one, limit, given)
            prefix = "init container" if kind == "initContainers" else "container"
            notes += [
                f"{', '.join(sorted(names))} {word} for {prefix} {one['name']}"
                for word, names in given.items()
                if names
            ]
    if notes:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations["kubernetes.io/limit-ranger"] = "LimitRanger plugin set: " + "; ".join(notes)


def _fill_one(one: Object, limit: Object, given: dict[str, list[str]]) -> None:
    resources = one.setdefault("resources", {})
    for word, field, source in (("request", "requests", "defaultRequest"), ("limit", "limits", "default")):
        for name, value in (limit.get(source) or {}).items():
            if name not in (resources.get(field) or {}):
                resources.setdefault(field, {})[name] = value
                given[word].append(name)


def _of_type(ranges: list[Object], kind: str) -> list[Object]:
    return [limit for one in ranges for limit in one["spec"].get("limits") or [] if limit["type"] == kind]


def violations(pod: Object, ranges: list[Object]) -> str:
    """What a pod asks for that the LimitRanges do not allow, as the API says it; "" when nothing."""
    texts: list[str] = []
    spec = pod["spec"]
    for limit in _of_type(ranges, "Container"):
        for one in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
            texts += _check(limit, one.get("resources") or {}, "Container")
    for limit in _of_type(ranges, "Pod"):
        texts += _check(limit, totals(spec), "Pod")
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""


def _check(limit: Object, resources: Object, kind: str) -> list[str]:
    requests, limits, texts = resources.get("requests") or {}, resources.get("limits") or {}, []
    for name, least in (limit.get("min") or {}).items():
        if name not in requests:
            texts.append(f"minimum {name} usage per {kind} is {least}.  No request is specified")
        elif parse(requests[name]) < parse(least):
            texts.append(f"minimum {name} usage per {kind} is {least}, but request is {requests[name]}")
    for name, most in (limit.get("max") or {}).items():
        if name not in limits:
            texts.append(f"maximum {name} usage per {kind} is {most}.  No limit is specified")
        elif parse(limits[name]) > parse(most):
            texts.append(f"maximum {name} usage per {kind} is {most}, but limit is {limits[name]}")
    for name, most in (limit.get("maxLimitRequestRatio") or {}).items():
        texts += _check_ratio(name, most, requests, limits, kind)
    return texts


def _check_ratio(name: str, most: str, requests: Object, limits: Object, kind: str) -> list[str]:
    said = f"{name} max limit to request ratio per {kind} is {most}, but"
    least, largest = parse(requests.get(name, "0")), parse(limits.get(name, "0"))
    if not least or not largest:
        return [
            f"{said} no request is specified or request is 0"
            if not least
            else f"{said} no limit is specified or limit is 0"
        ]
    return [f"{said} provided ratio is {float(largest / least):f}"] if largest / least > parse(most) else []


def totals(spec: Object) -> Object:
    """What a pod's containers ask for together: the sum of the main ones, or the largest of the first ones."""
    result: Object = {}
    for field in ("requests", "limits"):
        amounts: Object = {}
        for one in spec.get("containers") or []:
            for name, value in ((one.get("resources") or {}).get(field) or {}).items():
                amounts[name] = amounts.get(name, 0) + parse(value)
        for one in spec.get("initContainers") or []:
            for name, value in ((one.get("resources") or {}).get(field) or {}).items():
                amounts[name] = max(amounts.get(name, 0), parse(value))
        result[field] = amounts
    return result
