"""Rules about the time before a machine has been found: the scheduler's answers, and places for files (volumes).

The scheduler's words: k8s.io/kubernetes/pkg/scheduler/framework/plugins. Those of volumes: pkg/controller/volume.
"""

import re
from dataclasses import replace

from k8s import capacity
from k8s.diagnosis.facts import Facts, parse_time
from k8s.diagnosis.says import (
    TELL,
    WAIT,
    Diagnosis,
    Rule,
    amount_of_cpu,
    amount_of_gpus,
    amount_of_memory,
    number_of_cpus,
    unknown,
)

#: Seconds after which waiting is worth a word.
SLOW_PLACEMENT = 30
_STORAGE = r"[Pp]ersistent ?[Vv]olume|pvc\(s\)|pv\(s\)|volume|enough free storage|storageclass"
_NO_MACHINE = r"no nodes available|untolerated taint|unschedulable|unreachable|not[- ]ready|doesn't exist"


def _condition(known: Facts) -> dict[str, str]:
    """What the scheduler says; empty while it says nothing, or has found a machine."""
    condition = known.condition("PodScheduled")
    return condition if condition.get("status") == "False" else {}


def _message(known: Facts) -> str:
    """The scheduler's reasons, without what it says of preemption after them."""
    return (
        str(_condition(known).get("message") or "").split(" no new claims to deallocate")[0].split(" preemption: ")[0]
    )


def _since(known: Facts, found: Diagnosis) -> Diagnosis:
    return replace(found, since=str(_condition(known).get("lastTransitionTime") or ""))


def _is_unschedulable(known: Facts) -> bool:
    return _condition(known).get("reason") == "Unschedulable"


def no_room(known: Facts) -> Diagnosis | None:
    """Machines there are, but none of them has so much free."""
    short = set(re.findall(r"Insufficient ([\w./-]*\w)", _message(known))) if _is_unschedulable(known) else set()
    if not short:
        full = _is_unschedulable(known) and "Too many pods" in _message(known)
        return _since(known, _full()) if full else None
    request = capacity.asked(known.pod)
    there = None if known.machines is None else capacity.suitable(known.machines, known.pod)
    gpu = next((name for name in short if "gpu" in name), "")
    if there and not _is_behind(there, request, short):
        fits_empty = all(capacity.largest(there, name) >= request.get(name, 0) for name in short)
        return _since(known, (_some_room if fits_empty else _too_large)(request, short, there, gpu))
    if gpu:
        count = request.get(gpu, 1)
        return _since(
            known, _waits("gpu", f"It asks for {amount_of_gpus(count)}; none is free in one machine.", gpu, short)
        )
    if short & {"cpu", "memory"}:
        text = f"It asks for {_all(request, short)}; no machine has that much free at the moment."
        return _since(known, _waits(_cause(short), text, gpu, short))
    return _since(known, _full())


def _is_behind(there: list[capacity.Object], request: capacity.Amounts, short: set[str]) -> bool:
    """A snapshot is up to a minute old: where it has enough of the one thing that is short, the scheduler knows better."""
    return len(short) == 1 and all(capacity.most_free(there, name) >= request.get(name, 0) for name in short)


def _cause(short: set[str]) -> str:
    return "memory" if short == {"memory"} else "cpu"


def _full() -> Diagnosis:
    after = "Wait: it starts by itself when others end. Or stop it and launch one with less."
    return Diagnosis(
        "no-free-full", "The lab waits for a free place", "All machines are full at the moment.", after, False
    )


def _what(short: set[str], gpu: str) -> str:
    if gpu:
        return "a free GPU"
    return "free " + ("memory" if short == {"memory"} else "CPU" if short == {"cpu"} else "CPU and memory")


def _waits(cause: str, text: str, gpu: str, short: set[str], more: str = "") -> Diagnosis:
    less = more or ("fewer GPUs or none" if gpu else f"less {_what(short, gpu).removeprefix('free ')}")
    return Diagnosis(
        f"no-free-{cause}",
        f"The lab waits for {_what(short, gpu)}",
        text,
        f"Wait: it starts by itself when others end. Or stop it and launch one with {less}.",
        False,
    )


def _some_room(request: capacity.Amounts, short: set[str], there: list[capacity.Object], gpu: str) -> Diagnosis:
    """It would have a place if others ended: how much is free, and what would start now."""
    known = _known(short)
    if not known:
        return _full()
    free = {name: capacity.most_free(there, name) for name in known}
    least = {name: value for name, value in free.items() if value < request.get(name, 0)}
    if len(known) == 1 and not _rounded_one(known[0], free[known[0]]):
        has = "none of the machines has any free."
    elif len(known) == 1:
        has = f"the most that is free on one machine is {_short(known[0], free[known[0]])}."
    elif least:
        has = f"no machine has more than {' or '.join(_amount(name, _rounded_one(name, least[name])) for name in least)} free."
    else:
        has = "no machine has that much of both free."
    text = f"It needs {_all(request, short)} on one machine; {has}"
    offer = _rounded(capacity.would_start(there, request, short) or {})
    cause = "gpu" if gpu else _cause(short)
    if not offer:
        return _waits(cause, text, gpu, short)
    fits = _all(offer, set(offer))
    return _waits(cause, f"{text} {fits} would start now.", gpu, short, fits)


