"""Letting in those whom the roster names: at the import, at a sign-in with the address, or by the link of an invitation.

An entry gives a membership, a role and limits, and takes none away: who has a higher role keeps it, and who was denied or
suspended stays out until somebody who may decide says otherwise. All is done for many at once, in a fixed number of queries.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import OuterRef, Subquery

from accounts.models import Mail, MailKind, Membership, Role, RosterEntry, Status, User
from accounts.roles import OUT
from accounts.rules import authority, mailing
from accounts.rules.identity import verified_addresses
from accounts.services import bars
from accounts.services.digest import forget_requests
from k8s.resources import KEYS
from labs.errors import Refusal
from labs.models import Event, Instance, Quota, Scope, Verb
from labs.rules.history import line

#: Low to high.
RANKS = {Role.MEMBER: 0, Role.STAFF: 1, Role.OWNER: 2}
ROSTER = "on the roster"
OWNERS_ONLY = "only owners can approve people, so only they import rosters and invite people."
#: As many are never bound by anything but a list.
MANY = 20


@dataclass(frozen=True)
class Admitted:
    """Whose entry became theirs, and who is approved by that and was not before."""

    bound: list[RosterEntry]
    let_in: int = 0


def bind_person(user: User, *, now: datetime.datetime) -> int:
    """Give a person all that rosters hold for the addresses that they have verified. Returns how many entries became theirs.

    Called at each sign-in and when an address is verified; may be called at any time, and twice at once.
    """
    addresses = verified_addresses(user)
    if not addresses or not user.is_active:
        return 0
    waiting = RosterEntry.objects.claimable().filter(email__in=addresses, instance__archived_at=None)
    waiting = waiting.order_by("instance_id")
    bound = 0
    for pk in list(waiting.values_list("instance", flat=True).distinct()):
        with transaction.atomic():
            instance = lock(pk)
            entries = RosterEntry.objects.claimable().filter(instance=instance, email__in=addresses).order_by("pk")
            bound += len(admit(instance, [(entry, user) for entry in entries], actor=None, now=now).bound)
    return bound


def bind_known(
    instance: Instance, entries: Sequence[RosterEntry], *, actor: User, now: datetime.datetime
) -> Admitted:  # fmt: skip
    """Bind those of the entries whose address somebody has verified already. The instance is locked."""
    waiting = {entry.email: entry for entry in entries if entry.user_id is None and entry.left_at is None}
    if not waiting:
        return Admitted([])
    known = EmailAddress.objects.filter(email__in=waiting, verified=True, user__is_active=True).select_related("user")
    pairs = [(waiting[row.email.lower()], row.user) for row in known.order_by("pk") if row.email.lower() in waiting]
    return admit(instance, pairs, actor=actor, now=now)


def lock(pk: Any) -> Instance:
    """The instance's row, locked: what changes its people waits for each other."""
    return Instance.objects.select_for_update(no_key=True).get(pk=pk)


def check_keeper(actor: User, instance: Instance) -> None:
    """Raises Refusal for whoever may not change who is expected."""
    if authority.can_keep_roster(actor, instance):
        return
    if authority.can_see_people(actor, instance):
        raise Refusal(f"In this {instance.get_kind_display().lower()} {OWNERS_ONLY}", code="forbidden")
    raise Refusal("Only owners and staff can import rosters and invite people.", code="forbidden")


def admit(
    instance: Instance, pairs: Iterable[tuple[RosterEntry, User]], *, actor: User | None, now: datetime.datetime,
    reason: str = ROSTER,
) -> Admitted:  # fmt: skip
    """Make these entries the people's own. The instance is locked, and the entries are of after that."""
    given: dict[int, tuple[RosterEntry, User]] = {}
    pairs = list(pairs)
    theirs = RosterEntry.objects.filter(instance=instance, user__in=[user.pk for _, user in pairs])
    taken = set(theirs.values_list("user", flat=True)) if pairs else set()
    for entry, user in pairs:
        # One entry a person: a second address of theirs on the same list stays as it is.
        if entry.user_id is None and user.pk not in taken and user.pk not in given:
            given[user.pk] = (entry, user)
    for entry, user in given.values():
        entry.user, entry.bound_at = user, now
    bound = [entry for entry, _ in given.values()]
    _write(bound)
    let_in = settle(instance, list(given.values()), actor=actor, now=now, reason=reason)
    if barred := [entry.pk for entry in bound if entry.barred]:
        RosterEntry.objects.filter(pk__in=barred).update(barred="")  # The membership says it from now on.
    return Admitted(bound, let_in)


