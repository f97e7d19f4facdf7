"""What makes a pod invalid, in the words of the API server."""

import re
from decimal import Decimal
from typing import Any

from . import errors
from .errors import Cause
from .quantity import parse

Object = dict[str, Any]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ENV = re.compile(r"[^=\x00-\x1f\x7f-\uffff]+")
_SMALL_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_POLICIES = ("Always", "OnFailure", "Never")
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_UPDATE_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check(spec: Object) -> list[Cause]:
    """What is wrong with a pod's specification."""
    causes: list[Cause] = []
    volumes: set[str] = set()
    for at, volume in enumerate(spec.get("volumes") or []):
        causes += _volume(f"spec.volumes[{at}]", volume, volumes)
    names: set[str] = set()
    if not spec.get("containers"):
        causes.append(errors.required("spec.containers"))
    for kind in ("containers", "initContainers"):
        for at, one in enumerate(spec.get(kind) or []):
            causes += _container(f"spec.{kind}[{at}]", one, names, volumes)
    if spec["restartPolicy"] not in _POLICIES:
        causes.append(errors.unsupported("spec.restartPolicy", spec["restartPolicy"], _POLICIES))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        causes.append(
            errors.wrong("spec.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
        )
    return causes + _users("spec.securityContext", spec.get("securityContext") or {})


def _users(where: str, context: Object) -> list[Cause]:
    return [
        errors.wrong(f"{where}.{field}", context[field], "must be between 0 and 2147483647, inclusive")
        for field in ("runAsUser", "runAsGroup", "fsGroup")
        if not 0 <= (context.get(field) or 0) <= 2147483647
    ]


def _volume(where: str, volume: Object, names: set[str]) -> list[Cause]:
    causes, name = [], volume.get("name", "")
    if name and not _LABEL.fullmatch(name):
        causes.append(errors.wrong(f"{where}.name", name, _LABEL_TEXT))
    if name in names:
        causes.append(("FieldValueDuplicate", f"{where}.name", f'Duplicate value: "{name}"'))
    names.add(name)
    if len(volume) > 2:
        causes.append(errors.prohibited(f"{where}.{list(volume)[2]}", "may not specify more than 1 volume type"))
    return causes


def _container(where: str, one: Object, names: set[str], volumes: set[str]) -> list[Cause]:
    causes, name = [], one.get("name", "")
    if name and not _LABEL.fullmatch(name):
        causes.append(errors.wrong(f"{where}.name", name, _LABEL_TEXT))
    if name in names:
        causes.append(("FieldValueDuplicate", f"{where}.name", f'Duplicate value: "{name}"'))
    names.add(name)
    if not one.get("image"):
        causes.append(errors.required(f"{where}.image"))
    elif one["image"] != one["image"].strip():
        causes.append(errors.wrong(f"{where}.image", one["image"], "must not have leading or trailing whitespace"))
    if one["imagePullPolicy"] not in ("Always", "IfNotPresent", "Never"):
        causes.append(
            errors.unsupported(f"{where}.imagePullPolicy", one["imagePullPolicy"], ("Always", "IfNotPresent", "Never"))
        )
    for at, port in enumerate(one.get("ports") or []):
        causes += _port(f"{where}.ports[{at}]", port)
    for at, variable in enumerate(one.get("env") or []):
        if not _ENV.fullmatch(variable.get("name") or "-"):
            text = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            causes.append(errors.wrong(f"{where}.env[{at}].name", variable["name"], text))
        if variable.get("valueFrom") is not None and variable.get("value"):
            text = "may not be specified when `value` is not empty"
            causes.append(errors.wrong(f"{where}.env[{at}].valueFrom", "", text))
    paths: set[str] = set()
    for at, mount in enumerate(one.get("volumeMounts") or []):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if name and name not in volumes:
            causes.append(("FieldValueNotFound", f"{where}.volumeMounts[{at}].name", f'Not found: "{name}"'))
        if path in paths:
            causes.append(errors.wrong(f"{where}.volumeMounts[{at}].mountPath", path, "must be unique"))
        paths.add(path)
    causes += _users(f"{where}.securityContext", one.get("securityContext") or {})
    return causes + _probes(where, one) + _resources(f"{where}.resources", one.get("resources") or {})


def _port(where: str, port: Object) -> list[Cause]:
    number = port.get("containerPort", 0)
    if not number:
        return [errors.required(f"{where}.containerPort")]
    if not 0 < number < 65536:
        return [errors.wrong(f"{where}.containerPort", number, "must be between 1 and 65535, inclusive")]
    if port["protocol"] not in ("TCP", "UDP", "SCTP"):
        return [errors.unsupported(f"{where}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))]
    return []


def _probes(where: str, one: Object) -> list[Cause]:
    causes = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = one.get(name)
        if probe is not None and not any(kind in probe for kind in ("httpGet", "tcpSocket", "exec", "grpc")):
            causes.append(errors.required(f"{where}.{name}", "must specify a handler type"))
    return causes


def _resources(where: str, resources: Object) -> list[Cause]:
    causes: list[Cause] = []
    amounts: dict[str, dict[str, Decimal]] = {}
    for kind in ("limits", "requests"):
        amounts[kind] = {}
        for name, value in (resources.get(kind) or {}).items():
            amount = amounts[kind][name] = parse(value)
            field = f"{where}.{kind}[{name}]"
            if amount < 0:
                causes.append(errors.wrong(field, value, "must be greater than or equal to 0"))
            elif "/" not in name and name not in _SMALL_RESOURCES and not name.startswith("hugepages-"):
                causes.append(errors.wrong(field, name, "must be a standard resource type or fully qualified"))
                causes.append(errors.wrong(field, name, "must be a standard resource for containers"))
            elif "/" in name and amount != amount.to_integral_value():
                causes.append(errors.wrong(field, value, "must be an integer"))
    limits, requests = amounts["limits"], amounts["requests"]
    for name, amount in requests.items():
        shown = (resources.get("requests") or {})[name]
        field = f"{where}.requests"
        if "/" in name and name not in limits:
            causes.append(errors.required(f"{where}.limits", "Limit must be set for non overcommitable resources"))
        elif "/" in name and amount != limits[name]:
            text = f"must be equal to {name} limit of {resources['limits'][name]}"
            causes.append(errors.wrong(field, shown, text))
        elif name in limits and amount > limits[name]:
            text = f"must be less than or equal to {name} limit of {resources['limits'][name]}"
            causes.append(errors.wrong(field, shown, text))
    return causes


def check_change(before: Object, spec: Object) -> list[Cause]:
    """What is wrong with a change of a pod's specification: nearly everything is fixed once it is created."""
    for kind in ("containers", "initContainers"):
        if len(before.get(kind) or []) != len(spec.get(kind) or []):
            return [errors.prohibited(f"spec.{kind}", "pod updates may not add or remove containers")]
    if _fixed(before) != _fixed(spec):
        return [errors.prohibited("spec", _UPDATE_TEXT)]
    old, new = before.get("tolerations") or [], spec.get("tolerations") or []
    if any(one not in new for one in old):
        return [
            errors.prohibited(
                "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
            )
        ]
    return []


def _fixed(spec: Object) -> Object:
    free = ("containers", "initContainers", "activeDeadlineSeconds", "tolerations")
    fixed = {key: value for key, value in spec.items() if key not in free}
    for kind in ("containers", "initContainers"):
        fixed[kind] = [{key: value for key, value in one.items() if key != "image"} for one in spec.get(kind) or []]
    return fixed
