"""What asking for access leads to: in at once, a request that somebody decides, or no, and the sentence that says why."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from enum import Enum

from django.utils import timezone

from accounts.addresses import domain_of
from accounts.models import RosterEntry, User
from accounts.rules.identity import verified_addresses
from accounts.services import bars
from labs.models import Instance, Policy


class Way(Enum):
    IN = "in"
    ASK = "ask"
    CLOSED = "closed"


@dataclass(frozen=True)
class Entrance:
    way: Way
    #: For the person: why they are in at once, or what they can do instead; empty where there is nothing to say.
    words: str = ""
    #: For the history: why nobody was asked.
    grounds: str = ""
    #: The roster's line that lets them in.
    entry: RosterEntry | None = None
    #: Another confirmed address of theirs could change it.
    needs_address: bool = False

    @property
    def at_once(self) -> bool:
        return self.way == Way.IN

    @property
    def is_closed(self) -> bool:
        return self.way == Way.CLOSED


def entrance(user: User, instance: Instance, *, now: datetime.datetime) -> Entrance:
    """How this person gets in, as things stand. Before the first day one can ask; after the last one cannot."""
    kind = instance.get_kind_display().lower()
    if bars.status_of(user, instance):
        return Entrance(Way.CLOSED, "The owners have already decided about your access. Please contact them.")
    if instance.archived_at or (instance.ends_on and instance.ends_on < timezone.localdate(now)):
        return Entrance(Way.CLOSED, f"This {kind} has ended.")
    if instance.policy == Policy.OPEN:
        return Entrance(Way.IN, f"This {kind} is open to everyone: you can join right away.", "open to everyone")
    if instance.policy == Policy.DOMAIN:
        return _by_domain(user, instance)
    if instance.policy == Policy.ROSTER:
        return _by_roster(user, instance)
    if instance.policy == Policy.CLOSED:
        return Entrance(Way.CLOSED, "You cannot request access here. The owners add people themselves.")
    return Entrance(Way.ASK)


def _by_domain(user: User, instance: Instance) -> Entrance:
    """The domain itself, to the letter: a subdomain may belong to somebody else."""
    own = {domain_of(address) for address in verified_addresses(user)}
    if known := sorted(own.intersection(instance.email_domains)):
        domain = known[0]
        return Entrance(
            Way.IN, f"You can join right away with your address at {domain}.", f"confirmed address at {domain}"
        )
    if (domain := domain_of(user.email)) in instance.email_domains:
        words = f"Confirm your address at {domain} to join right away. Or request access without it, and the owners will decide."
        return Entrance(Way.ASK, words, needs_address=True)
    domains = " or ".join(instance.email_domains)
    return Entrance(
        Way.ASK,
        f"People with a confirmed address at {domains} can join right away. The owners decide about everyone else.",
    )


def _by_roster(user: User, instance: Instance) -> Entrance:
    """An address counts when it is confirmed, and nothing is told of who else is on the roster."""
    addresses = verified_addresses(user)
    own = RosterEntry.objects.filter(instance=instance, user=user).first()
    found = own or RosterEntry.objects.unbound().filter(instance=instance, email__in=addresses).order_by("pk").first()
    if found and not found.left_at:
        return Entrance(Way.IN, "You are on the roster, so you can join right away.", "on the roster", found)
    if addresses:
        yours = f"None of your confirmed addresses is on it ({', '.join(sorted(addresses))})."
        todo = "Add and confirm the address that is on the roster, or ask the course staff to add you."
    else:
        yours, todo = "You have not confirmed any address yet.", "Confirm the address that is on the roster."
    return Entrance(Way.CLOSED, f"Only people on the roster can join. {yours} {todo}", needs_address=True)