def _too_large(request: capacity.Amounts, short: set[str], there: list[capacity.Object], gpu: str) -> Diagnosis:
    """No machine has so much even when it is empty. Not fatal: some clusters add machines as they are needed."""
    over = {name for name in short if capacity.largest(there, name) < request.get(name, 0)}
    known = _known(over) or _known(short)
    largest = {name: capacity.largest(there, name) for name in known}
    has = " and ".join(_amount(name, value) for name, value in largest.items()) or "less"
    text = f"It needs {_all(request, set(known))} on one machine; the largest machine has {has} in all."
    after = f"Stop it and launch one with at most {has}. Waiting helps only if the staff add a larger machine."
    if gpu and not largest.get(gpu):
        text, after = (
            "It needs a GPU, and no machine in service has one at the moment.",
            "Stop it and launch one without a GPU.",
        )
    return Diagnosis("no-machine-so-large", "No machine is large enough for this lab", text, after, False)


def _known(names: set[str]) -> list[str]:
    return sorted(
        (name for name in names if name in ("cpu", "memory") or "gpu" in name), key=lambda name: (len(name), name)
    )


def _all(amounts: capacity.Amounts, names: set[str]) -> str:
    return " and ".join(_amount(name, amounts[name]) for name in _known(names) if name in amounts) or "much"


def _amount(name: str, value: int) -> str:
    if name == "cpu":
        return amount_of_cpu(value)
    return f"{amount_of_memory(value)} of memory" if name == "memory" else amount_of_gpus(value)


def _short(name: str, value: int) -> str:
    """An amount after one of the same kind: "the most that is free is 6"."""
    value = _rounded_one(name, value)
    if name == "cpu":
        return number_of_cpus(value)
    return (amount_of_memory(value) if value else "none") if name == "memory" else str(value)


def _rounded_one(name: str, value: int) -> int:
    return _rounded({name: value}).get(name, 0)


