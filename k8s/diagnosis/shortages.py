"""What a namespace's quota says when it refuses: how much of what was asked for, is used, and may be."""

import re
from dataclasses import dataclass

from k8s import quantities

_PARTS = re.compile(r"requested: (?P<requested>.*?), used: (?P<used>.*?), limited: (?P<limited>.*)$", re.S)


@dataclass(frozen=True)
class Shortage:
    """One limit that would be passed. In thousandths of a CPU, MiB, GPUs, GiB, or a count."""

    resource: str
    requested: int
    used: int
    limited: int


def shortages(message: str) -> list[Shortage]:
    """What a message such as "exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3" says; each thing once.

    The words are those of k8s.io/apiserver's resource quota admission.
    """
    parts = _PARTS.search(message)
    if parts is None:
        return []
    requested, used, limited = (_amounts(parts[name]) for name in ("requested", "used", "limited"))
    known = [name for name in requested if name in used and name in limited]
    return [Shortage(name, requested[name], used[name], limited[name]) for name in sorted(known, key=_ORDER.index)]


def never_fits(message: str) -> bool:
    """Whether a refusal by a quota is of something that would be refused in an empty namespace too."""
    found = shortages(message)
    return not found or any(item.requested > item.limited for item in found)


_ORDER = ["cpu", "memory", "gpus", "labs", "storage", "places"]


def _amounts(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        name = name.removeprefix("requests.").removeprefix("limits.")
        try:
            if name == "cpu":
                found.setdefault("cpu", quantities.cpu_millis(value))
            elif name == "memory":
                found.setdefault("memory", quantities.memory_mib(value))
            elif name.endswith("/gpu"):
                found.setdefault("gpus", quantities.count(value))
            elif name in ("pods", "count/pods"):
                found.setdefault("labs", quantities.count(value))
            elif name in ("persistentvolumeclaims", "count/persistentvolumeclaims"):
                found.setdefault("places", quantities.count(value))
            elif name == "storage":
                found.setdefault("storage", -(-quantities.memory_mib(value) // 1024))
        except ValueError:
            continue
    return found
