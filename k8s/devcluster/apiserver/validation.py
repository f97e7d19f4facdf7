"""What makes an object invalid (422), in the words of the API server: metadata and the smaller kinds."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from typing import Any

from . import errors, validation_pod, validation_rules
from .errors import Cause
from .resources import Resource
from .schema import Type, type_of

Object = dict[str, Any]

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_KEY_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
#: The names of these become host names or parts of them; those of rights may be anything that fits in a path.
_LABEL_NAMES = ("namespaces", "services")
_PATH_NAMES = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
_TOTAL_ANNOTATIONS = 256 * 1024
_LARGEST_CONTENT = 1024 * 1024


def is_label(text: str) -> bool:
    """Whether a text is an RFC 1123 label."""
    return len(text) <= 63 and _LABEL.fullmatch(text) is not None


def check(resource: Resource, obj: Object, before: Object | None = None) -> None:
    """Raises ApiError 422 with all that is wrong with an object, or with the change from `before`."""
    causes = _metadata(resource, obj["metadata"])
    causes += _missing(obj, type_of(resource.api_version, resource.kind), "")
    causes += (_KINDS.get(resource.kind) or (lambda _: []))(obj)
    if before is not None and (not causes or resource.kind == "Pod"):
        causes += _changes(resource, before, obj)
    if causes:
        unique = list(dict.fromkeys(causes))
        raise errors.invalid(resource.kind, obj["metadata"].get("name", ""), unique, resource.group)


def _metadata(resource: Resource, meta: Object) -> list[Cause]:
    name, causes = meta["name"], []
    if resource.plural in _LABEL_NAMES:
        if not is_label(name):
            text = LABEL_TEXT if len(name) <= 63 else "must be no more than 63 characters"
            text = "must not contain dots" if "." in name else text
            causes.append(errors.wrong("metadata.name", name, text))
    elif resource.plural in _PATH_NAMES:
        if name in (".", "..") or "/" in name or "%" in name:
            causes.append(errors.wrong("metadata.name", name, "may not contain '/' or '%'"))
    elif len(name) > 253:
        causes.append(errors.wrong("metadata.name", name, "must be no more than 253 characters"))
    elif not _SUBDOMAIN.fullmatch(name):
        causes.append(errors.wrong("metadata.name", name, _SUBDOMAIN_TEXT))
    for key, value in (meta.get("labels") or {}).items():
        causes += _key("metadata.labels", key)
        if len(value) > 63:
            causes.append(errors.wrong("metadata.labels", value, "must be no more than 63 bytes"))
        elif value and not _NAME_PART.fullmatch(value):
            causes.append(errors.wrong("metadata.labels", value, _VALUE_TEXT))
    annotations = meta.get("annotations") or {}
    for key in annotations:
        causes += _key("metadata.annotations", key.lower())
    if sum(len(key) + len(value) for key, value in annotations.items()) > _TOTAL_ANNOTATIONS:
        causes.append(
            ("FieldValueTooLong", "metadata.annotations", f"Too long: may not be more than {_TOTAL_ANNOTATIONS} bytes")
        )
    for at, owner in enumerate(meta.get("ownerReferences") or []):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                causes.append(
                    errors.wrong(f"metadata.ownerReferences[{at}].{field}", owner.get(field, ""), "must not be empty")
                )
    return causes


def _key(field: str, key: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    if not _NAME_PART.fullmatch(name):
        return [errors.wrong(field, key, _KEY_TEXT)]
    if len(name) > 63:
        return [errors.wrong(field, key, "name part must be no more than 63 bytes")]
    if slash and not _SUBDOMAIN.fullmatch(prefix):
        return [errors.wrong(field, key, f"prefix part {_SUBDOMAIN_TEXT}")]
    return []


def _node_selector(spec: Object) -> list[Cause]:
    return [cause for key in spec.get("nodeSelector") or {} for cause in _key("spec.nodeSelector", key)]


def _missing(value: Any, found: Type | None, path: str) -> list[Cause]:
    """Fields that the schema requires; those that the server's own rules name in other words are left to them."""
    if found is None or not isinstance(value, dict | list):
        return []
    causes: list[Cause] = []
    if isinstance(value, list):
        for at, one in enumerate(value):
            causes += _missing(one, found.items, f"{path}[{at}]")
        return causes
    for name in found.required if found.shape == "struct" else ():
        if value.get(name) in (None, "") and (found.name, name) not in _LENIENT:
            causes.append(errors.required(f"{path}.{name}".lstrip("."), _WORDS.get((found.name, name), "")))
    for name, one in value.items():
        causes += _missing(one, found.items or found.fields.get(name), f"{path}.{name}".lstrip("."))
    return causes