def _write(bound: Sequence[RosterEntry]) -> None:
    """Many come of a list, and are bound by their addresses: one statement finds these again, where a row each would be slow."""
    if len(bound) < MANY:
        RosterEntry.objects.bulk_update(bound, ["user", "bound_at"])
        return
    owner = EmailAddress.objects.filter(email=OuterRef("email"), verified=True).order_by("pk").values("user")[:1]
    rows = RosterEntry.objects.filter(pk__in=[entry.pk for entry in bound])
    rows.update(user=Subquery(owner), bound_at=bound[0].bound_at)


def settle(
    instance: Instance, pairs: Sequence[tuple[RosterEntry, User]], *, actor: User | None, now: datetime.datetime,
    reason: str = ROSTER,
) -> int:  # fmt: skip
    """Give the people what their entries hold. Returns how many were let in by it."""
    if not pairs:
        return 0
    told = Told(instance, actor, now, reason)
    let_in = _memberships(told, pairs)
    _limits(told, pairs)
    told.write()
    return let_in


def update(
    instance: Instance, pairs: Sequence[tuple[RosterEntry, User]], *, roles: Collection[int], limits: Collection[int],
    actor: User, now: datetime.datetime,
) -> None:  # fmt: skip
    """Give those whose entries were theirs before what a list has changed. `roles`, `limits`: keys of the users for whom it did.

    It lets nobody in: who left, or was removed, and is named again may ask again.
    """
    told = Told(instance, actor, now, ROSTER)
    users = [user.pk for _, user in pairs if user.pk in roles or user.pk in limits]
    rows = Membership.objects.filter(instance=instance, user__in=users).values_list("user", "status") if users else ()
    status = dict(rows)
    # Nobody raises their own role, not even through a list.
    rise = {pk for pk in roles if status.get(pk) == Status.APPROVED} - {actor.pk}
    _memberships(told, [(entry, user) for entry, user in pairs if user.pk in rise])
    _limits(told, [(entry, user) for entry, user in pairs if user.pk in limits and user.pk in status])
    told.write()


@dataclass(frozen=True)
class Told:
    """What goes into the history, and to the people, beside the change itself. `actor` None is the site."""

    instance: Instance
    actor: User | None
    now: datetime.datetime
    reason: str
    events: list[Event] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)

    def event(
        self, verb: Verb, user: User, before: dict[str, Any], after: dict[str, Any], subject: str = "", reason: str = ""
    ) -> None:
        self.events.append(
            line(verb, subject or user, actor=self.actor, now=self.now, instance=self.instance, user=user, before=before,
                 after=after, reason=reason or self.reason)
        )  # fmt: skip

    def is_own(self, user: User) -> bool:
        """Nobody sets their own limits, not even through a list."""
        return self.actor is not None and user.pk == self.actor.pk and not authority.can_set_own_limits(self.actor)

    def write(self) -> None:
        Event.objects.bulk_create(self.events, batch_size=500)
        mailing.write_many(self.mails)

    def mail(self, kind: MailKind, user: User, **context: str) -> None:
        key = f"{kind}:{self.instance.pk}:{user.pk}:{self.now.timestamp():.0f}"
        self.mails.append(
            mailing.draft(
                kind,
                user.email,
                key=key,
                now=self.now,
                user=user,
                instance=self.instance,
                context=context,
                by=self.actor,
            )
        )


