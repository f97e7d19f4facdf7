"""Being in an instance: asking, deciding, going. Each change is made under the lock of the instance, once, with its Event and mail."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts.models import Mail, MailKind, Membership, Role, RosterEntry, Status, User
from accounts.rules import authority, mailing, rates
from accounts.services import bars, contacts
from accounts.services.digest import forget_requests, tell_of_request
from accounts.services.entrance import Entrance, Way, entrance
from accounts.services.roster.admitting import admit
from labs.errors import Refusal
from labs.models import Event, Instance, Verb
from labs.rules.history import line, record
from labs.services.limits import drop_personal_limits
from labs.services.stopping import stop_all

#: From which states the person may go by themselves. Who was turned away keeps the row, or could ask again by leaving first.
MAY_LEAVE = (Status.REQUESTED, Status.APPROVED)
#: Of many that are decided together, those of one transaction.
TOGETHER = 500


@transaction.atomic
def request_access(*, user: User, instance: Instance, reason: str, now: datetime.datetime) -> Membership:
    """Ask to be let in; at once where the instance's access says so. Asking twice is the same as asking once.

    Somebody with an address of a person who was denied or suspended is so from then on. Raises Refusal where this person cannot ask,
    or was denied or suspended.
    """
    locked = _lock(instance.pk)
    row = Membership.objects.filter(user=user, instance=locked).first()
    if row and row.status == Status.APPROVED:
        return row
    if row and row.status != Status.REQUESTED:
        raise _decided(locked)
    if status := bars.status_of(user, locked):
        return _shut_out(row, user, locked, status, now)
    way = entrance(user, locked, now=now)
    if row is None:
        if way.is_closed:
            raise Refusal(way.words, code="closed")
        rates.spend(user, "ask", now=now)
        row = _ask(user, locked, reason, now, way)
    if way.at_once:
        _let_in(row, way, now)
    return row


def approve(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Let the person in. False when that was decided already. Raises Refusal when the actor may not."""
    return _decide(membership, _APPROVE, actor=actor, now=now, note=note)


