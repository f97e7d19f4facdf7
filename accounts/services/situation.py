"""How a person stands with an instance, and the one sentence that pages say about it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from accounts.models import Membership, Status, User
from accounts.roles import MANAGER_ROLES
from labs.models import Instance
from labs.models.instance import Phase


class Standing(IntEnum):
    """The first that fits any of a person's instances is what they are told of."""

    READY = 1
    WAITING = 2
    NOT_BEGUN = 3
    NOTHING_OFFERED = 4
    SUSPENDED = 5
    DENIED = 6
    OVER = 7


@dataclass(frozen=True)
class Seat:
    """A membership with what the instance offers: whether there is anything to launch."""

    instance: Instance
    membership: Membership
    has_services: bool

    def standing(self, today: datetime.date) -> Standing:
        """By status first, then by the dates, then by the services."""
        status, phase = Status(self.membership.status), self.instance.phase(today)
        if status == Status.SUSPENDED:
            return Standing.SUSPENDED
        if status == Status.DENIED:
            return Standing.DENIED
        if phase == Phase.OVER:
            return Standing.OVER
        if status == Status.REQUESTED:
            return Standing.WAITING
        if phase == Phase.NOT_BEGUN:
            return Standing.NOT_BEGUN
        return Standing.READY if self.has_services else Standing.NOTHING_OFFERED


def sentence(user: User, seats: Iterable[Seat], *, today: datetime.date, is_any_listed: bool) -> str:
    """What the person can do next, of all their instances. `is_any_listed`: whether there are others to ask for access to."""
    by_standing: dict[Standing, list[Seat]] = {}
    for seat in seats:
        by_standing.setdefault(seat.standing(today), []).append(seat)
    if not by_standing:
        return _of_nobody(user, is_any_listed)
    first = min(by_standing)
    return _words(first, by_standing[first], is_any_listed)


def _of_nobody(user: User, is_any_listed: bool) -> str:
    if user.is_superuser:
        return "You are a site administrator. The console shows everything on this site."
    if is_any_listed:
        return "Find your course on the home page and request access."
    return "No courses are listed here. Open the link that your course gave you, or ask its staff for one."


def _words(standing: Standing, seats: list[Seat], is_any_listed: bool) -> str:
    instance, more = seats[0].instance, len(seats) > 1
    if standing == Standing.READY:
        return "You have no running labs. A new lab is ready in about a minute."
    if standing == Standing.WAITING:
        whose = f"{len(seats)} of your requests are" if more else f"Your request for {instance} is"
        return f"{whose} waiting for the owners. You will get an e-mail when they decide."
    if standing == Standing.NOT_BEGUN:
        return f"{instance} starts on {instance.starts_on:%-d %B %Y}. You can launch labs from that day."
    if standing == Standing.NOTHING_OFFERED:
        runs_it = seats[0].membership.role in MANAGER_ROLES
        todo = "Choose its services in the console." if runs_it else "Its owners decide what it offers."
        return f"{instance} does not offer any services yet. {todo}"
    if standing == Standing.SUSPENDED:
        return f"Your access to {instance} is suspended. Its page shows whom to contact."
    if standing == Standing.DENIED:
        return f"Your request for {instance} was not approved. Its page shows whom to contact."
    others = " Other courses are listed on the home page." if is_any_listed else ""
    return f"{'All your courses have ended' if more else f'{instance} has ended'}.{others}"
