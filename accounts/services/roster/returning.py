"""Those who are suspended and whom a list names: let in again, where whoever imports it has chosen that and may decide it."""

from __future__ import annotations

import datetime
from collections import defaultdict

from allauth.account.models import EmailAddress

from accounts.models import Membership, RosterEntry, Status, User
from accounts.rules import authority
from accounts.services.membership import reinstate_many
from labs.models import Instance

from .importing import Outcome

ON_LIST = "on the new list"


def suspended(instance: Instance, named: set[str], *, actor: User) -> list[Membership]:
    """Suspended people whom the list names by any address that is theirs, of whom the actor may decide. Four queries."""
    rows = Membership.objects.filter(instance=instance, status=Status.SUSPENDED).select_related("user", "instance")
    found = {row.user_id: row for row in rows.order_by("user__email")}
    addresses: dict[int, set[str]] = defaultdict(set)
    verified = EmailAddress.objects.filter(user__in=found, verified=True).values_list("user", "email")
    listed = RosterEntry.objects.filter(instance=instance, user__in=found).values_list("user", "email")
    for user, email in (*verified, *listed):
        addresses[user].add(email.lower())
    of_list = [row for row in found.values() if ({row.user.email} | addresses[row.user_id]) & named]
    return authority.decidable_by(actor, instance, of_list)


def let_back(instance: Instance, outcome: Outcome, *, actor: User, now: datetime.datetime, write: bool) -> None:
    """Count them and, with `write`, reinstate them. The instance is locked."""
    found = suspended(instance, outcome.named, actor=actor)
    outcome.counts["reinstated"] = 0
    for row in found:
        outcome.note("reinstated", {"email": row.user.email, "name": row.user.name, "role": row.role})
    if write and found:
        reinstate_many(found, actor=actor, now=now, note=ON_LIST)