def deny(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Do not let the person in."""
    return _decide(membership, _DENY, actor=actor, now=now, note=note)


def suspend(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Take the access away for now; what the person runs in the instance ends."""
    return _decide(membership, _SUSPEND, actor=actor, now=now, note=note)


def reinstate(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Give a suspended person the access back."""
    return _decide(membership, _REINSTATE, actor=actor, now=now, note=note)


def approve_many(memberships: Iterable[Membership], *, actor: User, now: datetime.datetime, note: str = "") -> set[int]:
    """Let these people in, with a handful of queries for hundreds. Returns the keys of those that it changed: who was decided already
    stays as they are, and so does who is not the actor's to decide.
    """
    return _decide_many(memberships, _APPROVE, actor=actor, now=now, note=note)


def deny_many(memberships: Iterable[Membership], *, actor: User, now: datetime.datetime, note: str = "") -> set[int]:
    """Do not let these people in; as `approve_many`."""
    return _decide_many(memberships, _DENY, actor=actor, now=now, note=note)


def reinstate_many(
    memberships: Iterable[Membership], *, actor: User, now: datetime.datetime, note: str = ""
) -> set[int]:
    """Give these suspended people the access back; as `approve_many`."""
    return _decide_many(memberships, _REINSTATE, actor=actor, now=now, note=note)


@transaction.atomic
def remove(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Take the person out: what they run there ends, their own limits go, and they may ask again. False: they are gone already."""
    before, note = _still_there(membership), note.strip()[:500]
    if before is None:
        return False
    if not authority.can_remove_membership(actor, before):
        raise _not_yours()
    _keep_one_owner(before)
    drop_personal_limits(before.instance, before.user, actor=actor, now=now)
    bars.lift(before.instance, [before.user_id])
    event = _end(before, Verb.ACCESS_REMOVED, actor, now, note)
    # Else the next list, or asking once more where the list lets people in, would undo it.
    RosterEntry.objects.filter(instance=before.instance, user=before.user, left_at=None).update(left_at=now)
    _tell(MailKind.ACCESS_REMOVED, before, event, note=note)
    return True


@transaction.atomic
def leave(*, user: User, instance: Instance, now: datetime.datetime) -> Status | None:
    """Go, or take the request back; returns what the person was, None when there was nothing.

    Personal limits stay: they are an owner's, and nobody loosens their own by coming back.
    Raises Refusal for the last owner, and for those who were denied or suspended.
    """
    _lock(instance.pk)
    row = Membership.objects.select_related("instance", "user").filter(user=user, instance=instance).first()
    if row is None:
        return None
    if row.status not in MAY_LEAVE:
        raise _decided(instance)
    _keep_one_owner(row)
    rates.spend(user, "leave", now=now)
    _end(row, Verb.ACCESS_LEFT, user, now)
    return Status(row.status)


def note_seen(*, user: User, instance: Instance) -> None:
    """The person knows that somebody has put them in."""
    Membership.objects.filter(user=user, instance=instance, is_news=True).update(is_news=False)


@transaction.atomic
def change_role(membership: Membership, role: Role, *, actor: User, now: datetime.datetime) -> bool:
    """Owners give roles, never to themselves; the last owner stays. Raises Refusal."""
    before = _as_it_stands(membership)
    if not authority.can_change_role(actor, before):
        raise Refusal("Only owners can assign roles, and nobody can change their own role.", code="forbidden")
    if before.role == role:
        return False
    _keep_one_owner(before)
    Membership.objects.filter(pk=membership.pk).update(role=role)
    # The roster says the same from now on: a list that names them does not give back what was taken away.
    RosterEntry.objects.filter(instance=before.instance, user=before.user).update(role=role)
    membership.role = role
    event = _record(Verb.ROLE_CHANGED, before, actor, now, before={"role": before.role}, after={"role": role})
    if before.is_approved:
        _tell(MailKind.ROLE_CHANGED, before, event, role=role)
    return True


@transaction.atomic
def add(*, user: User, instance: Instance, role: Role, actor: User | None, now: datetime.datetime) -> Membership:
    """Put somebody in without a request; an existing membership is kept. Raises Refusal.

    `actor` None is the site itself, which sends no mail.
    """
    if actor and not authority.can_add_member(actor, instance, role):
        raise Refusal("Only owners can add people with this role.", code="forbidden")
    _check_bars(user, instance)
    membership, created = Membership.objects.get_or_create(
        user=user,
        instance=instance,
        defaults={
            "role": role,
            "status": Status.APPROVED,
            "requested_at": now,
            "decided_at": now,
            "decided_by": actor,
            "is_news": actor not in (None, user),
        },
    )
    if created:
        _list_again(membership)
        after = {"status": Status.APPROVED, "role": role}
        event = _record(Verb.ACCESS_APPROVED, membership, actor, now, after=after)
        if actor and actor != user:
            _tell(MailKind.ACCESS_APPROVED, membership, event, role=role)
    return membership


# Asking ----------------------------------------------------------------------------------------------------------------


def _ask(user: User, instance: Instance, reason: str, now: datetime.datetime, way: Entrance) -> Membership:
    row = Membership.objects.create(user=user, instance=instance, reason=reason.strip()[:1000], requested_at=now)
    event = _record(Verb.ACCESS_REQUESTED, row, user, now, after={"status": row.status}, reason=row.reason)
    if way.way == Way.ASK:
        tell_of_request(event, now=now)
    return row


def _shut_out(
    row: Membership | None, user: User, instance: Instance, status: Status, now: datetime.datetime
) -> Membership:
    """With another account, the person is what they were; the staff see the row, and may decide anew."""
    before = {"status": row.status} if row else {}
    row = row or Membership(user=user, instance=instance, requested_at=now)
    row.status, row.decided_at, row.decided_by = status, now, None
    row.save()
    verb = Verb.ACCESS_SUSPENDED if status == Status.SUSPENDED else Verb.ACCESS_DENIED
    _record(verb, row, None, now, before=before, after={"status": status}, reason=bars.SAME_ADDRESS)
    forget_requests(instance, now=now)
    return row


def _check_bars(user: User, instance: Instance) -> None:
    """Before somebody is put in who is not there yet. Raises Refusal."""
    status = bars.status_of(user, instance)
    if status and not Membership.objects.filter(user=user, instance=instance).exists():
        word = "suspended" if status == Status.SUSPENDED else "not approved"
        raise Refusal(
            f"A person with one of {user}'s addresses was {word} here. On the People page, approve or reinstate that person, or "
            "remove the address from the roster. Then add this account.",
            code="barred",
        )


def _let_in(row: Membership, way: Entrance, now: datetime.datetime) -> None:
    """Nobody was asked. A higher role on the roster is not given here, but where its line is bound to the person."""
    row.status, row.decided_at = Status.APPROVED, now
    row.save(update_fields=["status", "decided_at"])
    _list_again(row)
    states = {"before": {"status": Status.REQUESTED}, "after": {"status": Status.APPROVED}}
    _record(Verb.ACCESS_APPROVED, row, None, now, reason=way.grounds, **states)
    forget_requests(row.instance, now=now)
    if way.entry and way.entry.role == Role.MEMBER:
        admit(row.instance, [(way.entry, row.user)], actor=None, now=now)


# Deciding --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Decision:
    to: Status
    #: From which states it leads there.
    follows: tuple[Status, ...]
    verb: Verb
    kind: MailKind
    may: Callable[[User, Membership], bool] = authority.can_decide_membership


_APPROVE = _Decision(Status.APPROVED, (Status.REQUESTED, Status.DENIED), Verb.ACCESS_APPROVED, MailKind.ACCESS_APPROVED)
_DENY = _Decision(Status.DENIED, (Status.REQUESTED,), Verb.ACCESS_DENIED, MailKind.ACCESS_DENIED)
_SUSPEND = _Decision(
    Status.SUSPENDED, (Status.APPROVED,), Verb.ACCESS_SUSPENDED, MailKind.ACCESS_SUSPENDED,
    may=authority.can_suspend_membership,
)  # fmt: skip
_REINSTATE = _Decision(Status.APPROVED, (Status.SUSPENDED,), Verb.ACCESS_REINSTATED, MailKind.ACCESS_REINSTATED)


@transaction.atomic
def _decide(membership: Membership, decision: _Decision, *, actor: User, now: datetime.datetime, note: str) -> bool:
    """The new status, its Event and its mail, once."""
    before, note = _as_it_stands(membership), note.strip()[:500]
    if not decision.may(actor, before):
        raise _not_yours()
    if before.status not in decision.follows:
        return False
    if decision.to == Status.SUSPENDED:
        _keep_one_owner(before)
    _write([before], decision, actor, now, note)
    membership.refresh_from_db()
    if decision.to == Status.SUSPENDED:
        stop_all(before.instance, owner=before.user, actor=actor, now=now, reason="access suspended", tell=False)
    forget_requests(before.instance, now=now)
    return True


def _decide_many(
    memberships: Iterable[Membership], decision: _Decision, *, actor: User, now: datetime.datetime, note: str
) -> set[int]:
    keys: dict[Any, list[int]] = defaultdict(list)
    for membership in memberships:
        keys[membership.instance_id].append(membership.pk)
    changed: set[int] = set()
    for instance, own in sorted(keys.items()):
        for start in range(0, len(own), TOGETHER):
            changed |= _decide_together(
                instance, own[start : start + TOGETHER], decision, actor, now, note.strip()[:500]
            )
    return changed


@transaction.atomic
def _decide_together(
    instance_pk: Any, keys: Collection[int], decision: _Decision, actor: User, now: datetime.datetime, note: str
) -> set[int]:
    """Those of the rows, as they stand under the lock, of which the decision is possible and the actor's."""
    instance = _lock(instance_pk)
    found = Membership.objects.filter(instance=instance, pk__in=keys, status__in=decision.follows)
    rows = authority.decidable_by(actor, instance, found.select_related("instance", "user").order_by("pk"))
    if rows:
        _write(rows, decision, actor, now, note)
        forget_requests(instance, now=now)
    return {row.pk for row in rows}


def _write(rows: list[Membership], decision: _Decision, actor: User, now: datetime.datetime, note: str) -> None:
    """The new status of these rows, which are as they were, with an Event and a mail for each."""
    Membership.objects.filter(pk__in=[row.pk for row in rows]).update(
        status=decision.to, decided_at=now, decided_by=actor, decision_note=note
    )
    if decision.to == Status.APPROVED:
        _list_again(*rows)
        bars.lift(rows[0].instance, [row.user_id for row in rows])
    events = Event.objects.bulk_create(
        line(
            decision.verb, row.user, actor=actor, now=now, instance=row.instance, user=row.user, reason=note,
            before={"status": row.status}, after={"status": decision.to},
        )
        for row in rows
    )  # fmt: skip
    mailing.write_many([_mail(decision.kind, row, event, note=note) for row, event in zip(rows, events, strict=True)])


def _end(row: Membership, verb: Verb, actor: User, now: datetime.datetime, note: str = "") -> Event:
    """The row goes, and before it what the person runs."""
    stop_all(row.instance, owner=row.user, actor=actor, now=now, reason="no longer a member", tell=False)
    event = _record(verb, row, actor, now, before={"status": row.status, "role": row.role}, reason=note)
    Membership.objects.filter(pk=row.pk).delete()
    forget_requests(row.instance, now=now)
    return event


def _list_again(*rows: Membership) -> None:
    """Who is let in stands on the roster of their one instance again: what is exported and imported once more must not leave them out."""
    users = [row.user_id for row in rows]
    RosterEntry.objects.filter(instance=rows[0].instance_id, user__in=users).update(left_at=None)


def _keep_one_owner(row: Membership) -> None:
    """Before an owner goes in whatever way. Under the lock of the instance, so that two do not go at once."""
    if row.role != Role.OWNER or not row.is_approved:
        return
    others = Membership.objects.approved().filter(instance=row.instance_id, role=Role.OWNER, user__is_active=True)
    if not others.exclude(pk=row.pk).exists():
        raise Refusal("An instance needs at least one owner. First make someone else an owner.", code="last-owner")


# Rows, Events, mails ---------------------------------------------------------------------------------------------------


def _lock(instance_pk: Any) -> Instance:
    return Instance.objects.select_for_update(no_key=True).get(pk=instance_pk)


def _as_it_stands(membership: Membership) -> Membership:
    """The row of now, with its instance locked: who may decide hangs on its role, which a page may have read long ago."""
    row = _still_there(membership)
    if row is None:
        raise Refusal("This person is no longer a member.", code="gone")
    return row


def _still_there(membership: Membership) -> Membership | None:
    _lock(membership.instance_id)
    return Membership.objects.select_related("instance", "user").filter(pk=membership.pk).first()


def _decided(instance: Instance) -> Refusal:
    sentence = contacts.write_to_the_owners(instance)
    return Refusal(f"The owners have already decided about your access. {sentence}", code="decided")


def _not_yours() -> Refusal:
    return Refusal(
        "Only the owners of the instance can decide this, and nobody can decide it for themselves.", code="forbidden"
    )


def _record(verb: Verb, row: Membership, actor: User | None, now: datetime.datetime, **told: Any) -> Event:
    return record(verb, row.user, actor=actor, now=now, instance=row.instance, user=row.user, **told)


def _tell(kind: MailKind, row: Membership, event: Event, **context: str) -> None:
    mailing.write_many([_mail(kind, row, event, **context)])


def _mail(kind: MailKind, row: Membership, event: Event, **context: str) -> Mail:
    """One mail for one line of the history."""
    return mailing.draft(
        kind, row.user.email, key=f"{kind}:{event.pk}", now=event.at, user=row.user, instance=row.instance,
        context={name: value for name, value in context.items() if value}, by=event.actor,
    )  # fmt: skip
