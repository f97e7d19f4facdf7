"""The only way workloads change their state: compare-and-set along the table of allowed transitions, with their Events."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import User
from labs.models import Event, State, Verb, Workload
from labs.models.bulk import update_each
from labs.models.reconciled import changed
from labs.models.workload import TRANSITIONS
from labs.rules.history import line
from labs.rules.queue import enqueue, ring

VERBS = {
    State.REQUESTED: Verb.LAUNCHED,
    State.STARTING: Verb.STARTING,
    State.RUNNING: Verb.RUNNING,
    State.STOPPING: Verb.STOPPING,
    State.ENDED: Verb.ENDED,
}
#: What a line of the history tells beside the state, when it changes with it.
TOLD = ("end_reason", "cluster", "expires_at")


def move(
    workload: Workload,
    to: State,
    *,
    now: datetime.datetime,
    actor: User | None = None,
    reason: str = "",
    reconcile: bool = False,
    **fields: Any,
) -> bool:
    """Take the workload to state `to`, setting `fields` with it; `reconcile` tells the cluster's side that there is news.

    False when the row was not in a state from which this is allowed: somebody was faster, and that is no error.
    """
    return bool(move_many([workload], to, now=now, actor=actor, reason=reason, reconcile=reconcile, **fields))


@transaction.atomic
def move_many(
    workloads: Sequence[Workload],
    to: State,
    *,
    now: datetime.datetime,
    actor: User | None = None,
    reason: str = "",
    reconcile: bool = False,
    each: Mapping[UUID, Mapping[str, Any]] | None = None,
    only_from: State | None = None,
    **fields: Any,
) -> set[UUID]:
    """Take those of the workloads that may go there to state `to`; returns which. `each`: further fields of single ones.
    `only_from`: no others than those in this state.

    Workloads come with `instance` and `owner` loaded. A handful of queries.
    """
    allowed = [state for state, following in TRANSITIONS.items() if to in following and only_from in (None, state)]
    # Locked in one order everywhere, so that two of these never wait for each other.
    rows = Workload.objects.select_for_update(no_key=True).filter(
        pk__in=[row.pk for row in workloads], state__in=allowed
    )
    before = dict(rows.order_by("pk").values_list("pk", "state"))
    if not before:
        return set()
    if reconcile:
        fields |= changed()
    each = each or {}
    _write(Workload.objects.filter(state__in=allowed), set(before), each, {"state": to, **fields})
    moved = [row for row in workloads if row.pk in before]
    Event.objects.bulk_create(
        line(VERBS[to], row.name, actor=actor, now=now, instance=row.instance, user=row.owner, workload=row,
             before={"state": before[row.pk]}, after=_told(to, {**fields, **each.get(row.pk, {})}), reason=reason)
        for row in moved
    )  # fmt: skip
    if reconcile:
        ring(before.keys())
    if to == State.ENDED:
        _promote({row.instance_id for row in moved})
    return set(before)


def _write(
    rows: QuerySet[Workload], pks: set[UUID], each: Mapping[UUID, Mapping[str, Any]], fields: Mapping[str, Any]
) -> None:
    """Those of the rows with these keys, which are locked: what is their own first, for a state may require it."""
    update_each(Workload, {pk: each[pk] for pk in pks & each.keys()})
    rows.filter(pk__in=pks).update(**fields)


def _told(to: State, fields: Mapping[str, Any]) -> dict[str, str]:
    """What the history says of it: the state, and why it ends, where it now runs and how long, if that is said."""
    told = {name: fields[name] for name in TOLD if name in fields}
    return {"state": to} | {
        name: value.isoformat() if isinstance(value, datetime.datetime) else str(value) for name, value in told.items()
    }


def _promote(instances: set[int]) -> None:
    """Room has come free: have a look at the queues, where there are any."""
    waiting = Workload.objects.filter(instance__in=instances, state=State.QUEUED)
    for pk in waiting.order_by().values_list("instance", flat=True).distinct():
        enqueue("promote_queued", pk)