def _rounded(offer: capacity.Amounts) -> capacity.Amounts:
    """Down to amounts that people would type; nothing if one of them is nothing then."""
    steps = {
        "cpu": 500 if offer.get("cpu", 0) >= 2000 else 250,
        "memory": 1024 if offer.get("memory", 0) >= 4096 else 256,
    }
    made = {name: value // steps.get(name, 1) * steps.get(name, 1) for name, value in offer.items()}
    return made if all(made.values()) else {}


def no_machine(known: Facts) -> Diagnosis | None:
    """No machine would take it even if all were empty; or none of the scheduler's words is known."""
    if not _is_unschedulable(known):
        return None
    message = _message(known)
    if re.search(r"affinity|selector|topology", message):
        gpu = any("gpu" in name for name in known.request)
        what = "with this model of GPU" if gpu else "of the kind that the lab needs"
        return _since(
            known,
            Diagnosis(
                "no-such-machine",
                f"There is no machine {what}",
                f"No machine {what} is in service at the moment.",
                "Stop the lab and launch it with another model." if gpu else TELL,
                False,
            ),
        )
    if re.search(_NO_MACHINE, message):
        return _since(known, NO_MACHINE)
    return _since(known, unknown(message, fatal=False))


NO_MACHINE = Diagnosis(
    "no-machine",
    "No machine is available for labs at the moment",
    "All machines are reserved, under maintenance or not ready yet.",
    "No action needed: the lab will start by itself as soon as there is one. If it takes long, tell the staff.",
    False,
)


def gated(known: Facts) -> Diagnosis | None:
    """Somebody on the cluster holds it back before the scheduler looks at it."""
    if _condition(known).get("reason") != "SchedulingGated":
        return None
    text = "Something on the cluster, such as a queue, holds it back for now."
    return _since(known, Diagnosis("held-back", "The lab is held back", text, WAIT, False))


def not_placed(known: Facts) -> Diagnosis | None:
    created = parse_time((known.pod.get("metadata") or {}).get("creationTimestamp"))
    waiting = known.phase in ("", "Pending") and not known.is_placed
    if not waiting or known.since(created) <= SLOW_PLACEMENT:
        return None
    text = "No machine has been chosen for it yet."
    return Diagnosis(
        "not-placed", "The lab waits for a machine", text, WAIT, False, since=created.isoformat() if created else ""
    )


# Places for files ------------------------------------------------------------------------------------------------

_CLAIM_EVENTS = (
    "ProvisioningFailed",
    "FailedBinding",
    "ExternalProvisioning",
    "Provisioning",
    "WaitForPodScheduled",
    "WaitForFirstConsumer",
)


def unbound(known: Facts) -> Diagnosis | None:
    """A claim of it has no volume. Its own events say why; they are given among the pod's where they are known."""
    message = _message(known) if _is_unschedulable(known) else ""
    if not re.search(_STORAGE, message) or re.search(r"Insufficient (cpu|memory|[\w.]+/gpu)", message):
        return None
    return _since(known, _why_unbound(known, message))


def _why_unbound(known: Facts, message: str) -> Diagnosis:
    said = known.said(*_CLAIM_EVENTS)
    words = said.message if said else ""
    if re.search(r'persistentvolumeclaim "[^"]*" (not found|is being deleted)|bound to non-existent', message):
        return _files("files-missing", "The storage that it needs does not exist.", TELL)
    if re.search(r'storageclass[\w.]* "[^"]*" not found', f"{words} {message}"):
        return _files("files-kind", "It asks for a type of storage that this cluster does not have.", TELL)
    if "no storage class is set" in words:
        return _files(
            "files-no-kind", "No type of storage has been chosen for it, and the cluster has no default.", TELL
        )
    if said and said.reason == "ProvisioningFailed":
        return _files("files-failed", "Its storage could not be created yet.", WAIT)
    if re.search(r"node affinity conflict|PersistentVolume's node affinity|available volume zone", message):
        return _files("files-elsewhere", "Its files are on machines that cannot run it at the moment.", WAIT)
    if re.search(r"didn't find available persistent volumes|enough free storage", message):
        return _files("files-none-free", "No storage that is large enough is available.", TELL)
    if re.search(r"ReadWriteOncePod|max volume count|no available disk", message):
        return _files(
            "files-in-use",
            "Its files are in use by another lab.",
            "Stop the other lab. Then this one will start by itself.",
        )
    if re.search(r"unbound immediate PersistentVolumeClaims", message):
        return _files("files-slow", "Its storage is being created.", WAIT)
    return unknown(message, fatal=False)


def _files(cause: str, text: str, after: str) -> Diagnosis:
    return Diagnosis(cause, "The lab waits for its files", text, after, False)


def being_made(known: Facts) -> Diagnosis | None:
    """A machine has been chosen, and the place for files is made there before the lab may have it (WaitForFirstConsumer)."""
    said = known.said(*_CLAIM_EVENTS)
    created = parse_time((known.pod.get("metadata") or {}).get("creationTimestamp"))
    if said is None or known.is_placed or _condition(known) or known.since(created) <= SLOW_PLACEMENT:
        return None
    if said.reason == "ProvisioningFailed":
        return _why_unbound(known, "")
    return _files("files-being-made", "A machine has been chosen, and its storage is being created there.", WAIT)


def mounting(known: Facts) -> Diagnosis | None:
    """A machine has been found, and cannot get at the files."""
    said = known.said("FailedMount", "FailedAttachVolume", "FailedMapVolume")
    if said is None or known.has_begun or not known.containers or known.since(said.at) > 600:
        return None
    if "Multi-Attach" in said.message:
        text = "They are still held by another machine, where an earlier lab used them."
        return Diagnosis(
            "files-held",
            "The lab waits for its files",
            text,
            "Stop the other lab if it is still running. Otherwise, wait a few minutes.",
            False,
        )
    if "not found" in said.message:
        return _files("files-unmounted", "Something that it needs for its files is not there yet.", WAIT)
    return _files("files-unmounted", "The machine cannot access its files yet.", WAIT)


def _line(known: Facts) -> str:
    said = known.said(*_CLAIM_EVENTS)
    message = str(_condition(known).get("message") or "")
    return " | ".join(part for part in (message, said.line if said else "") if part)


RULES = (
    Rule(unbound, ("files-missing", "files-kind", "files-no-kind", "files-failed", "files-elsewhere", "files-none-free",
                   "files-in-use", "files-slow"), _line),
    Rule(no_room, ("no-free-gpu", "no-free-cpu", "no-free-memory", "no-free-full", "no-machine-so-large"), _line),
    Rule(no_machine, ("no-such-machine", "no-machine", "unknown"), _line),
    Rule(gated, ("held-back",), _line),
)  # fmt: skip
#: Looked at after the container's own rules.
LATE_RULES = (
    Rule(
        mounting,
        ("files-held", "files-unmounted"),
        lambda known: known.line_of("FailedMount", "FailedAttachVolume", "FailedMapVolume"),
    ),
    Rule(being_made, ("files-being-made",), _line),
    Rule(not_placed, ("not-placed",), _line),
)
