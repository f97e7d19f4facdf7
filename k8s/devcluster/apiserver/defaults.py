"""What the API server fills in where an object says nothing, for the kinds that we use."""

import base64
import ipaddress
import zlib
from collections.abc import Callable
from typing import Any

from .quantity import parse

Object = dict[str, Any]

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def apply_defaults(obj: Object) -> None:
    """Fill in an object, in place."""
    fill = _BY_KIND.get(obj["kind"])
    if fill:
        fill(obj)


def _set(obj: Object, **values: Any) -> None:
    for key, value in values.items():
        if obj.get(key) in (None, ""):
            obj[key] = value


def _pod(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _set(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        enableServiceLinks=True,
        preemptionPolicy="PreemptLowerPriority",
        priority=0,
    )
    spec.setdefault("securityContext", {})
    for name in spec.get("initContainers") or []:
        _container(name)
    for name in spec.get("containers") or []:
        _container(name)
    for volume in spec.get("volumes") or []:
        _volume(volume)


def _container(one: Object) -> None:
    _set(one, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    image = one.get("image", "")
    tag = image.rpartition("/")[2].partition(":")[2]
    floating = "@" not in image and tag in ("", "latest")
    _set(one, imagePullPolicy="Always" if floating else "IfNotPresent")
    one.setdefault("resources", {})
    limits = one["resources"].get("limits") or {}
    if limits:
        one["resources"]["requests"] = {**limits, **(one["resources"].get("requests") or {})}
    for port in one.get("ports") or []:
        _set(port, protocol="TCP")
    for variable in one.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _set(reference, apiVersion="v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if one.get(name) is not None:
            _set(one[name], **_PROBE)
            if "httpGet" in one[name]:
                _set(one[name]["httpGet"], path="/", scheme="HTTP")


def _volume(volume: Object) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(kind) is not None:
            _set(volume[kind], defaultMode=0o644)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _set(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    for port in spec.get("ports") or []:
        _set(port, protocol="TCP")
        if port.get("targetPort") in (None, "", 0) and "port" in port:
            port["targetPort"] = port["port"]
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def service_address(obj: Object) -> None:
    """Give a Service its addresses; the same name has the same one always."""
    spec = obj["spec"]
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        number = zlib.crc32(obj["metadata"]["uid"].encode()) % 65000 + 100
        spec["clusterIP"] = str(ipaddress.IPv4Address("10.96.0.0") + number)
    spec["clusterIPs"] = [spec["clusterIP"]]
    _set(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")


def _secret(obj: Object) -> None:
    plain = obj.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}
    _set(obj, type="Opaque")


def _namespace(obj: Object) -> None:
    meta = obj["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
    if not meta.get("deletionTimestamp"):
        obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _limit_range(obj: Object) -> None:
    for one in obj.get("spec", {}).get("limits") or []:
        if one.get("type") == "Container":
            one["default"] = {**(one.get("max") or {}), **(one.get("default") or {})}
            one["defaultRequest"] = {**(one.get("min") or {}), **one["default"], **(one.get("defaultRequest") or {})}
            for key in ("default", "defaultRequest"):
                if not one[key]:
                    del one[key]


def _ingress(obj: Object) -> None:
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    for rule in [*(spec.get("ingress") or []), *(spec.get("egress") or [])]:
        for port in rule.get("ports") or []:
            _set(port, protocol="TCP")


def _claim(obj: Object) -> None:
    _set(obj.setdefault("spec", {}), volumeMode="Filesystem")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _event(obj: Object) -> None:
    obj.setdefault("source", {})
    for key in ("firstTimestamp", "lastTimestamp", "eventTime"):
        obj.setdefault(key, None)
    for key in ("reportingComponent", "reportingInstance"):
        obj.setdefault(key, "")


def _binding(obj: Object) -> None:
    for subject in obj.get("subjects") or []:
        if subject.get("kind") != "ServiceAccount":
            _set(subject, apiGroup="rbac.authorization.k8s.io")
    _set(obj.get("roleRef") or {}, apiGroup="rbac.authorization.k8s.io")


def _quota(obj: Object) -> None:
    obj.setdefault("status", {})


_BY_KIND: dict[str, Callable[[Object], None]] = {
    "Pod": _pod,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "LimitRange": _limit_range,
    "Ingress": _ingress,
    "NetworkPolicy": _policy,
    "PersistentVolumeClaim": _claim,
    "Event": _event,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "ResourceQuota": _quota,
}


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort (https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/)."""
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    kinds = [(one.get("resources") or {}) for one in containers]

    def amounts(key: str) -> list[Object]:
        return [
            {name: v for name, v in (kind.get(key) or {}).items() if name in ("cpu", "memory") and parse(v)}
            for kind in kinds
        ]

    limits, requests = amounts("limits"), amounts("requests")
    if not any(limits) and not any(requests):
        return "BestEffort"
    full = all(
        set(limit) == {"cpu", "memory"} and limit == request for limit, request in zip(limits, requests, strict=True)
    )
    return "Guaranteed" if full else "Burstable"
