"""What a diagnosis is, what a rule is, and how amounts are written to people."""

from collections.abc import Callable
from dataclasses import dataclass

from k8s.diagnosis.facts import Facts


@dataclass(frozen=True)
class Diagnosis:
    """Why a workload does not run, in words that come from no cluster.

    `cause`: a slug. `fatal`: waiting will not help. `technical`: what the cluster says, in its own words, for the staff.
    `since`: when it began (ISO 8601), where the cluster says so.
    """

    cause: str
    title: str
    text: str
    next_step: str
    fatal: bool
    technical: str = ""
    since: str = ""


@dataclass(frozen=True)
class Rule:
    """One row of the table: what to look for, which causes that may tell, and the cluster's own line about it."""

    find: Callable[[Facts], Diagnosis | None]
    causes: tuple[str, ...]
    line: Callable[[Facts], str]


#: What to do next, where more than one rule says the same.
AGAIN = "Launch a new lab. If it happens again, tell the staff."
TELL = "Tell the staff: you cannot fix this yourself."
WAIT = "No action needed: it will continue by itself. If it takes too long, stop the lab and tell the staff."
OTHER_SOFTWARE = "Launch a lab with other software, and tell the staff about this one."
#: The longest line of the cluster's that is kept.
LONGEST_LINE = 1000
_SHOWN_LINE = 200


def unknown(line: str, *, fatal: bool) -> Diagnosis:
    """Nothing in the table fits: say so, and show what the cluster says."""
    shown = " ".join(line.split())
    shown = shown if len(shown) <= _SHOWN_LINE else f"{shown[: _SHOWN_LINE - 1]}…"
    text = f"The cluster says: “{shown}”" if shown else "The cluster does not say why."
    after = "Show this to the staff." if fatal else "Wait a little. If nothing changes, show this to the staff."
    return Diagnosis("unknown", "We do not know what is wrong", text, after, fatal)


def amount_of_memory(mib: int) -> str:
    """1024 is "1 GiB", 1536 is "1.5 GiB", 300 is "300 MiB"."""
    return f"{mib / 1024:.4g} GiB" if mib >= 1024 else f"{mib} MiB"


def number_of_cpus(millis: int) -> str:
    """1000 is "1", 2500 is "2.5"."""
    return f"{millis / 1000:.4g}"


def amount_of_cpu(millis: int) -> str:
    """1000 is "1 CPU", 2500 is "2.5 CPUs"."""
    return "1 CPU" if millis == 1000 else f"{number_of_cpus(millis)} CPUs"


def amount_of_gpus(count: int) -> str:
    """1 is "1 GPU", 2 is "2 GPUs"."""
    return "1 GPU" if count == 1 else f"{count} GPUs"
