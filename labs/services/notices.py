"""Mails to people whose labs somebody else has ended."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from accounts.models import Mail, MailKind, User
from accounts.rules import mailing
from labs.models import EndReason, Workload

#: Ends that the owner has not asked for. Of an expired or failed lab its own page tells.
BY_OTHERS = (EndReason.STAFF, EndReason.INSTANCE_OVER)
#: Labs that one mail names; of more it tells the number.
NAMED = 20


def tell_owners(
    workloads: Iterable[Workload], end_reason: EndReason, *, actor: User | None, now: datetime.datetime, note: str
) -> int:
    """Write one mail to each owner and instance, about all of these that are theirs. Returns how many mails.

    `note`: what the actor says to them. Inside the transaction that ends them. None to the actor, nor about ends that the owner asked for.
    """
    if end_reason not in BY_OTHERS:
        return 0
    theirs: dict[tuple[Any, Any], list[Workload]] = defaultdict(list)
    for row in workloads:
        if actor is None or row.owner_id != actor.pk:
            theirs[row.owner_id, row.instance_id].append(row)
    mailing.write_many([_mail(rows, _why(rows[0], end_reason, actor), actor, now, note) for rows in theirs.values()])
    return len(theirs)


def _mail(rows: list[Workload], why: str, actor: User | None, now: datetime.datetime, note: str) -> Mail:
    """A lab ends once, so its key makes the mail's."""
    first = min(rows, key=lambda row: row.pk)
    names = sorted(row.name for row in rows)
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    context = {"labs": "\n".join([*names[:NAMED], *more]), "why": why, "note": note}
    return mailing.draft(
        MailKind.LABS_STOPPED, first.owner.email, key=f"{MailKind.LABS_STOPPED}:{first.pk}", now=now, user=first.owner,
        instance=first.instance, context=context, by=actor,
    )  # fmt: skip


def _why(row: Workload, end_reason: EndReason, actor: User | None) -> str:
    """A sentence."""
    instance = row.instance
    if end_reason == EndReason.STAFF:
        return f"{actor or 'The staff'} stopped labs in {instance}."
    if instance.ends_on and actor is None:
        return f"The last day of {instance} was {instance.ends_on:%-d %B %Y}."
    return f"{actor} ended {instance}." if actor else f"{instance} has ended."
