"""Pod Security: the levels baseline and restricted, in the words of the API server's own plug-in.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

_BASELINE_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}
_RESTRICTED_VOLUMES = {
    "configMap",
    "downwardAPI",
    "emptyDir",
    "projected",
    "secret",
    "csi",
    "ephemeral",
    "persistentVolumeClaim",
    "image",
}
_LABEL = "pod-security.kubernetes.io/"


def violations(spec: Object, level: str) -> str:
    """What a pod does that the level forbids; "" when nothing."""
    if level not in ("baseline", "restricted"):
        return ""
    checks = _RESTRICTED if level == "restricted" else _BASELINE
    return ", ".join(found for check in checks if (found := check(spec)))


def level_of(namespace_labels: dict[str, str], mode: str) -> tuple[str, str]:
    """(level, version) that a namespace sets for enforce, audit or warn."""
    level = namespace_labels.get(_LABEL + mode, "privileged")
    return level, namespace_labels.get(f"{_LABEL}{mode}-version", "latest")


def _containers(spec: Object) -> list[Object]:
    return [
        *(spec.get("initContainers") or []),
        *(spec.get("containers") or []),
        *(spec.get("ephemeralContainers") or []),
    ]


def _security(one: Object) -> Object:
    return one.get("securityContext") or {}


def _names(containers: list[Object]) -> str:
    quoted = ", ".join(f'"{one["name"]}"' for one in containers)
    return f"container{'s' if len(containers) > 1 else ''} {quoted}"


def _listed(values: list[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _host_namespaces(spec: Object) -> str:
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return f"host namespaces ({', '.join(used)})" if used else ""


def _privileged(spec: Object) -> str:
    bad = [one for one in _containers(spec) if _security(one).get("privileged")]
    return f"privileged ({_names(bad)} must not set securityContext.privileged=true)" if bad else ""


def _baseline_capabilities(spec: Object) -> str:
    bad, added = [], set()
    for one in _containers(spec):
        extra = set((_security(one).get("capabilities") or {}).get("add") or []) - _BASELINE_CAPABILITIES
        if extra:
            bad.append(one)
            added |= extra
    if not bad:
        return ""
    return f"non-default capabilities ({_names(bad)} must not include {_listed(sorted(added))} in securityContext.capabilities.add)"


def _host_path(spec: Object) -> str:
    bad = [volume["name"] for volume in spec.get("volumes") or [] if "hostPath" in volume]
    return f"hostPath volumes (volume{'s' if len(bad) > 1 else ''} {_listed(bad)})" if bad else ""


def _host_ports(spec: Object) -> str:
    bad, ports = [], []
    for one in _containers(spec):
        used = [port["hostPort"] for port in one.get("ports") or [] if port.get("hostPort")]
        if used:
            bad.append(one)
            ports += used
    word = "uses hostPort" if len(bad) == 1 else "use hostPorts"
    return f"hostPort ({_names(bad)} {word} {', '.join(map(str, sorted(set(ports))))})" if bad else ""


def _escalation(spec: Object) -> str:
    bad = [one for one in _containers(spec) if _security(one).get("allowPrivilegeEscalation") is not False]
    if not bad:
        return ""
    return f"allowPrivilegeEscalation != false ({_names(bad)} must set securityContext.allowPrivilegeEscalation=false)"


def _capabilities(spec: Object) -> str:
    keeps, adds, added = [], [], set()
    for one in _containers(spec):
        capabilities = _security(one).get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []):
            keeps.append(one)
        extra = set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}
        if extra:
            adds.append(one)
            added |= extra
    texts = [f'{_names(keeps)} must set securityContext.capabilities.drop=["ALL"]'] if keeps else []
    if adds:
        texts.append(f"{_names(adds)} must not include {_listed(sorted(added))} in securityContext.capabilities.add")
    return f"unrestricted capabilities ({'; '.join(texts)})" if texts else ""


def _volumes(spec: Object) -> str:
    bad = [
        (volume["name"], kind)
        for volume in spec.get("volumes") or []
        for kind in set(volume) - {"name"} - _RESTRICTED_VOLUMES
    ]
    if not bad:
        return ""
    kinds = sorted({kind for _, kind in bad})
    many, types = ("s", "use") if len(bad) > 1 else ("", "uses"), "s" if len(kinds) > 1 else ""
    names = _listed([name for name, _ in bad])
    return f"restricted volume types (volume{many[0]} {names} {many[1]} restricted volume type{types} {_listed(kinds)})"


def _non_root(spec: Object) -> str:
    pod = _security(spec).get("runAsNonRoot")
    explicit = [one for one in _containers(spec) if _security(one).get("runAsNonRoot") is False]
    silent = [one for one in _containers(spec) if _security(one).get("runAsNonRoot") is None]
    if explicit:
        return f"runAsNonRoot != true ({_names(explicit)} must not set securityContext.runAsNonRoot=false)"
    if pod is False:
        return "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"
    if silent and not pod:
        return f"runAsNonRoot != true (pod or {_names(silent)} must set securityContext.runAsNonRoot=true)"
    return ""


def _user(spec: Object) -> str:
    places = ["pod"] if _security(spec).get("runAsUser") == 0 else []
    bad = [one for one in _containers(spec) if _security(one).get("runAsUser") == 0]
    places += [_names(bad)] if bad else []
    return f"runAsUser=0 ({' and '.join(places)} must not set runAsUser=0)" if places else ""


def _profile(one: Object) -> str:
    return str((_security(one).get("seccompProfile") or {}).get("type", ""))


def _seccomp_baseline(spec: Object) -> str:
    places = ["pod"] if _profile(spec) == "Unconfined" else []
    bad = [one for one in _containers(spec) if _profile(one) == "Unconfined"]
    places += [_names(bad)] if bad else []
    text = 'must not set securityContext.seccompProfile.type to "Unconfined"'
    return f"seccompProfile ({' and '.join(places)} {text})" if places else ""


def _seccomp(spec: Object) -> str:
    if found := _seccomp_baseline(spec):
        return found
    silent = [one for one in _containers(spec) if not _profile(one)]
    if silent and not _profile(spec):
        return f'seccompProfile (pod or {_names(silent)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    return ""


_Check = Callable[[Object], str]
_BASELINE: tuple[_Check, ...] = (
    _baseline_capabilities,
    _host_namespaces,
    _host_path,
    _host_ports,
    _privileged,
    _seccomp_baseline,
)
_RESTRICTED: tuple[_Check, ...] = (
    _host_namespaces,
    _host_ports,
    _privileged,
    _escalation,
    _capabilities,
    _volumes,
    _non_root,
    _user,
    _seccomp,
)
