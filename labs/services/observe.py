"""What a cluster says of pods, turned into changes of their rows. Called by the watcher; safe to call twice with the same."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from k8s import diagnosis
from labs.models import EndReason, Lab, State, Workload
from labs.models.bulk import update_each
from labs.models.reconciled import changed_later
from labs.models.workload import WANTED_STATES

from . import loss, telling
from .logs import fetch_quietly
from .reconcile import finish
from .rendering import is_of
from .stopping import end, fail
from .transition import move_many

KEPT_EVENTS = 30
#: Causes, as `k8s.diagnosis` names them, that are no failures.
ORDERLY_ENDS = {"shut-down": EndReason.USER, "deadline": EndReason.EXPIRED}
#: The pod learns of the end of its time so long after its first answer, or a few seconds later: until then its label has the latest
#: end that there can be, and while a class starts the cluster has better things to do.
AFTER_A_RUSH = datetime.timedelta(seconds=30)


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
    _note_losses(labs, told, news, now)
    gone: list[Lab] = []
    running: dict[UUID, dict[str, Any]] = {}
    seen: dict[UUID, dict[str, Any]] = {}
    leaving: dict[UUID, dict[str, Any]] = {}
    for pk, one in news.items():
        lab = labs[pk]
        if lab.state == State.STOPPING and one.gone:
            gone.append(lab)
        elif lab.state == State.STOPPING and one.pod:
            leaving[pk] = _look_at_leaving(lab, one.pod, now)
        elif lab.state in WANTED_STATES and not one.gone:
            fields = _look(lab, one, now)
            if fields.get("is_ready") and lab.state != State.RUNNING:
                running[pk] = fields
            else:
                seen[pk] = fields
    update_each(Workload, seen, only={"state": WANTED_STATES})
    update_each(Workload, leaving, only={"state": (State.STOPPING,)})
    if gone:
        finish(gone)
    if running:
        _answers([labs[pk] for pk in running], running, now)


def _note_losses(labs: dict[UUID, Lab], told: Iterable[Told], news: dict[UUID, Told], now: datetime.datetime) -> None:
    """Pods that went without our doing; of one that runs, also those in whose place another one is seen."""
    went = {one.workload: one.pod for one in told if one.gone}
    lost: dict[Workload, str] = {}
    for pk, one in news.items():
        lab, uid = labs[pk], _uid(one.pod)
        if one.gone:
            # If another pod has been seen since, that one is there.
            is_lost = lab.state in WANTED_STATES and lab.pod_uid in ("", uid)
        else:
            is_lost = lab.state == State.RUNNING and uid != "" and lab.pod_uid not in ("", uid)
        if is_lost:
            lost[lab] = diagnosis.loss(went.get(pk))
    if lost:
        for pk in loss.note(lost, now=now):
            labs[pk].pod_uid, labs[pk].is_ready, labs[pk].diagnosis = "", False, None


def _is_about(lab: Lab, told: Told) -> bool:
    """Whether it is the workload's own pod, and not one of somebody who copied its labels."""
    return all(is_of(lab, event.get("involvedObject", {})) for event in told.events) and (
        told.pod is None or is_of(lab, told.pod["metadata"])
    )


@transaction.atomic
def _answers(labs: Sequence[Lab], fields: dict[UUID, dict[str, Any]], now: datetime.datetime) -> None:
    """They have answered for the first time: from now on their lifetimes count."""
    move_many([lab for lab in labs if lab.state == State.REQUESTED], State.STARTING, now=now)
    for lab in labs:
        fields[lab.pk]["expires_at"] = lab.instance.cut(now + datetime.timedelta(minutes=lab.lifetime_minutes))
    moved = move_many(labs, State.RUNNING, now=now, started_at=now, each=fields, **changed_later(AFTER_A_RUSH))
    telling.of_starts([lab for lab in labs if lab.pk in moved], now=now)


def _uid(pod: dict[str, Any] | None) -> str:
    return str(pod["metadata"].get("uid") or "") if pod else ""


def _look_at_leaving(lab: Lab, pod: dict[str, Any], now: datetime.datetime) -> dict[str, Any]:
    """What to write of a pod that is to go and is still there: what keeps it, once that takes too long."""
    found = diagnosis.removal(pod, now=now)
    removal = dataclasses.asdict(found) if found else None
    return {} if removal == lab.removal else {"removal": removal}


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
        # Of what was taken away, nobody is left who could give the log.
        log_tail = "" if found.cause in diagnosis.TAKEN_AWAY else fetch_quietly(lab)
        found = diagnosis.with_log(found, log_tail)
        fields["steps"] = _steps(pod, lines, lab, now)
        fail(lab, dataclasses.asdict(found), now=now, log_tail=log_tail, **fields)
        return {}
    seen: dict[str, Any] = {
        "is_ready": is_ready(pod),
        "pod_uid": _uid(pod),
        "diagnosis": dataclasses.asdict(found) if found else None,
    }
    if lab.state != State.RUNNING:
        seen["steps"] = _steps(pod, lines, lab, now)
    return fields | {key: value for key, value in seen.items() if getattr(lab, key) != value}


def _steps(pod: dict[str, Any], lines: list[dict[str, Any]], lab: Lab, now: datetime.datetime) -> list[dict[str, Any]]:
    """Where its start has got to; that of a lab that has answered is over."""
    if lab.started_at:
        return lab.steps
    made = diagnosis.steps(pod, lines, accepted_at=lab.created_at, now=now)
    return [{**dataclasses.asdict(step), "at": step.at.isoformat() if step.at else None} for step in made]


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