def _memberships(told: Told, pairs: Sequence[tuple[RosterEntry, User]]) -> int:
    users = [user.pk for _, user in pairs]
    known = {row.user_id: row for row in Membership.objects.filter(instance=told.instance, user__in=users)}
    new: list[Membership] = []
    changed: list[Membership] = []
    barred = bars.statuses(told.instance, users)
    let_in, asked = 0, False
    for entry, user in pairs:
        row, role = known.get(user.pk), Role(entry.role)
        is_in = row is not None and row.status == Status.APPROVED
        if status := entry.barred or (not is_in and barred.get(user.pk)):
            if row is None:
                new.append(_shut_out(told, Status(status), role, user))
            continue
        if row is None:
            new.append(_member(told, user, role, Status.APPROVED))
            before: dict[str, Any] = {}
        elif row.status in OUT:
            continue  # Somebody has decided that; a list does not undo it.
        else:
            before = {"status": row.status, "role": row.role}
            may_rise = RANKS[role] > RANKS[Role(row.role)]
            if row.status == Status.APPROVED and not may_rise:
                continue
            if row.status == Status.REQUESTED:
                row.decided_at, row.decided_by, asked = told.now, told.actor, True
            row.status, row.role = Status.APPROVED, role if may_rise else row.role
            changed.append(row)
        let_in += before.get("status") != Status.APPROVED
        _tell(told, user, before, row.role if row else role)
    Membership.objects.bulk_create(new, batch_size=500)
    Membership.objects.bulk_update(changed, ["status", "role", "decided_at", "decided_by"], batch_size=500)
    if asked:
        forget_requests(told.instance, now=told.now)
    return let_in


def _tell(told: Told, user: User, before: dict[str, Any], role: str) -> None:
    """Write of an approved membership, or of a higher role. `before`: status and role until now; empty for a new membership."""
    was_in = before.get("status") == Status.APPROVED
    verb = Verb.ROLE_CHANGED if was_in else Verb.ACCESS_APPROVED
    told.event(verb, user, before, {"status": Status.APPROVED, "role": role})
    if was_in:
        told.mail(MailKind.ROLE_CHANGED, user, role=str(role))
    elif before or told.actor:
        # Not when it comes of their own sign-in, or of a link that they have just opened: they see it.
        told.mail(MailKind.ACCESS_APPROVED, user)


def _shut_out(told: Told, status: Status, role: Role, user: User) -> Membership:
    """Whoever was turned away and comes with another account is what they were, and is told nothing new."""
    verb = Verb.ACCESS_SUSPENDED if status == Status.SUSPENDED else Verb.ACCESS_DENIED
    told.event(verb, user, {}, {"status": status, "role": role}, reason=bars.SAME_ADDRESS)
    return _member(told, user, role, status)


def _member(told: Told, user: User, role: Role, status: Status) -> Membership:
    # Who has taken an invitation was asked.
    is_news = status == Status.APPROVED and told.reason == ROSTER and told.actor != user
    return Membership(
        is_news=is_news, instance=told.instance, user=user, role=role, status=status, reason=told.reason, requested_at=told.now,
        decided_at=told.now, decided_by=told.actor,
    )  # fmt: skip


def _limits(told: Told, pairs: Sequence[tuple[RosterEntry, User]]) -> None:
    """Personal limits of those whose entries have some. Who has none on the roster keeps what an owner has set by hand."""
    wanted = [(entry, user) for entry, user in pairs if entry.limits and not told.is_own(user)]
    if not wanted:
        return
    instance = told.instance
    rows = Quota.objects.filter(instance=instance, scope=Scope.PERSON, user__in=[user.pk for _, user in wanted])
    known = {row.user_id: row for row in rows.order_by("pk")}
    default = Quota.objects.filter(instance=instance, scope=Scope.MEMBER).first()
    new: list[Quota] = []
    changed: list[Quota] = []
    for entry, user in wanted:
        row = known.get(user.pk) or Quota(instance=instance, scope=Scope.PERSON, user=user)
        before = {name: getattr(row, name) for name in KEYS} if row.pk else {}
        if not row.pk:
            # A personal row replaces the members' default as a whole: what the list leaves open stays as for all.
            for name in KEYS:
                setattr(row, name, getattr(default, name, None))
        for name, value in entry.limits.items():
            setattr(row, name, value)
        after = {name: getattr(row, name) for name in KEYS}
        if after == before:
            continue
        (changed if row.pk else new).append(row)
        told.event(Verb.LIMITS_CHANGED, user, before, after, subject=f"{user}, {instance}")
    Quota.objects.bulk_create(new, batch_size=500)
    Quota.objects.bulk_update(changed, list(KEYS), batch_size=500)
