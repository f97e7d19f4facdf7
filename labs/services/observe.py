"""What the cluster says of a pod, turned into changes of its row. Called by the watcher; safe to call twice with the same."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from typing import Any

from k8s import diagnosis, labels
from labs.models import EndReason, Lab, State, Workload
from labs.models.workload import WANTED_STATES

from .logs import fetch_quietly
from .queue import enqueue
from .reconcile import finish, forget_applied, load
from .rendering import is_of
from .stopping import end, fail
from .transition import move

log = logging.getLogger(__name__)
KEPT_EVENTS = 30
#: Causes, as `k8s.diagnosis` names them, that are no failures.
ORDERLY_ENDS = {"shut-down": EndReason.USER, "deadline": EndReason.EXPIRED}


def pod_changed(pod: dict[str, Any], *, now: datetime.datetime) -> None:
    """A pod of ours was added or changed."""
    lab = _lab_of(pod)
    if lab is None or lab.state not in WANTED_STATES or pod["metadata"].get("deletionTimestamp"):
        return
    found = diagnosis.diagnose(pod, lab.cluster_events, now=now, was_ready=lab.started_at is not None)
    if found and found.cause in ORDERLY_ENDS:
        end(lab, ORDERLY_ENDS[found.cause], now=now, reason=found.title)
        return
    if found and found.fatal:
        fail(lab, dataclasses.asdict(found), now=now, log_tail=fetch_quietly(lab))
        return
    _note(lab, pod, found, now)
    if lab.state != State.RUNNING and is_ready(pod):
        expires = now + datetime.timedelta(minutes=lab.lifetime_minutes)
        if lab.state == State.REQUESTED:
            move(lab, State.STARTING, now=now)
        move(lab, State.RUNNING, now=now, reconcile=True, started_at=now, expires_at=expires, is_ready=True)


def pod_gone(pod: dict[str, Any], *, now: datetime.datetime) -> None:
    """A pod of ours is no longer there."""
    lab = _lab_of(pod)
    if lab is None:
        return
    if lab.state == State.STOPPING:
        finish(lab)
    elif lab.state in WANTED_STATES:
        log.warning("the pod of %s went without our doing", lab.pk)
        forget_applied(lab)
        enqueue("reconcile_workload", lab.pk)


def event_seen(workload_pk: str, event: dict[str, Any], *, now: datetime.datetime) -> None:
    """The cluster said something about the pod of this workload: kept for its page, and for the diagnosis."""
    row = Workload.objects.filter(pk=workload_pk, state__in=WANTED_STATES).select_related("instance").first()
    if row is None or not is_of(row, event.get("involvedObject", {})):
        return
    line = {
        "at": event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or now.isoformat(),
        "type": event.get("type", ""),
        "reason": event.get("reason", ""),
        "message": event.get("message", "")[:500],
    }
    same = [old for old in row.cluster_events if (old["reason"], old["message"]) != (line["reason"], line["message"])]
    lines = sorted([*same, line], key=lambda item: item["at"])[-KEPT_EVENTS:]
    if lines != row.cluster_events:
        Workload.objects.filter(pk=row.pk).update(cluster_events=lines)


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether its readiness probe passes."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _lab_of(pod: dict[str, Any]) -> Lab | None:
    pk = pod["metadata"].get("labels", {}).get(labels.WORKLOAD, "")
    try:
        lab = load(pk)
    except (Lab.DoesNotExist, ValueError):
        return None  # An orphan, or not a workload's: the sweep looks after it.
    return lab if is_of(lab, pod["metadata"]) else None


def _note(lab: Lab, pod: dict[str, Any], found: diagnosis.Diagnosis | None, now: datetime.datetime) -> None:
    """Write what the page shows, only if it changed."""
    news: dict[str, Any] = {"is_ready": is_ready(pod), "diagnosis": dataclasses.asdict(found) if found else None}
    if lab.state != State.RUNNING:
        steps = diagnosis.steps(pod, lab.cluster_events, accepted_at=lab.created_at, now=now)
        news["steps"] = [{**dataclasses.asdict(step), "at": step.at.isoformat() if step.at else None} for step in steps]
    changed = {key: value for key, value in news.items() if getattr(lab, key) != value}
    if changed:
        Workload.objects.filter(pk=lab.pk, state__in=WANTED_STATES).update(**changed)
