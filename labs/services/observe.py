"""What a cluster says of pods, turned into changes of their rows. Called by the watcher; safe to call twice with the same."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from k8s import diagnosis
from labs.models import EndReason, Lab, State, Workload
from labs.models.bulk import update_each
from labs.models.reconciled import changed_later
from labs.models.workload import WANTED_STATES

from .logs import fetch_quietly
from .queue import ring
from .reconcile import finish, forget_applied
from .rendering import is_of
from .stopping import end, fail
from .transition import move_many

log = logging.getLogger(__name__)
KEPT_EVENTS = 30
#: Causes, as `k8s.diagnosis` names them, that are no failures.
ORDERLY_ENDS = {"shut-down": EndReason.USER, "deadline": EndReason.EXPIRED}
#: The pod learns of the end of its time so long after its first answer, or a few seconds later: until then its label has the latest
#: end that there can be, and while a class starts the cluster has better things to do.
AFTER_A_RUSH = datetime.timedelta(seconds=30)
#: Causes after which nobody is left who could give the log.
WITHOUT_LOG = ("machine-gone", "preempted", "evicted")


@dataclass
class Told:
    """What has been said of one pod since the last time."""

    #: The workload that its labels name.
    workload: UUID
    #: The pod as it is now; as it was at last, where it is gone; None where only Events have come.
    pod: dict[str, Any] | None = None
    gone: bool = False
    #: Kubernetes' Events about the pod.
    events: list[dict[str, Any]] = field(default_factory=list)


def observe(told: Iterable[Told], *, now: datetime.datetime) -> None:
    """Write what was told of these pods: a few queries for all of them."""
    told = list(told)
    rows = Lab.objects.select_related("owner").prefetch_related("instance", "cluster")
    labs = {lab.pk: lab for lab in rows.filter(pk__in={one.workload for one in told})}
    news: dict[UUID, Told] = {}
    for one in told:
        lab = labs.get(one.workload)
        # Of a pod that went and the one in its place, the one that is there counts.
        if lab and _is_about(lab, one) and not (one.gone and lab.pk in news):
            news[lab.pk] = one
    gone: list[Lab] = []
    running: dict[UUID, dict[str, Any]] = {}
    seen: dict[UUID, dict[str, Any]] = {}
    for pk, one in news.items():
        lab = labs[pk]
        if lab.state == State.STOPPING and one.gone:
            gone.append(lab)
        elif lab.state in WANTED_STATES and one.gone:
            _lost(lab)
        elif lab.state in WANTED_STATES:
            fields = _look(lab, one, now)
            if fields.get("is_ready") and lab.state != State.RUNNING:
                running[pk] = fields
            else:
                seen[pk] = fields
    update_each(Workload, seen, only={"state": WANTED_STATES})
    if gone:
        finish(gone)
    if running:
        _answers([labs[pk] for pk in running], running, now)


def _is_about(lab: Lab, told: Told) -> bool:
    """Whether it is the workload's own pod, and not one of somebody who copied its labels."""
    return all(is_of(lab, event.get("involvedObject", {})) for event in told.events) and (
        told.pod is None or is_of(lab, told.pod["metadata"])
    )


def _answers(labs: Sequence[Lab], fields: dict[UUID, dict[str, Any]], now: datetime.datetime) -> None:
    """They have answered for the first time: from now on their lifetimes count."""
    move_many([lab for lab in labs if lab.state == State.REQUESTED], State.STARTING, now=now)
    for lab in labs:
        fields[lab.pk]["expires_at"] = lab.instance.cut(now + datetime.timedelta(minutes=lab.lifetime_minutes))
    move_many(labs, State.RUNNING, now=now, started_at=now, each=fields, **changed_later(AFTER_A_RUSH))


def _lost(lab: Lab) -> None:
    log.warning("the pod of %s went without our doing", lab.pk)
    forget_applied(lab)
    ring([lab.pk])


def _look(lab: Lab, news: Told, now: datetime.datetime) -> dict[str, Any]:
    """What to write of a pod that is there, or None; an end that is seen in it is made at once."""
    lines = _fold(lab.cluster_events, news.events, now)
    fields: dict[str, Any] = {"cluster_events": lines} if lines != lab.cluster_events else {}
    pod = news.pod
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return fields
    found = diagnosis.diagnose(
        pod, lines, now=now, was_ready=lab.started_at is not None, machines=_machines(lab) if is_waiting(pod) else None
    )
    if found and found.cause in ORDERLY_ENDS:
        end(lab, ORDERLY_ENDS[found.cause], now=now, reason=found.title, **fields)
        return {}
    if found and found.fatal:
        log_tail = "" if found.cause in WITHOUT_LOG else fetch_quietly(lab)
        fail(lab, dataclasses.asdict(found), now=now, log_tail=log_tail, **fields)
        return {}
    seen: dict[str, Any] = {"is_ready": is_ready(pod), "diagnosis": dataclasses.asdict(found) if found else None}
    if lab.state != State.RUNNING:
        steps = diagnosis.steps(pod, lines, accepted_at=lab.created_at, now=now)
        seen["steps"] = [{**dataclasses.asdict(step), "at": step.at.isoformat() if step.at else None} for step in steps]
    return fields | {key: value for key, value in seen.items() if getattr(lab, key) != value}


def _fold(
    lines: list[dict[str, Any]], events: Sequence[dict[str, Any]], now: datetime.datetime
) -> list[dict[str, Any]]:
    """The lines that are kept for the page and for the diagnosis, with these events among them."""
    for event in events:
        line = {
            "at": event.get("lastTimestamp")
            or event.get("eventTime")
            or event["metadata"].get("creationTimestamp")
            or now.isoformat(),
            "type": event.get("type", ""),
            "reason": event.get("reason", ""),
            "message": event.get("message", "")[:500],
        }
        same = [old for old in lines if (old["reason"], old["message"]) != (line["reason"], line["message"])]
        lines = sorted([*same, line], key=lambda item: item["at"])[-KEPT_EVENTS:]
    return lines


def _machines(lab: Lab) -> list[dict[str, Any]] | None:
    """How much is free on its cluster, as the sweep last saw it; None where that is not known."""
    snapshot = getattr(lab.cluster, "snapshot", None)
    return snapshot.machines if snapshot else None


def is_waiting(pod: dict[str, Any]) -> bool:
    """Whether the scheduler says that it has no machine for it."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "PodScheduled" and item["status"] == "False" for item in conditions)


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether its readiness probe passes."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
