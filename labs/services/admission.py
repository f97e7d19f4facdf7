"""Limits: how much is used, how much there may be, and whether a request fits. The only place where limits are enforced."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from accounts.models import User
from k8s.resources import COUNTED, RESOURCES, Resource, number
from labs.models import Instance, Quota, Scope, Workload

from .refusals import over

#: What a request would take of each resource that is counted (COUNTED), in the row's units.
Ask = Mapping[str, int]


def ask_of(amounts: Mapping[str, int]) -> Ask:
    """Of the amounts of one workload: those that are counted, and one service."""
    return {key: 1 if key == "running" else amounts[key] for key in COUNTED}


@dataclass(frozen=True)
class Meter:
    """One limit as a person sees it; numbers in `unit`, `limit` None where there is none."""

    key: str
    label: str
    used: Decimal
    limit: Decimal | None
    ask: Decimal
    unit: str

    @property
    def over(self) -> bool:
        return self.limit is not None and self.used + self.ask > self.limit

    @property
    def text(self) -> str:
        used = f"{number(self.used)} + {number(self.ask)}" if self.ask else number(self.used)
        unit = f" {self.unit}" if self.unit else ""
        return f"{used}{unit}" if self.limit is None else f"{used} of {number(self.limit)}{unit}"

    @property
    def used_percent(self) -> int:
        return self._percent(self.used)

    @property
    def ask_percent(self) -> int:
        return min(self._percent(self.ask), 100 - self.used_percent)

    def _percent(self, value: Decimal) -> int:
        if self.limit is None:
            return 0
        whole = max(self.limit, self.used + self.ask)
        return min(100, round(100 * value / whole)) if whole else 0


@dataclass(frozen=True)
class Limits:
    """The limits that count for a person: those of the whole instance, and their own (or else the members' default)."""

    instance: Instance
    user: User
    whole: Quota | None
    personal: Quota | None

    @property
    def longest_lifetime(self) -> int | None:
        """In minutes, extensions included; None where nobody has set one."""
        set_ones = [row.lifetime_minutes for row in (self.whole, self.personal) if row]
        return min((minutes for minutes in set_ones if minutes is not None), default=None)

    def fits_at_all(self, ask: Ask) -> bool:
        """Whether it would fit if nothing else ran: only then does waiting make sense."""
        for quota in (self.whole, self.personal):
            for key in COUNTED:
                limit = getattr(quota, key, None)
                if limit is not None and ask[key] > limit:
                    return False
        return True

    def check_room(self, ask: Ask) -> None:
        """Raise Refusal, with used, limit and asked for, when the request does not fit.

        Call it with the instance's row locked, in the transaction that writes the workload.
        """
        own, whole = (
            {key: limit for key in COUNTED if (limit := getattr(quota, key, None)) is not None and ask[key]}
            for quota in (self.personal, self.whole)
        )
        if not own and not whole:
            return
        self.check_beside(
            ask, *Workload.objects.counted().filter(instance=self.instance).usage_of(self.user, own, whole)
        )

    def check_beside(self, ask: Ask, own: Mapping[str, int], whole: Mapping[str, int]) -> None:
        """Raise Refusal when the request does not fit beside what the person uses (`own`) and what all use. No query."""
        for quota, taken, is_personal in ((self.personal, own, True), (self.whole, whole, False)):
            for key in COUNTED:
                limit, asked = getattr(quota, key, None), ask[key]
                if limit is not None and asked and taken[key] + asked > limit:
                    code = "over-own-limit" if is_personal else "over-limit"
                    raise over(code, key, limit=limit, used=taken[key], asked=asked, instance=self.instance)


def limits_of(instance: Instance, user: User) -> Limits:
    """The limits of the instance and of the person in it. One query."""
    return limits_of_each(instance, [user])[user.pk]


def limits_of_each(instance: Instance, users: Collection[User]) -> dict[int, Limits]:
    """The same for several people, by their keys. One query."""
    found = Quota.objects.filter(Q(user__in=users) | Q(user=None), instance=instance)
    rows = {(row.scope, row.user_id): row for row in found}
    whole, default = rows.get((Scope.INSTANCE, None)), rows.get((Scope.MEMBER, None))
    return {user.pk: Limits(instance, user, whole, rows.get((Scope.PERSON, user.pk)) or default) for user in users}


def longest_lifetime(instance: Instance, user: User) -> int | None:
    """In minutes, extensions included; None where nobody has set one."""
    return limits_of(instance, user).longest_lifetime


def member_meters(instance: Instance, user: User, ask: Ask | None = None) -> list[Meter]:
    """What the person uses in the instance, against their limits."""
    return meters(
        limits_of(instance, user).personal,
        Workload.objects.counted().filter(instance=instance, owner=user).usage(),
        ask,
    )


def instance_meters(instance: Instance, ask: Ask | None = None) -> list[Meter]:
    """What all use in the instance, against its limits."""
    quota = Quota.objects.filter(instance=instance, scope=Scope.INSTANCE).first()
    return meters(quota, Workload.objects.counted().filter(instance=instance).usage(), ask)


def meters(quota: Quota | None, used: dict[str, int], ask: Ask | None = None) -> list[Meter]:
    """One for each limit that is counted. `used`: as `WorkloadQuerySet.usage()` gives it."""
    return [
        meter(resource, used, getattr(quota, resource.key, None), ask) for resource in RESOURCES if resource.is_counted
    ]


def meter(resource: Resource, used: Mapping[str, int], limit: int | None, ask: Ask | None = None) -> Meter:
    """In the unit of people."""
    taken, asked = used[resource.key], ask[resource.key] if ask else 0
    return Meter(
        key=resource.key,
        label=resource.label,
        used=Decimal(taken) / resource.factor,
        limit=None if limit is None else Decimal(limit) / resource.factor,
        ask=Decimal(asked) / resource.factor,
        unit=resource.unit,
    )
