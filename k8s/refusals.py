"""Pure: what the cluster answered instead of taking a workload, in plain words."""

import re
from dataclasses import dataclass

from k8s import quantities
from k8s.errors import Refused
from k8s.words import Diagnosis, amount_of_memory

_PARTS = re.compile(r"requested: (?P<requested>.*?), used: (?P<used>.*?), limited: (?P<limited>.*)$", re.S)
_TELL = "Tell the staff: this is nothing that you can change."


@dataclass(frozen=True)
class Shortage:
    """One limit that would be passed. In thousandths of a CPU, MiB, GPUs, GiB or labs."""

    resource: str
    requested: int
    used: int
    limited: int


def shortages(message: str) -> list[Shortage]:
    """What a message such as "exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3" says; each thing once."""
    parts = _PARTS.search(message)
    if parts is None:
        return []
    requested, used, limited = (_amounts(parts[name]) for name in ("requested", "used", "limited"))
    known = [name for name in requested if name in used and name in limited]
    return [Shortage(name, requested[name], used[name], limited[name]) for name in sorted(known, key=_ORDER.index)]


_ORDER = ["cpu", "memory", "gpus", "labs", "storage"]


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
            elif name == "storage":
                found.setdefault("storage", -(-quantities.memory_mib(value) // 1024))
        except ValueError:
            continue
    return found


def explain_refusal(refusal: Refused) -> Diagnosis:
    """Why the cluster did not take it. Always fatal: the same will be refused again."""
    if refusal.kind == "quota":
        return _quota(shortages(refusal.message))
    if refusal.kind == "policy":
        return _policy(refusal.message)
    if refusal.kind == "forbidden":
        text = "The site has no permission to start labs for this course any more, or the course is being removed."
        return Diagnosis("not-permitted", "The lab could not be started", text, _TELL, True)
    text = "The cluster did not understand what it was asked to start. It is not your fault."
    return Diagnosis("malformed", "The service is set up wrongly", text, _TELL, True)


def _quota(found: list[Shortage]) -> Diagnosis:
    title = "Your course has no room for this lab"
    if not found:
        return Diagnosis("quota", title, "The limits of your course are reached.", _less([]), True)
    return Diagnosis("quota", title, " ".join(_sentence(item) for item in found), _less(found), True)


def _sentence(item: Shortage) -> str:
    if item.resource == "cpu":
        used, limited, asked = (f"{value / 1000:.4g}" for value in (item.used, item.limited, item.requested))
        return f"Your course has used {used} of its {limited} {'CPU' if limited == '1' else 'CPUs'}; this lab asks for {asked}."
    if item.resource == "memory":
        used, limited, asked = (amount_of_memory(value) for value in (item.used, item.limited, item.requested))
        return f"Your course has used {used} of its {limited} of memory; this lab asks for {asked}."
    if item.resource == "gpus":
        unit = "GPU" if item.limited == 1 else "GPUs"
        return f"Your course has used {item.used} of its {item.limited} {unit}; this lab asks for {item.requested}."
    if item.resource == "labs":
        unit = "lab is" if item.limited == 1 else "labs are"
        return f"In your course {item.used} of {item.limited} {unit} running."
    return f"Your course has used {item.used} of its {item.limited} GiB of storage; this lab asks for {item.requested} GiB."


_NAMES = {"cpu": "CPU", "memory": "memory", "gpus": "GPUs", "storage": "storage"}


def _less(found: list[Shortage]) -> str:
    never = [item for item in found if item.requested > item.limited]
    if never:
        return f"Launch it with {_list(never)}: your course does not have that much in all."
    smaller = [item for item in found if item.resource in _NAMES and item.used < item.limited]
    if smaller and len(smaller) == len(found):
        return f"Launch it with {_list(smaller)}, stop a lab that you do not need, or wait until others end."
    return "Stop a lab that you do not need, or wait until others end."


def _list(items: list[Shortage]) -> str:
    return " and ".join(
        "fewer GPUs" if item.resource == "gpus" else f"less {_NAMES.get(item.resource, 'room')}" for item in items
    )


def _policy(message: str) -> Diagnosis:
    above = re.search(r"maximum (cpu|memory) usage per \w+ is ([\w.]+), but limit is ([\w.]+)", message)
    if above:
        return _above(above[1], above[2], above[3])
    text = "The rules of the cluster do not allow what this service asks for. It is not your fault."
    return Diagnosis("policy", "This service is not allowed here", text, _TELL, True)


def _above(resource: str, limit: str, asked: str) -> Diagnosis:
    try:
        if resource == "memory":
            most, wanted = (amount_of_memory(quantities.memory_mib(value)) for value in (limit, asked))
            text = f"One lab may have at most {most} of memory here; this lab would get {wanted}."
        else:
            # What a lab may use is up to twice of what it asks for.
            most, wanted = (f"{quantities.cpu_millis(value) / 1000:.4g}" for value in (limit, asked))
            text = f"One lab may use at most {most} CPUs here at any time; this lab could use up to {wanted}."
    except ValueError:
        text = "It asks for more than one lab may have here."
    name = _NAMES.get(resource, resource)
    return Diagnosis("too-large", "The lab is too large", text, f"Launch it with less {name}.", True)
