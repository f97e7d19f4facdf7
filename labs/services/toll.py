"""What a change would end, in numbers and in sentences, for whoever is about to make it."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.utils import timezone

from accounts.models import Membership
from labs.models import Instance, Workload
from labs.models.workload import STOPPABLE_STATES


@dataclass(frozen=True)
class Toll:
    """Labs that would end, and whose they are."""

    labs: int
    people: int

    def __bool__(self) -> bool:
        return bool(self.labs)

    def __str__(self) -> str:
        """ "12 labs of 9 people", "1 lab of 1 person", "no labs"."""
        if not self.labs:
            return "no labs"
        return f"{counted(self.labs, 'lab', 'labs')} of {counted(self.people, 'person', 'people')}"


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun: "1 lab", "1,200 labs"."""
    return f"{number:,} {one if number == 1 else many}"


def running(instance: Instance) -> Toll:
    """Everything that has not ended in the instance, with what waits for room."""
    found = Workload.objects.filter(instance=instance, state__in=STOPPABLE_STATES)
    return Toll(**found.aggregate(labs=Count("pk"), people=Count("owner", distinct=True)))


def running_of(memberships: Collection[Membership]) -> dict[int, int]:
    """How many labs each of these people has there, by the key of the membership. One query."""
    found = Workload.objects.filter(
        state__in=STOPPABLE_STATES,
        instance__in={row.instance_id for row in memberships},
        owner__in={row.user_id for row in memberships},
    )
    numbers: dict[Any, int] = {
        (row["instance"], row["owner"]): row["labs"]
        for row in found.order_by().values("instance", "owner").annotate(labs=Count("pk"))
    }
    return {row.pk: numbers.get((row.instance_id, row.user_id), 0) for row in memberships}


def everywhere(user: Any) -> Toll:
    """All labs of one person, in whatever instance."""
    labs = Workload.objects.filter(owner=user, state__in=STOPPABLE_STATES).count()
    return Toll(labs, min(labs, 1))


def is_over(instance: Instance, now: datetime.datetime) -> bool:
    """Whether its last day has passed."""
    return bool(instance.ends_on and instance.ends_on < timezone.localdate(now))


def of_change(old: Instance, new: Instance, *, now: datetime.datetime) -> str:
    """What saving these dates would end for good, as sentences; empty when nobody loses anything by it.

    `old`: the instance as it is stored. A last day that has passed always needs a yes, with or without labs.
    """
    return _of_last_day(old, new.ends_on, now) or _of_keeping(old, new, now)


def _of_last_day(old: Instance, ends_on: datetime.date | None, now: datetime.datetime) -> str:
    if ends_on is None or ends_on == old.ends_on or old.archived_at or is_over(old, now):
        return ""
    day, kind = f"{ends_on:%-d %B %Y}", old.get_kind_display().lower()
    if ends_on < timezone.localdate(now):
        verb = "is" if running(old).labs == 1 else "are"
        return (
            f"{day} has passed, so the {kind} ends now: {running(old)} {verb} stopped, and the files in them are deleted. "
            "Nobody can launch labs in it any more. Everyone whose lab is stopped gets an e-mail."
        )
    if old.ends_on and old.ends_on < ends_on:
        return ""
    if cut := _outliving(old, ends_on, now):
        return (
            f"The {kind} ends at the end of {day}, and so do all its labs. {str(cut).capitalize()} would have run longer. Their "
            "owners get an e-mail when the labs are stopped."
        )
    return ""


def _of_keeping(old: Instance, new: Instance, now: datetime.datetime) -> str:
    """Volumes of an archived instance go when their days are over."""
    if not old.archived_at or old.removed_at:
        return ""
    until = old.archived_at + datetime.timedelta(days=new.keep_days)
    if until > now or until >= (old.kept_until or now):
        return ""
    return "That time has already passed: all stored volumes will be permanently deleted now."


def _outliving(instance: Instance, ends_on: datetime.date, now: datetime.datetime) -> Toll:
    """Labs whose time goes on after that day; one that has not started yet counts from now."""
    midnight = datetime.datetime.combine(ends_on + datetime.timedelta(days=1), datetime.time.min)
    end = timezone.make_aware(midnight)
    owners = [
        owner
        for owner, expires_at, minutes in Workload.objects.filter(
            instance=instance, state__in=STOPPABLE_STATES
        ).values_list("owner", "expires_at", "lifetime_minutes")
        if (expires_at or now + datetime.timedelta(minutes=minutes)) > end
    ]
    return Toll(len(owners), len(set(owners)))
