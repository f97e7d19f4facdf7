"""More time for a running workload, within the longest lifetime."""

from __future__ import annotations

import datetime

from django.db import transaction

from accounts.models import User
from accounts.services import authority, rates
from labs.errors import Refusal
from labs.models import Instance, State, Verb, Workload
from labs.models.reconciled import changed

from .admission import longest_lifetime
from .history import record
from .launch import duration
from .queue import ring


def room_minutes(workload: Workload) -> int:
    """How many minutes it may still be given. The longest lifetime counts from the first answer, extensions included."""
    if workload.state != State.RUNNING:
        return 0
    ceilings = [
        (workload.template.parameter("lifetime") or {}).get("max"),
        longest_lifetime(workload.instance, workload.owner),
    ]
    longest = min((value for value in ceilings if value is not None), default=None)
    return max(0, longest - workload.lifetime_minutes) if longest is not None else workload.lifetime_minutes


def extend(workload: Workload, *, actor: User, minutes: int, now: datetime.datetime) -> None:
    """Give it this many minutes more. Raises Refusal beyond the limit, or when it is not running."""
    if not authority.can_extend_workload(actor, workload):
        raise Refusal("There is no such lab.", code="not-found")
    if minutes < 1:
        raise Refusal("At least one minute more.", code="invalid", errors={"minutes": "At least one minute more."})
    with transaction.atomic():
        Instance.objects.select_for_update(no_key=True).get(pk=workload.instance_id)
        row = Workload.objects.select_related("instance", "owner", "template").get(pk=workload.pk)
        if row.state != State.RUNNING or row.expires_at is None or row.expires_at <= now:
            raise Refusal("Only a running lab can be extended.", code="not-running")
        room = room_minutes(row)
        if minutes > room:
            raise Refusal(
                _too_long(row, room, minutes), code="over-limit", errors={"minutes": _too_long(row, room, minutes)}
            )
        rates.spend(actor, "extend", now=now)
        until = row.expires_at + datetime.timedelta(minutes=minutes)
        extended = Workload.objects.filter(pk=row.pk, state=State.RUNNING, expires_at=row.expires_at).update(
            expires_at=until, lifetime_minutes=row.lifetime_minutes + minutes, **changed()
        )
        if not extended:
            raise Refusal("The lab has just changed. Please look again.", code="conflict")
        record(
            Verb.EXTENDED, row.name, actor=actor, now=now, instance=row.instance, user=row.owner, workload=row,
            before={"expires_at": row.expires_at.isoformat(), "lifetime_minutes": row.lifetime_minutes},
            after={"expires_at": until.isoformat(), "lifetime_minutes": row.lifetime_minutes + minutes},
            reason=f"{duration(minutes)} more",
        )  # fmt: skip
        ring([row.pk])


def _too_long(row: Workload, room: int, minutes: int) -> str:
    if room == 0:
        return f"It has all the {duration(row.lifetime_minutes)} that it may have."
    return (
        f"It has {duration(row.lifetime_minutes)} and may get {duration(room)} more; you asked for {duration(minutes)}."
    )
