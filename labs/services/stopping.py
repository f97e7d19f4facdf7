"""Ending workloads: by a person, by the clock, or because they failed."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from accounts.models import User
from accounts.rules import authority, rates
from k8s.diagnosis import TAKEN_AWAY
from labs.errors import Refusal
from labs.models import EndReason, Instance, State, Workload
from labs.models.workload import STOPPABLE_STATES

from . import notices, telling
from .transition import move_many


def stop(workload: Workload, *, actor: User, now: datetime.datetime, reason: str = "") -> bool:
    """End it because a person says so. False: it was already ending. Raises Refusal when the person may not."""
    if not authority.can_stop_workload(actor, workload):
        raise Refusal("There is no such lab.", code="not-found")
    return bool(stop_many([workload], actor=actor, now=now, reason=reason))


def stop_many(workloads: Iterable[Workload], *, actor: User, now: datetime.datetime, reason: str = "") -> set[Any]:
    """End those of these that the person may stop, in one transaction and a handful of queries; the keys of those that now end.

    One act, however many they are: who stops a class does so with one press. Raises Refusal for too many acts within an hour.
    """
    allowed = authority.stoppable_by(actor, workloads)
    own = [row for row in allowed if row.owner_id == actor.pk]
    others = [row for row in allowed if row.owner_id != actor.pk]
    with transaction.atomic():
        if any(row.can_stop for row in allowed):
            rates.spend(actor, "stop", now=now)
        return end_many(own, EndReason.USER, now=now, actor=actor, reason=reason) | end_many(
            others, EndReason.STAFF, now=now, actor=actor, reason=reason, note=reason
        )


def end(
    workload: Workload,
    end_reason: EndReason,
    *,
    now: datetime.datetime,
    actor: User | None = None,
    reason: str = "",
    **fields: Any,
) -> bool:
    """Take it towards its end; the reconciler removes what is on the cluster. False: it was already ending."""
    return bool(end_many([workload], end_reason, now=now, actor=actor, reason=reason, **fields))


def end_many(
    workloads: Iterable[Workload],
    end_reason: EndReason,
    *,
    now: datetime.datetime,
    actor: User | None = None,
    reason: str = "",
    tell: bool = True,
    note: str = "",
    **fields: Any,
) -> set[Any]:
    """Take them towards their end in one transaction. Returns the keys of those that were not ending already.

    People whose labs somebody else ends get a mail, with `note`; `tell=False` is for callers that write another mail about the same.
    `reason` is for the history.
    """
    rows, told = list(workloads), {"now": now, "actor": actor, "reason": reason, **fields, "end_reason": end_reason}
    waiting = [row for row in rows if row.state == State.QUEUED]
    with transaction.atomic():
        over = move_many(waiting, State.ENDED, only_from=State.QUEUED, ended_at=now, **told)
        others = [row for row in rows if row.pk not in over]
        ended = over | move_many(others, State.STOPPING, reconcile=True, is_ready=False, **told)
        if tell:
            stopped = [row for row in rows if row.pk in ended]
            notices.tell_owners(stopped, end_reason, actor=actor, now=now, note=note)
        return ended


def fail(workload: Workload, diagnosis: dict[str, Any], *, now: datetime.datetime, **fields: Any) -> bool:
    """End it because it cannot run, and keep why; the owner of one that had run is told by mail. `fields`: what else is known by
    now, such as `log_tail`. Load `instance` and `owner` with the row."""
    had_run = workload.started_at is not None
    fields["steps"] = _halted(fields.get("steps", workload.steps), diagnosis["title"])
    is_lost = had_run and diagnosis["cause"] in TAKEN_AWAY
    if is_lost:
        fields |= {"lost_at": now, "lost_why": f"{diagnosis['title']}."}
    with transaction.atomic():
        failed = end(workload, EndReason.FAILED, now=now, reason=diagnosis["title"], diagnosis=diagnosis, **fields)
        if failed and had_run:
            telling.of_failure(workload, diagnosis, now=now)
        if failed and is_lost:
            telling.of_losses([workload], now=now)
    return failed


def _halted(steps: list[dict[str, Any]], why: str) -> list[dict[str, Any]]:
    """The step that was under way has failed: nothing goes on."""
    return [{**step, "state": "failed", "note": why} if step["state"] == "now" else step for step in steps]


def stop_all(
    instance: Instance, *, now: datetime.datetime, owner: User | None = None, actor: User | None = None,
    end_reason: EndReason = EndReason.STAFF, reason: str = "", tell: bool = True,
) -> int:  # fmt: skip
    """End everything that runs in the instance, or what one person runs there. Returns how many. `tell`: see `end_many`."""
    rows = Workload.objects.filter(instance=instance, state__in=STOPPABLE_STATES).select_related("instance", "owner")
    if owner:
        rows = rows.filter(owner=owner)
    return len(end_many(rows, end_reason, now=now, actor=actor, reason=reason, tell=tell))
