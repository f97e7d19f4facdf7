"""More time for a running workload, within the longest lifetime."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import transaction

from accounts.models import User
from accounts.rules import authority, rates
from k8s.resources import duration
from labs.errors import OverLimit, Refusal
from labs.models import Instance, State, Verb, Workload
from labs.models.bulk import update_each
from labs.models.reconciled import changed
from labs.rules.history import record
from labs.rules.queue import ring

from .admission import longest_lifetime


@dataclass(frozen=True)
class Room:
    """How much more time a workload may get."""

    minutes: int
    #: The end of its instance leaves no more, though its lifetime would.
    is_cut: bool = False


def room(workload: Workload) -> Room:
    """How much more it may be given. The longest lifetime counts from the first answer, extensions included."""
    if workload.state != State.RUNNING or workload.expires_at is None:
        return Room(0)
    ceilings = [
        (workload.template.parameter("lifetime") or {}).get("max"),
        longest_lifetime(workload.instance, workload.owner),
    ]
    longest = min((value for value in ceilings if value is not None), default=None)
    minutes = max(0, longest - workload.lifetime_minutes) if longest is not None else workload.lifetime_minutes
    if ends_at := workload.instance.ends_at:
        left = max(0, int((ends_at - workload.expires_at).total_seconds()) // 60)
        if left < minutes:
            return Room(left, is_cut=True)
    return Room(minutes)


def room_minutes(workload: Workload) -> int:
    """How many minutes it may still be given."""
    return room(workload).minutes


def move_ends(instance: Instance) -> None:
    """Its last day is another one: what runs there ends with it, or has the whole of its lifetime again."""
    rows = Workload.objects.filter(instance=instance, state=State.RUNNING)
    ends = {
        pk: end
        for pk, started, minutes, expires in rows.values_list("pk", "started_at", "lifetime_minutes", "expires_at")
        if started and (end := instance.cut(started + datetime.timedelta(minutes=minutes))) != expires
    }
    update_each(Workload, {pk: {"expires_at": end} for pk, end in ends.items()})
    if ends:
        rows.filter(pk__in=ends).update(**changed())
        ring(ends.keys())


def extend(workload: Workload, *, actor: User, minutes: int, now: datetime.datetime) -> None:
    """Give it this many minutes more. Raises Refusal beyond the limit, or when it is not running."""
    if not authority.can_extend_workload(actor, workload):
        raise Refusal("There is no such lab.", code="not-found")
    if minutes < 1:
        raise Refusal(
            "Extend by at least one minute.", code="invalid", errors={"minutes": "Extend by at least one minute."}
        )
    with transaction.atomic():
        Instance.objects.select_for_update(no_key=True).get(pk=workload.instance_id)
        row = Workload.objects.select_related("instance", "owner", "template").get(pk=workload.pk)
        if row.state != State.RUNNING or row.expires_at is None or row.expires_at <= now:
            raise Refusal("Only a running lab can be extended.", code="not-running")
        left = room(row)
        if minutes > left.minutes:
            told = _too_long(row, left, minutes)
            raise OverLimit(
                told, code="over-limit", field="lifetime_minutes", limit=row.lifetime_minutes + left.minutes,
                used=row.lifetime_minutes, asked=minutes, instance=row.instance, errors={"minutes": told},
            )  # fmt: skip
        rates.spend(actor, "extend", now=now)
        until = row.expires_at + datetime.timedelta(minutes=minutes)
        extended = Workload.objects.filter(pk=row.pk, state=State.RUNNING, expires_at=row.expires_at).update(
            expires_at=until, lifetime_minutes=row.lifetime_minutes + minutes, **changed()
        )
        if not extended:
            raise Refusal("The lab has just changed. Please reload the page and try again.", code="conflict")
        record(
            Verb.EXTENDED, row.name, actor=actor, now=now, instance=row.instance, user=row.owner, workload=row,
            before={"expires_at": row.expires_at.isoformat(), "lifetime_minutes": row.lifetime_minutes},
            after={"expires_at": until.isoformat(), "lifetime_minutes": row.lifetime_minutes + minutes},
            reason=f"{duration(minutes)} more",
        )  # fmt: skip
        ring([row.pk])


def _too_long(row: Workload, left: Room, minutes: int) -> str:
    if left.is_cut:
        last = f"{row.instance} ends on {row.instance.ends_on:%-d %B %Y} at midnight, and its labs with it"
        more = f"it can have {duration(left.minutes)} more" if left.minutes else "it cannot have more"
        return f"{last}: {more}; you asked for {duration(minutes)}."
    if not left.minutes:
        return f"This lab has reached its maximum lifetime ({duration(row.lifetime_minutes)})."
    return (
        f"It has {duration(row.lifetime_minutes)} and may get {duration(left.minutes)} more; you asked for "
        f"{duration(minutes)}."
    )
