"""Pure: from a container's spec to the command, the environment and the paths of a local process."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.][\w.-]*)\))")
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?\d+)?)(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
_UNITS = {
    None: 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}


class ConfigError(Exception):
    """The container cannot be configured, e.g. a key or an object that its environment names does not exist (yet)."""


def quantity(text: str | int | float) -> float:
    """The number that a Kubernetes quantity stands for. Raises ValueError."""
    match = _QUANTITY.match(str(text))
    if not match:
        raise ValueError(f"not a quantity: {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def now() -> str:
    """The present as the API writes time stamps."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(stamp: str) -> float:
    """A time stamp of the API (or of a log line, with nanoseconds) as unix time."""
    base, _, fraction = stamp.rstrip("Z").partition(".")
    moment = datetime.strptime(base, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def expand(text: str, env: Mapping[str, str]) -> str:
    """$(NAME) replaced from `env`; $$ is a dollar sign; an unknown name stays as it is."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else env.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def translator(paths: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces whole leading path components, the longest first: {"/data": "/tmp/x"} turns
    `--out=/data/a` into `--out=/tmp/x/a` and leaves `/database`, `x/data` and `http://host/data` alone.
    """
    wanted = {path.rstrip("/"): target for path, target in paths.items() if path.rstrip("/")}
    if not wanted:
        return lambda text: text
    names = "|".join(re.escape(path) for path in sorted(wanted, key=len, reverse=True))
    pattern = re.compile(rf"(?:(?<=file://)|(?<![\w./~*)}}-]))({names})(?![\w.-])")
    return lambda text: pattern.sub(lambda match: wanted[match[1]], text)


def field_ref(pod: Object, path: str, ip: str, host_ip: str = "127.0.0.1") -> str:
    """The value of a downward API field. Raises ConfigError for an unknown one."""
    own = {"status.podIP": ip, "status.podIPs": ip, "status.hostIP": host_ip, "status.hostIPs": host_ip}
    if path in own:
        return own[path]
    match = re.match(r"^metadata\.(labels|annotations)\['(.+)'\]$", path)
    if match:
        return str(pod["metadata"].get(match[1], {}).get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = pod["metadata"].get(path.partition(".")[2], {})
        return "\n".join(f'{key}="{value}"' for key, value in sorted(entries.items()))
    section, _, name = path.partition(".")
    if section not in ("metadata", "spec") or "." in name:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(pod.get(section, {}).get(name, ""))


def resource_ref(container: Object, ref: Object, node: Mapping[str, str]) -> str:
    """The value of a resourceFieldRef such as limits.memory, in units of its divisor, rounded up."""
    section, _, name = ref["resource"].partition(".")
    resources = container.get("resources", {})
    value = resources.get(section, {}).get(name) or resources.get("limits", {}).get(name) or node.get(name, "0")
    divisor = quantity(ref.get("divisor") or "1") or 1.0
    return str(int(-(-quantity(value) // divisor)))


def references(container: Object) -> set[tuple[str, str]]:
    """The ("secret" or "configmap", name) pairs that the environment of a container is made of."""
    found = set()
    for entry in container.get("envFrom") or []:
        found |= {(kind, entry[key]["name"]) for kind, key in _FROM if key in entry}
    for entry in container.get("env") or []:
        source = entry.get("valueFrom") or {}
        found |= {(kind, source[key]["name"]) for kind, key in _KEY if key in source}
    return found


_FROM = (("secret", "secretRef"), ("configmap", "configMapRef"))
_KEY = (("secret", "secretKeyRef"), ("configmap", "configMapKeyRef"))

#: Texts by object: {("secret", name): {key: value}}; an object that does not exist is not in it.
Sources = Mapping[tuple[str, str], Mapping[str, str]]


def environment(
    pod: Object, container: Object, sources: Sources, *, ip: str, node: Mapping[str, str]
) -> dict[str, str]:
    """The variables that the spec sets, expanded in their order. Raises ConfigError in a kubelet's words."""
    env: dict[str, str] = {}
    for entry in container.get("envFrom") or []:
        for kind, key in _FROM:
            if key in entry:
                data = sources.get((kind, entry[key]["name"]))
                if data is None and not entry[key].get("optional"):
                    raise ConfigError(f'{kind} "{entry[key]["name"]}" not found')
                env |= {entry.get("prefix", "") + name: value for name, value in (data or {}).items()}
    for entry in container.get("env") or []:
        value = _value(pod, container, entry, sources, env, ip, node)
        if value is not None:
            env[entry["name"]] = value
    return env


def _value(
    pod: Object,
    container: Object,
    entry: Object,
    sources: Sources,
    env: Mapping[str, str],
    ip: str,
    node: Mapping[str, str],
) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value") or "", env)
    if "fieldRef" in source:
        return field_ref(pod, source["fieldRef"]["fieldPath"], ip)
    if "resourceFieldRef" in source:
        return resource_ref(container, source["resourceFieldRef"], node)
    found: list[tuple[str, Object]] = [(kind, source[key]) for kind, key in _KEY if key in source]
    kind, ref = found[0] if found else ("", {})
    if not kind:
        raise ConfigError(f"unsupported valueFrom of {entry['name']}")
    data = sources.get((kind, ref["name"]))
    if data is not None and ref["key"] in data:
        return data[ref["key"]]
    if ref.get("optional"):
        return None
    if data is None:
        raise ConfigError(f'{kind} "{ref["name"]}" not found')
    label = "Secret" if kind == "secret" else "ConfigMap"
    raise ConfigError(f"couldn't find key {ref['key']} in {label} {pod['metadata']['namespace']}/{ref['name']}")
