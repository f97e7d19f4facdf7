"""Changing limits, with their Events."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction

from accounts.models import RosterEntry, User
from accounts.rules import authority
from k8s.resources import KEYS
from labs.errors import Refusal
from labs.models import Instance, Quota, Scope, Verb
from labs.rules.history import record

#: With what a new instance begins: modest numbers that an administrator raises. Cores in thousandths, memory in MiB, minutes.
FIRST: dict[Scope, dict[str, int]] = {
    Scope.INSTANCE: {"cpu_millis": 32_000, "memory_mib": 64 * 1024, "gpus": 0, "running": 40},
    Scope.MEMBER: {"cpu_millis": 2_000, "memory_mib": 4 * 1024, "gpus": 0, "running": 2, "lifetime_minutes": 24 * 60},
}


@transaction.atomic
def set_first_limits(instance: Instance, *, actor: User, now: datetime.datetime) -> None:
    """Limits for a new instance and for each of its members; those that are there already are kept. Raises Refusal."""
    known = set(Quota.objects.filter(instance=instance).values_list("scope", flat=True))
    for scope, values in FIRST.items():
        if scope not in known:
            set_limits(Quota(instance=instance, scope=scope, **values), actor=actor, now=now)


@transaction.atomic
def set_limits(quota: Quota, *, actor: User, now: datetime.datetime) -> Quota:
    """Write a new or changed row. Shrinking a limit ends nothing that runs. Raises Refusal and ValidationError."""
    # Not in the model's order: that joins the person, and PostgreSQL locks no row that may be missing.
    old = Quota.objects.select_for_update(no_key=True).order_by("pk").filter(pk=quota.pk).first() if quota.pk else None
    for row in filter(None, (old, quota)):
        _authorise(row, actor)
    quota.full_clean()
    quota.save()
    _write_back(quota, _values(quota))
    if old is None or _values(old) != _values(quota):
        record(
            Verb.LIMITS_CHANGED, quota, actor=actor, now=now, instance=quota.instance, user=quota.user,
            before=_values(old) if old else {}, after=_values(quota),
        )  # fmt: skip
    return quota


@transaction.atomic
def remove_limits(quota: Quota, *, actor: User, now: datetime.datetime) -> None:
    """Remove a row: of a person (the members' default counts again) or of all. Raises Refusal."""
    _authorise(quota, actor)
    record(
        Verb.LIMITS_CHANGED,
        quota,
        actor=actor,
        now=now,
        instance=quota.instance,
        user=quota.user,
        before=_values(quota),
        reason="removed",
    )
    _write_back(quota, {})
    quota.delete()


def drop_personal_limits(instance: Instance, user: User, *, actor: User | None, now: datetime.datetime) -> bool:
    """Of a person who goes; the caller has asked whether they may be sent, and has a transaction."""
    row = Quota.objects.filter(instance=instance, user=user, scope=Scope.PERSON).first()
    if row is None:
        return False
    record(
        Verb.LIMITS_CHANGED, row, actor=actor, now=now, instance=instance, user=user,
        before=_values(row), reason="no longer a member",
    )  # fmt: skip
    row.delete()
    return True


def _write_back(quota: Quota, values: dict[str, Any]) -> None:
    """The roster's entry of the person holds the same, or the next list would bring back what stood there before."""
    if quota.scope == Scope.PERSON and quota.user_id:
        limits = {name: value for name, value in values.items() if value is not None}
        RosterEntry.objects.filter(instance=quota.instance, user=quota.user_id).update(limits=limits)


def _authorise(quota: Quota, actor: User) -> None:
    if authority.can_change_quota(actor, quota):
        return
    if quota.scope == Scope.INSTANCE:
        raise Refusal("Only site administrators can set the limits of the whole instance.", code="forbidden")
    if authority.can_change_limits(actor, quota.instance):
        raise Refusal("You cannot set your own limits. Ask another owner or a site administrator.", code="forbidden")
    raise Refusal("Only owners can set limits.", code="forbidden")


def _values(quota: Quota) -> dict[str, Any]:
    return {name: getattr(quota, name) for name in KEYS}
