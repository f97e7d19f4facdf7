"""The first owner of an instance, by address: somebody who has proved it is in at once, everybody else is invited."""

from __future__ import annotations

import datetime

from django.db import transaction

from accounts.models import Role, RosterEntry, User
from accounts.rules import authority
from accounts.services.invitations import invite
from accounts.services.roster.admitting import bind_known, lock
from labs.errors import Refusal
from labs.models import Instance, Verb
from labs.rules.history import record


@transaction.atomic
def name_owner(instance: Instance, email: str, *, actor: User, now: datetime.datetime) -> bool:
    """Put the address on the roster as an owner's. True: whoever has proved it is an owner now; False: an invitation is on its way.

    An account that only claims the address gets nothing. Raises Refusal for anybody who may not name owners.
    """
    locked = lock(instance.pk)
    if not authority.can_give_roles(actor, locked):
        raise Refusal("Only owners and site administrators can add owners.", code="forbidden")
    entry, _ = RosterEntry.objects.update_or_create(
        instance=locked, email=email.strip().lower(), defaults={"role": Role.OWNER}
    )
    record(Verb.ROSTER_CHANGED, entry.email, actor=actor, now=now, instance=locked, after={"role": Role.OWNER})
    if bind_known(locked, [entry], actor=actor, now=now).bound:
        return True
    invite(instance=locked, actor=actor, now=now, entries=[entry.pk])
    return False
