"""Deleting an account: what runs ends first; then nothing is left of the person but lines of the history.

The row itself stays, without a name, because what was run hangs on it. Begun by the person, ended here or by the minute sweep.
"""

from __future__ import annotations

import datetime
from importlib import import_module
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import transaction

from accounts.models import Mail, Membership, Role, Status, User
from accounts.rules import identity, rates
from accounts.services import outbox
from accounts.services.roster.leaving import set_free
from labs.errors import Refusal
from labs.models import EndReason, Instance, Quota, Verb, Workload
from labs.models.workload import STOPPABLE_STATES
from labs.rules.history import record
from labs.services.stopping import end_many

WHY = "account deleted"
#: What is a person's own, and goes with them.
OWN: tuple[type[Any], ...] = (SocialAccount, EmailAddress, Authenticator, Membership, Quota, Mail)


def owned_alone(user: User) -> list[Instance]:
    """Instances, archived ones aside, that would be left without an owner."""
    owners = Membership.objects.filter(role=Role.OWNER, status=Status.APPROVED, user__is_active=True)
    others = owners.exclude(user=user)
    mine = Membership.objects.filter(user=user, role=Role.OWNER, status=Status.APPROVED)
    found = Instance.objects.filter(archived_at=None, pk__in=mine.values("instance"))
    return list(found.exclude(pk__in=others.values("instance")))


def check(user: User) -> None:
    """Raises Refusal, with a sentence, when others depend on this account."""
    if alone := owned_alone(user):
        names = ", ".join(str(instance) for instance in alone)
        raise Refusal(f"You are the only owner of {names}. First make someone else an owner.", code="last-owner")
    administrators = User.objects.filter(is_superuser=True, is_active=True)
    if user.is_superuser and not administrators.exclude(pk=user.pk).exists():
        raise Refusal(
            "You are the only site administrator. First make someone else an administrator.", code="last-administrator"
        )


@transaction.atomic
def delete_account(user: User, *, now: datetime.datetime) -> bool:
    """Close the account at once and end what runs. True: nothing ran, and all is done; else the sweep does the rest.

    Raises Refusal when others depend on it.
    """
    # Nobody launches, and no other owner leaves, meanwhile.
    theirs = Membership.objects.filter(user=user).values("instance")
    list(Instance.objects.select_for_update(no_key=True).filter(pk__in=theirs).order_by("pk"))
    check(user)
    User.objects.filter(pk=user.pk).update(is_active=False, is_superuser=False, closing_at=now)
    user.refresh_from_db()
    sign_out_everywhere(user)
    return finish(user, now=now)


def sign_out_everywhere(user: User) -> None:
    """End every session of the person, this one included."""
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    for session in UserSession.objects.filter(user=user):
        store.delete(session.session_key)
        session.delete()


@transaction.atomic
def finish(user: User, *, now: datetime.datetime) -> bool:
    """End what still runs, and forget the person when nothing does. May run twice. False: something still ends."""
    if not User.objects.select_for_update(no_key=True).filter(pk=user.pk, closing_at__isnull=False).exists():
        return True
    stop_all_of(user, EndReason.USER, now=now, actor=user, reason=WHY)
    if Workload.objects.filter(owner=user).live().exists():
        return False
    _forget(user, now)
    return True


def stop_all_of(
    user: User, end_reason: EndReason, *, now: datetime.datetime, actor: User, reason: str, note: str = ""
) -> None:  # fmt: skip
    """End what the person runs, wherever that is. `note`: for the mail to them."""
    rows = Workload.objects.filter(owner=user, state__in=STOPPABLE_STATES).select_related("instance", "owner")
    end_many(rows, end_reason, now=now, actor=actor, reason=reason, note=note)


def _forget(user: User, now: datetime.datetime) -> None:
    for membership in Membership.objects.filter(user=user).select_related("instance"):
        record(
            Verb.ACCOUNT_DELETED, user.email, actor=user, now=now, instance=membership.instance, user=user, reason=WHY
        )
    record(Verb.ACCOUNT_DELETED, user.email, actor=user, now=now, user=user)
    addresses = {user.email, *identity.verified_addresses(user)}
    set_free(user, now=now)
    rates.leave_behind(user, now=now)
    for model in OWN:
        model.objects.filter(user=user).delete()
    outbox.forget_addresses(addresses)
    sign_out_everywhere(user)
    user.email = f"deleted-{user.pk}@deleted.invalid"
    user.name = user.affiliation = ""
    user.closing_at = None
    user.set_unusable_password()
    user.save()


def finish_all(now: datetime.datetime) -> int:
    """What was interrupted, or waited for something to end; part of the minute sweep. Returns how many are done."""
    return sum(finish(user, now=now) for user in User.objects.filter(closing_at__isnull=False))
