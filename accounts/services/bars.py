"""Who is kept out of an instance by a decision about somebody with the same address. A decision is about the person, not the account.

Denied and suspended bar every address that the person has proved, at once, with whatever +tag. An address that leaves their account
takes the bar along, as an entry of the roster (`keep_with_address`). Every way in asks here; only a decision of somebody who may
decide lets the person in.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection

from allauth.account.models import EmailAddress
from django.db.models import Q

from accounts.addresses import without_tag
from accounts.models import Membership, Role, RosterEntry, Status, User
from accounts.roles import OUT
from labs.models import Instance

#: For the history: why somebody is out about whom nobody has decided.
SAME_ADDRESS = "same decision as for another account with this address"


def statuses(instance: Instance, users: Collection[int]) -> dict[int, Status]:
    """Of these people, by their keys, those whom a decision about somebody else's account keeps out, with what was decided.

    Four queries, whatever their number. What was decided about their own account stands on their membership.
    """
    barred = _barred(instance)
    found: dict[int, Status] = {}
    if not barred:
        return found
    own = EmailAddress.objects.filter(user__in=users, verified=True).values_list("user", "email")
    for user, email in own:
        for status, whose in barred.get(without_tag(email), ()):
            if whose != user:
                found[user] = status
    return found


def status_of(user: User, instance: Instance) -> Status | None:
    """What keeps this person out, or nothing."""
    return statuses(instance, [user.pk]).get(user.pk)


def _barred(instance: Instance) -> dict[str, list[tuple[Status, int | None]]]:
    """Address without tag → what was decided, and about whose account; None when that has gone."""
    out = dict(Membership.objects.filter(instance=instance, status__in=OUT).values_list("user", "status"))
    barred: dict[str, list[tuple[Status, int | None]]] = defaultdict(list)
    for user, email in EmailAddress.objects.filter(user__in=out, verified=True).values_list("user", "email"):
        barred[without_tag(email)].append((Status(out[user]), user))
    entries = RosterEntry.objects.filter(~Q(barred="") | Q(user__in=out), instance=instance)
    for user, email, status in entries.values_list("user", "email", "barred"):
        barred[without_tag(email)].append((Status(status or out[user]), user))
    return barred


def keep_with_address(
    instance_pk: int, addresses: Collection[str], *, status: Status, role: str = Role.MEMBER, now: datetime.datetime
) -> None:
    """The addresses leave the account of somebody who is out: the bar goes with them. Call it in the transaction of that."""
    for address in addresses:
        fresh = {"role": role, "left_at": now}
        RosterEntry.objects.get_or_create(instance_id=instance_pk, email=address, defaults=fresh)
    RosterEntry.objects.filter(instance=instance_pk, email__in=addresses, user=None).update(barred=status)


def address_left(user_pk: int, address: str, *, now: datetime.datetime) -> None:
    """A proved address has left the account. Where its person is out, it stays barred."""
    rows = Membership.objects.filter(user=user_pk, status__in=OUT)
    for instance, status, role in rows.values_list("instance", "status", "role"):
        keep_with_address(instance, [address], status=Status(status), role=role, now=now)


def lift(instance: Instance, users: Collection[int]) -> None:
    """Somebody who may decide has let these people in: what was kept with their addresses holds no longer."""
    waiting = list(RosterEntry.objects.filter(~Q(barred=""), instance=instance).values_list("pk", "email"))
    if waiting:
        verified = EmailAddress.objects.filter(user__in=users, verified=True).values_list("email", flat=True)
        own = {without_tag(email) for email in verified}
        RosterEntry.objects.filter(pk__in=[pk for pk, email in waiting if without_tag(email) in own]).update(barred="")
