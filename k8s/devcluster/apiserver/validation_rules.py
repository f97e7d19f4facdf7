"""What makes the rules of a namespace invalid, in the words of the API server: quotas, limit ranges, rights, leases."""

from typing import Any

from . import errors
from .errors import Cause
from .quantity import parse, show

Object = dict[str, Any]

_UNQUALIFIED = "must be a standard resource type or fully qualified"
_PLAIN = ("cpu", "memory", "storage", "ephemeral-storage")
_COUNTED = (
    "pods",
    "services",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "services.nodeports",
    "services.loadbalancers",
)


def quota(obj: Object) -> list[Cause]:
    """What is wrong with a ResourceQuota."""
    causes: list[Cause] = []
    for name, value in ((obj.get("spec") or {}).get("hard") or {}).items():
        field, amount = f"spec.hard[{name}]", parse(value)
        bare = name.removeprefix("requests.").removeprefix("limits.")
        if "/" not in name and name not in _COUNTED and bare not in _PLAIN:
            causes.append(errors.wrong(field, name, _UNQUALIFIED))
            causes.append(errors.wrong(field, name, "must be a standard resource for quota"))
        if amount < 0:
            causes.append(errors.wrong(field, value, "must be greater than or equal to 0"))
        if name in _COUNTED and amount != amount.to_integral_value():
            causes.append(errors.wrong(field, show(amount), "must be an integer"))
    return causes


def limit_range(obj: Object) -> list[Cause]:
    """What is wrong with a LimitRange: defaults outside of what it allows."""
    causes: list[Cause] = []
    for at, item in enumerate((obj.get("spec") or {}).get("limits") or []):
        most = item.get("max") or {}
        for kind, words in (("defaultRequest", "default request"), ("default", "default")):
            for name, value in (item.get(kind) or {}).items():
                if name in most and parse(value) > parse(most[name]):
                    text = f"{words} value {value} is greater than max value {most[name]}"
                    shown = value if kind == "defaultRequest" else most[name]
                    causes.append(errors.wrong(f"spec.limits[{at}].{kind}[{name}]", shown, text))
    return causes


def role(obj: Object) -> list[Cause]:
    """What is wrong with a Role or a ClusterRole."""
    return [
        errors.required(f"rules[{at}].verbs", "verbs must contain at least one value")
        for at, rule in enumerate(obj.get("rules") or [])
        if not rule.get("verbs")
    ]


def lease(obj: Object) -> list[Cause]:
    """What is wrong with a Lease."""
    seconds = (obj.get("spec") or {}).get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        return [errors.wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0")]
    return []
