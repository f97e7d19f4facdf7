"""Asking for access, and what owners and staff decide. Each change is one compare-and-set with its Event."""

from __future__ import annotations

import datetime

from django.db import transaction

from accounts.models import Membership, Role, Status, User
from accounts.services import authority
from labs.errors import Refusal
from labs.models import Instance, Policy, Verb
from labs.services.history import record
from labs.services.stopping import stop_all


@transaction.atomic
def request_access(*, user: User, instance: Instance, reason: str, now: datetime.datetime) -> Membership:
    """Ask to be let in; at once where the instance is open. Asking twice is the same as asking once.

    Raises Refusal where nobody can ask, or where the person was denied or suspended.
    """
    locked = Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)
    existing = Membership.objects.filter(user=user, instance=locked).first()
    if existing:
        if existing.status in (Status.REQUESTED, Status.APPROVED):
            return existing
        raise Refusal("Your access was decided by the owners. Please write to them.", code="decided")
    if locked.archived_at or locked.policy == Policy.CLOSED:
        raise Refusal(f"{locked} takes no requests.", code="closed")
    is_open = locked.policy == Policy.OPEN
    membership = Membership.objects.create(
        user=user,
        instance=locked,
        status=Status.APPROVED if is_open else Status.REQUESTED,
        reason=reason.strip()[:1000],
        requested_at=now,
        decided_at=now if is_open else None,
    )
    record(
        Verb.ACCESS_REQUESTED,
        user,
        actor=user,
        now=now,
        instance=locked,
        user=user,
        after={"status": membership.status},
        reason=membership.reason,
    )
    return membership


def approve(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Let the person in. False when that was decided already. Raises Refusal when the actor may not."""
    return _decide(
        membership, Status.APPROVED, (Status.REQUESTED, Status.DENIED), Verb.ACCESS_APPROVED, actor, now, note
    )


def deny(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Do not let the person in."""
    return _decide(membership, Status.DENIED, (Status.REQUESTED,), Verb.ACCESS_DENIED, actor, now, note)


def suspend(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Take the access away for now; what the person runs in the instance ends."""
    return _decide(membership, Status.SUSPENDED, (Status.APPROVED,), Verb.ACCESS_SUSPENDED, actor, now, note)


def reinstate(membership: Membership, *, actor: User, now: datetime.datetime, note: str = "") -> bool:
    """Give a suspended person the access back."""
    return _decide(membership, Status.APPROVED, (Status.SUSPENDED,), Verb.ACCESS_APPROVED, actor, now, note)


@transaction.atomic
def change_role(membership: Membership, role: Role, *, actor: User, now: datetime.datetime) -> bool:
    """Owners give roles, never to themselves; the last owner stays. Raises Refusal."""
    before = _as_it_stands(membership)
    if not authority.can_change_role(actor, before):
        raise Refusal("Only an owner gives roles, and nobody to themselves.", code="forbidden")
    if before.role == role:
        return False
    if before.role == Role.OWNER:
        _keep_one_owner(before)
    Membership.objects.filter(pk=membership.pk).update(role=role)
    membership.role = role
    record(
        Verb.ROLE_CHANGED, membership.user, actor=actor, now=now, instance=membership.instance, user=membership.user,
        before={"role": before.role}, after={"role": role},
    )  # fmt: skip
    return True


@transaction.atomic
def add(*, user: User, instance: Instance, role: Role, actor: User | None, now: datetime.datetime) -> Membership:
    """Put somebody in without a request. `actor` None is the site itself. Raises Refusal; an existing membership is kept."""
    if actor and not (
        authority.can_change_instance(actor, instance)
        or (role == Role.MEMBER and authority.can_decide_requests(actor, instance))
    ):
        raise Refusal("Only an owner adds people with this role.", code="forbidden")
    membership, created = Membership.objects.get_or_create(
        user=user,
        instance=instance,
        defaults={"role": role, "status": Status.APPROVED, "requested_at": now, "decided_at": now, "decided_by": actor},
    )
    if created:
        record(
            Verb.ACCESS_APPROVED,
            user,
            actor=actor,
            now=now,
            instance=instance,
            user=user,
            after={"status": Status.APPROVED, "role": role},
        )
    return membership


@transaction.atomic
def _decide(
    membership: Membership,
    to: Status,
    allowed: tuple[Status, ...],
    verb: Verb,
    actor: User,
    now: datetime.datetime,
    note: str,
) -> bool:
    before = _as_it_stands(membership)
    if not authority.can_decide_membership(actor, before):
        raise Refusal("This is for the owners of the instance to decide, and never for oneself.", code="forbidden")
    if to == Status.SUSPENDED and before.role == Role.OWNER:
        _keep_one_owner(before)
    changed = Membership.objects.filter(pk=membership.pk, status__in=allowed).update(
        status=to, decided_at=now, decided_by=actor, decision_note=note.strip()[:500]
    )
    if not changed:
        return False
    membership.refresh_from_db()
    record(
        verb, membership.user, actor=actor, now=now, instance=membership.instance, user=membership.user,
        before={"status": before.status}, after={"status": to}, reason=note,
    )  # fmt: skip
    if to == Status.SUSPENDED:
        stop_all(membership.instance, owner=membership.user, actor=actor, now=now, reason="access suspended")
    return True


def _as_it_stands(membership: Membership) -> Membership:
    """The row of now, with its instance locked: who may decide hangs on its role, which a page may have read long ago."""
    Instance.objects.select_for_update(no_key=True).get(pk=membership.instance_id)
    return Membership.objects.select_related("instance", "user").get(pk=membership.pk)


def _keep_one_owner(membership: Membership) -> None:
    others = Membership.objects.filter(
        instance=membership.instance_id, role=Role.OWNER, status=Status.APPROVED
    ).exclude(pk=membership.pk)
    if not others.exists():
        raise Refusal("An instance keeps at least one owner.", code="last-owner")
