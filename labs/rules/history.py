"""One line of the history. Call it inside the transaction of the change."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction

from accounts.models import User
from labs.models import Event, Instance, Verb, Workload
from labs.models.event import SITE_ACTOR


def record(verb: Verb, subject: object, **told: Any) -> Event:
    """Write one Event, as `line` makes it. Raises RuntimeError outside a transaction: row and Event go together."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("An Event is written in the transaction of the change that it tells of.")
    event = line(verb, subject, **told)
    event.save(force_insert=True)
    return event


def line(
    verb: Verb,
    subject: object,
    *,
    actor: User | None,
    now: datetime.datetime,
    instance: Instance | None = None,
    user: User | None = None,
    workload: Workload | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> Event:
    """One Event, not yet written; `actor` None is the site itself."""
    return Event(
        at=now,
        actor=actor,
        actor_name=actor.email if actor else SITE_ACTOR,
        verb=verb,
        subject=str(subject)[:300],
        instance=instance,
        user=user,
        workload_id=workload.pk if workload else None,
        before=before or {},
        after=after or {},
        reason=reason[:500],
    )