_LENIENT = {
    ("ServicePort", "port"),
    ("ContainerPort", "containerPort"),
    ("Taint", "effect"),
    ("NodeSystemInfo", "machineID"),
    ("Event", "metadata"),
    ("Event", "involvedObject"),
    ("PodSpec", "containers"),
    ("DaemonEndpoint", "Port"),
    ("ContainerStatus", "imageID"),
    ("ContainerStatus", "image"),
    ("LeaseSpec", "holderIdentity"),
    ("HTTPIngressPath", "backend"),
    ("PolicyRule", "verbs"),
    *(
        ("NodeSystemInfo", name)
        for name in (
            "bootID",
            "systemUUID",
            "kernelVersion",
            "osImage",
            "containerRuntimeVersion",
            "kubeletVersion",
            "kubeProxyVersion",
            "operatingSystem",
            "architecture",
        )
    ),
}
_WORDS = {("HTTPIngressPath", "pathType"): "pathType must be specified"}


def _service(obj: Object) -> list[Cause]:
    spec, causes = obj["spec"], []
    kind = spec["type"]
    if kind not in ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        causes.append(errors.unsupported("spec.type", kind, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")))
    if not spec.get("ports") and kind != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(errors.required("spec.ports"))
    names: set[str] = set()
    numbers: set[tuple[Any, Any]] = set()
    for at, port in enumerate(spec.get("ports") or []):
        where = f"spec.ports[{at}]"
        number_of = (port.get("protocol"), port.get("port"))
        if number_of in numbers:
            causes.append(("FieldValueDuplicate", where, f"Duplicate value: {port}"))
        numbers.add(number_of)
        causes += _port_name(f"{where}.targetPort", port.get("targetPort"))
        for field in ("port", "targetPort"):
            number = port.get(field, 0)
            if isinstance(number, int) and not 0 < number < 65536:
                causes.append(errors.wrong(f"{where}.{field}", number, "must be between 1 and 65535, inclusive"))
        name = port.get("name", "")
        if not name and len(spec["ports"]) > 1:
            causes.append(errors.required(f"{where}.name"))
        elif name and not is_label(name):
            causes.append(errors.wrong(f"{where}.name", name, LABEL_TEXT))
        elif name in names:
            causes.append(("FieldValueDuplicate", f"{where}.name", f'Duplicate value: "{name}"'))
        names.add(name)
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            causes.append(errors.unsupported(f"{where}.protocol", port.get("protocol", ""), ("SCTP", "TCP", "UDP")))
    return causes


def _port_name(where: str, name: Any) -> list[Cause]:
    if not isinstance(name, str) or (_LABEL.fullmatch(name) and re.search("[a-z]", name)):
        return []
    texts = ["must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"] * (not _LABEL.fullmatch(name))
    texts += ["must contain at least one letter (a-z)"] * (re.search("[a-z]", name) is None)
    return [errors.wrong(where, name, text) for text in texts]


#: What Secrets of these types must hold.
_SECRET_KEYS = {"kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/dockerconfigjson": (".dockerconfigjson",)}


def _secret(obj: Object) -> list[Cause]:
    causes = _config_keys(obj, "data")
    causes += [
        errors.required(f"data[{key}]")
        for key in _SECRET_KEYS.get(obj.get("type", ""), ())
        if key not in (obj.get("data") or {})
    ]
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            strange = re.search("[^A-Za-z0-9+/]", value)
            text = f"illegal base64 data at input byte {strange.start() if strange else len(value)}"
            raise errors.bad_request(f'Secret in version "v1" cannot be handled as a Secret: {text}') from None
        if key and len(value) > _LARGEST_CONTENT * 4 // 3 + 4:
            causes.append(("FieldValueTooLong", "data", f"Too long: may not be more than {_LARGEST_CONTENT} bytes"))
    return causes


def _config_map(obj: Object) -> list[Cause]:
    return _config_keys(obj, "data") + _config_keys(obj, "binaryData")


def _config_keys(obj: Object, field: str) -> list[Cause]:
    return [
        errors.wrong(f"{field}[{key}]", key, _CONFIG_KEY_TEXT)
        for key in obj.get(field) or {}
        if not _CONFIG_KEY.fullmatch(key) or len(key) > 253 or key in (".", "..")
    ]


def _ingress(obj: Object) -> list[Cause]:
    spec, causes = obj.get("spec") or {}, []
    if not spec.get("rules") and not spec.get("defaultBackend"):
        causes.append(errors.wrong("spec", None, "either `defaultBackend` or `rules` must be specified"))
    for at, rule in enumerate(spec.get("rules") or []):
        where, host = f"spec.rules[{at}]", rule.get("host", "")
        if host and not _SUBDOMAIN.fullmatch(host.removeprefix("*.")):
            causes.append(errors.wrong(f"{where}.host", host, _SUBDOMAIN_TEXT))
        for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
            causes += _ingress_path(f"{where}.http.paths[{number}]", path)
    for at, tls in enumerate(spec.get("tls") or []):
        for number, host in enumerate(tls.get("hosts") or []):
            if not _SUBDOMAIN.fullmatch(host.removeprefix("*.")):
                causes.append(errors.wrong(f"spec.tls[{at}].hosts[{number}]", host, _SUBDOMAIN_TEXT))
    return causes


def _ingress_path(where: str, path: Object) -> list[Cause]:
    causes = []
    kind = path.get("pathType") or "Exact"
    if kind not in ("Exact", "Prefix", "ImplementationSpecific"):
        causes.append(errors.unsupported(f"{where}.pathType", kind, ("Exact", "ImplementationSpecific", "Prefix")))
    elif kind != "ImplementationSpecific" and not path.get("path", "").startswith("/"):
        causes.append(errors.wrong(f"{where}.path", path.get("path", ""), "must be an absolute path"))
    backend = path.get("backend") or {}
    service = backend.get("service")
    if service is None and not backend.get("resource"):
        causes.append(errors.wrong(f"{where}.backend", "", "resource or service backend is required"))
    if service is not None:
        port = service.get("port") or {}
        if not port.get("number") and not port.get("name"):
            causes.append(errors.required(f"{where}.backend", "port name or number is required"))
    return causes


def _policy(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = [
        errors.unsupported(f"spec.policyTypes[{at}]", kind, ("Ingress", "Egress"))
        for at, kind in enumerate(spec.get("policyTypes") or [])
        if kind not in ("Ingress", "Egress")
    ]
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for at, rule in enumerate(spec.get(direction) or []):
            for number, peer in enumerate(rule.get(peers) or []):
                block = peer.get("ipBlock")
                for cidr in [block.get("cidr", ""), *(block.get("except") or [])] if block else []:
                    try:
                        ipaddress.ip_network(cidr if "/" in cidr else "")
                    except ValueError:
                        where = f"spec.{direction}[{at}].{peers}[{number}].ipBlock.cidr"
                        causes.append(
                            errors.wrong(where, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
                        )
    return causes


_KINDS: dict[str, Callable[[Object], list[Cause]]] = {
    "Pod": lambda obj: validation_pod.check(obj["spec"]) + _node_selector(obj["spec"]),
    "Service": _service,
    "Secret": _secret,
    "ConfigMap": _config_map,
    "Ingress": _ingress,
    "NetworkPolicy": _policy,
    "ResourceQuota": validation_rules.quota,
    "LimitRange": validation_rules.limit_range,
    "Role": validation_rules.role,
    "ClusterRole": validation_rules.role,
    "Lease": validation_rules.lease,
}


def _changes(resource: Resource, before: Object, obj: Object) -> list[Cause]:
    if resource.kind == "Pod":
        return validation_pod.check_change(before["spec"], obj["spec"])
    if resource.kind in ("Secret", "ConfigMap") and before.get("immutable"):
        return [
            errors.prohibited(field, "field is immutable when `immutable` is set")
            for field in ("immutable", "data", "binaryData")
            if before.get(field) != obj.get(field)
        ]
    if resource.kind == "Secret" and before.get("type") != obj.get("type"):
        return [errors.wrong("type", obj.get("type"), "field is immutable")]
    if resource.kind == "Service" and "ExternalName" not in (before["spec"]["type"], obj["spec"]["type"]):
        address = obj["spec"].get("clusterIP", "")
        if address != before["spec"].get("clusterIP", ""):
            return [errors.wrong("spec.clusterIPs[0]", [address], "may not change once set")]
    if resource.kind.endswith("RoleBinding") and before.get("roleRef") != obj.get("roleRef"):
        return [errors.wrong("roleRef", "", "cannot change roleRef")]
    return []
