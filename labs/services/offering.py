"""Which services an instance offers."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.db import transaction

from accounts.models import User
from accounts.rules import authority
from labs.errors import Refusal
from labs.models import Instance, ServiceTemplate, Verb
from labs.rules.history import record

from .instances import touch


@transaction.atomic
def offer(instance: Instance, services: Iterable[ServiceTemplate], *, actor: User, now: datetime.datetime) -> bool:
    """Offer exactly these, and have the clusters learn of it. What runs of a service no longer offered runs on.

    False: nothing changed. Raises Refusal.
    """
    if not authority.can_change_instance(actor, instance):
        raise Refusal("You do not have permission to change this instance.", code="forbidden")
    before = sorted(map(str, instance.services.all()))
    wanted = list(services)
    after = sorted(map(str, wanted))
    if before == after:
        return False
    instance.services.set(wanted)
    touch(instance.pk)
    record(
        Verb.INSTANCE_CHANGED, instance, actor=actor, now=now, instance=instance,
        before={"services": before}, after={"services": after},
    )  # fmt: skip
    return True
