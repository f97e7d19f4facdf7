"""Those whom a list no longer names, and taking somebody off the roster."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.models import MailKind, Membership, Role, RosterEntry, Status, User
from accounts.roles import OUT
from accounts.rules import authority, mailing
from accounts.rules.identity import verified_addresses
from accounts.services import bars
from labs.models import EndReason, Event, Instance, Verb, Workload
from labs.models.workload import STOPPABLE_STATES
from labs.rules.history import line
from labs.services.stopping import end_many

from .admitting import RANKS, check_keeper, lock
from .importing import Outcome

NOT_ON_LIST = "not on the new list"


@dataclass(frozen=True)
class Missing:
    """A plain member or an expected one whom the list does not name."""

    email: str
    name: str
    entry: int | None = None
    user: int | None = None


def missing(instance: Instance, named: set[str], *, actor: User) -> list[Missing]:
    """Never owners and staff, and never the person who imports. A member is named by any address that is theirs. Three queries."""
    members = {
        row["user"]: row
        for row in Membership.objects.filter(instance=instance, status=Status.APPROVED)
        .order_by("user__email")
        .values("user", "role", "user__email", "user__name")
    }
    kept = {pk for pk, row in members.items() if row["role"] != Role.MEMBER} | {actor.pk}
    own = {actor.email}
    found: list[Missing] = []
    entries = RosterEntry.objects.filter(instance=instance).order_by("email")
    for pk, email, name, role, user, left in entries.values_list("pk", "email", "name", "role", "user", "left_at"):
        if email in named and user:
            kept.add(user)
        if email in named or left or role != Role.MEMBER or user in kept or email in own:
            continue
        found.append(Missing(email, name, pk, user))
    addresses: dict[int, set[str]] = defaultdict(set)
    verified = EmailAddress.objects.filter(user__memberships__instance=instance, verified=True)
    for user, email in verified.values_list("user", "email"):
        addresses[user].add(email.lower())
    on_list = {pk for pk, row in members.items() if ({row["user__email"]} | addresses[pk]) & named}
    found = [one for one in found if one.user not in kept | on_list]
    listed = {one.user for one in found}
    found += [
        Missing(row["user__email"], row["user__name"], None, pk)
        for pk, row in members.items()
        if pk not in kept | on_list | listed
    ]
    return sorted(found, key=lambda one: one.email)


def leave_out(instance: Instance, outcome: Outcome, *, actor: User, now: datetime.datetime, write: bool) -> None:
    """Count those whom the list does not name and, with `write`, suspend them: what they run ends. The instance is locked."""
    found = missing(instance, outcome.named, actor=actor)
    outcome.counts["missing"] = 0
    for one in found:
        outcome.note("missing", {"email": one.email, "name": one.name, "member": one.user is not None})
    if write and found:
        _suspend(instance, found, actor=actor, now=now)


def _suspend(instance: Instance, found: list[Missing], *, actor: User, now: datetime.datetime) -> None:
    entries = [one.entry for one in found if one.entry]
    RosterEntry.objects.filter(pk__in=entries, left_at=None).update(left_at=now)
    users = {
        row.user_id: row
        for row in Membership.objects.filter(
            instance=instance,
            user__in=[one.user for one in found if one.user],
            status=Status.APPROVED,
            role=Role.MEMBER,
        ).select_related("user")
    }
    Membership.objects.filter(pk__in=[row.pk for row in users.values()]).update(
        status=Status.SUSPENDED, decided_at=now, decided_by=actor, decision_note=""
    )
    told: dict[str, Any] = {"actor": actor, "now": now, "instance": instance, "reason": NOT_ON_LIST}
    events = [
        line(Verb.ROSTER_CHANGED, one.email, after={"list": "left out"}, user=users[one.user].user if one.user in users else None, **told)
        for one in found
        if one.entry
    ]  # fmt: skip
    events += [
        line(Verb.ACCESS_SUSPENDED, row.user, user=row.user, before={"status": Status.APPROVED},
             after={"status": Status.SUSPENDED}, **told)
        for row in users.values()
    ]  # fmt: skip
    Event.objects.bulk_create(events, batch_size=500)
    mailing.write_many(
        [
            mailing.draft(MailKind.ACCESS_SUSPENDED, row.user.email, now=now, user=row.user, instance=instance,
                          key=f"{MailKind.ACCESS_SUSPENDED}:{instance.pk}:{row.user_id}:{now.timestamp():.0f}")
            for row in users.values()
        ]
    )  # fmt: skip
    running = Workload.objects.filter(instance=instance, owner__in=users, state__in=STOPPABLE_STATES)
    end_many(
        running.select_related("instance", "owner"), EndReason.STAFF, now=now, actor=actor, reason="access suspended",
        tell=False,
    )  # fmt: skip


@transaction.atomic
def take_off(pks: Collection[Any], *, instance: Instance, actor: User, now: datetime.datetime) -> int:
    """Take people off the roster who have not come yet, or are gone: then the seat, taken perhaps by the wrong account, is free.

    Their invitations are worth nothing from then on. Returns how many.
    """
    locked = lock(instance.pk)
    check_keeper(actor, locked)
    here = Membership.objects.filter(instance=locked, user=OuterRef("user"))
    rows = RosterEntry.objects.filter(~Exists(here), instance=locked, pk__in=pks).select_related("user")
    if not authority.can_give_roles(actor, locked):
        rows = rows.filter(role=Role.MEMBER)
    gone = list(rows)
    Event.objects.bulk_create(
        line(Verb.ROSTER_CHANGED, row.email, actor=actor, now=now, instance=locked, user=row.user, reason="removed from the roster",
             before={"name": row.name, "section": row.section, "role": row.role})
        for row in gone
    )  # fmt: skip
    RosterEntry.objects.filter(pk__in=[row.pk for row in gone]).delete()
    return len(gone)


def set_free(user: User, *, now: datetime.datetime) -> None:
    """Before an account is deleted: its entries are nobody's again, and give who comes back no more than the person had.

    Call it in the transaction of the deletion, while memberships and addresses are there. What was decided about the person is
    kept with their proved addresses, or deleting the account would undo it. `bound_at` stays: a link that was used is used.
    """
    rows = {row.instance_id: row for row in Membership.objects.filter(user=user)}
    for entry in RosterEntry.objects.filter(user=user):
        row = rows.get(entry.instance_id)
        entry.user, entry.barred = None, row.status if row and row.status in OUT else ""
        # Who has left comes back as a member, as by asking.
        entry.role = min(entry.role, row.role if row else Role.MEMBER, key=lambda role: RANKS[Role(role)])
        if row is not None and row.status != Status.APPROVED:
            entry.left_at = entry.left_at or now
        entry.save(update_fields=["user", "barred", "role", "left_at"])
    addresses = verified_addresses(user)
    for row in (row for row in rows.values() if row.status in OUT):
        bars.keep_with_address(row.instance_id, addresses, status=Status(row.status), role=row.role, now=now)
