"""Pure: why a lab does not run, in words for the people who use it.

One table of rules, RULES: the first that finds something speaks. Their words know nothing of Kubernetes; they say what
happened, and what to do next. Where no rule fits they say that, and show the cluster's own line. tests/k8s/golden/causes has
a recording for each cause.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from k8s.diagnosis import answers, fetching, placing, running, starting
from k8s.diagnosis.facts import Facts, facts
from k8s.diagnosis.fetching import with_log
from k8s.diagnosis.removing import removal
from k8s.diagnosis.running import TAKEN_AWAY, loss
from k8s.diagnosis.says import LONGEST_LINE, Diagnosis, Rule, unknown
from k8s.diagnosis.starting import Step
from k8s.errors import Error

__all__ = [
    "RULES",
    "TAKEN_AWAY",
    "Diagnosis",
    "Rule",
    "Step",
    "diagnose",
    "explain",
    "loss",
    "removal",
    "steps",
    "with_log",
]

RULES: tuple[Rule, ...] = (
    *running.RULES,
    *placing.RULES,
    *fetching.RULES,
    *running.PROGRAM_RULES,
    *fetching.COPY_RULES,
    *running.CRASH_RULES,
    *placing.LATE_RULES[:1],
    *running.LATE_RULES[:1],
    *fetching.LATE_RULES,
    *running.LATE_RULES[1:],
    *placing.LATE_RULES[1:],
    *running.LAST_RULES,
    *answers.RULES,
)


def diagnose(
    pod: dict[str, Any] | None,
    events: list[dict[str, Any]],
    *,
    now: datetime,
    was_ready: bool | None = None,
    machines: list[dict[str, Any]] | None = None,
) -> Diagnosis | None:
    """What is wrong with a workload; None if nothing is.

    `events`: of the API, or lines {"at", "type", "reason", "message"} kept of them; those of the pod's claims may be among
    them. `was_ready`: whether it has ever answered; None: seen from the pod. `machines`: a snapshot
    by `k8s.capacity.machines`, to say what is free.
    Diagnosis.fatal means that waiting will not help.
    """
    return None if pod is None else _first(facts(pod, events, now, was_ready, machines=machines))


def explain(error: Error) -> Diagnosis:
    """What it means that the cluster did not take what was sent. Every answer has a meaning, if only "unknown"."""
    return _first(facts(None, [], datetime.min.replace(tzinfo=UTC), error=error)) or unknown(error.message, fatal=False)


def _first(known: Facts) -> Diagnosis | None:
    for rule in RULES:
        found = rule.find(known)
        if found:
            return replace(found, technical=rule.line(known)[:LONGEST_LINE])
    return None


def steps(
    pod: dict[str, Any] | None, events: list[dict[str, Any]], *, accepted_at: datetime, now: datetime
) -> list[Step]:
    """How far the start has got: Accepted, Placed on a machine, (Copying the repository,) Fetching, Starting, Answering."""
    return starting.steps(facts(pod, events, now), accepted_at, diagnose(pod, events, now=now))
