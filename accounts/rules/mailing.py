"""Writing mails. Call it inside the transaction of the change that a mail tells of: both are kept, or neither."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

from django.db import transaction

from accounts.addresses import searched
from accounts.models import Mail, MailKind, User
from labs.models import Instance
from labs.rules import queue

#: The task that sends what is due.
TASK = "accounts.tasks.send_mails"


class NotNeeded(Exception):
    """The mail has nothing to say any more, and is not sent. Its message says why, in plain words."""


def write(
    kind: MailKind,
    recipient: str,
    *,
    key: str,
    now: datetime.datetime,
    user: User | None = None,
    instance: Instance | None = None,
    context: dict[str, Any] | None = None,
) -> bool:
    """Have one mail sent. False when one with this key was written before: nobody is told the same twice.

    `key`: what the mail is about, unique for ever. `context`: what the wording of its kind needs beside person and instance
    (`accounts.services.wording.KINDS` names it), never a secret: signed links are made when it is sent. A later `now` sends it
    later. Raises RuntimeError outside a transaction.
    """
    _need_transaction()
    made = draft(kind, recipient, key=key, now=now, user=user, instance=instance, context=context)
    fields = {field.attname: getattr(made, field.attname) for field in Mail._meta.concrete_fields}
    del fields["key"]
    _, created = Mail.objects.get_or_create(key=key, defaults=fields)
    if created:
        ring()
    return created


def write_many(drafts: Collection[Mail]) -> None:
    """Have many mails sent, each made by `draft`, in a few statements and with one task. Those written before stay as they are."""
    _need_transaction()
    Mail.objects.bulk_create(drafts, batch_size=500, ignore_conflicts=True)
    if drafts:
        ring()


def draft(
    kind: MailKind,
    recipient: str,
    *,
    key: str,
    now: datetime.datetime,
    user: User | None = None,
    instance: Instance | None = None,
    context: dict[str, Any] | None = None,
    by: User | None = None,
) -> Mail:
    """One mail, not yet written; as for `write`. `by`: who caused it, and gets the answers to it."""
    return Mail(
        kind=kind,
        recipient=searched(recipient),
        key=key,
        user=user,
        instance=instance,
        # The account and not its address, which may change, or go, before the mail is sent.
        context={**(context or {}), **({"by": by.pk} if by else {})},
        created_at=now,
        due_at=now,
    )


def ring() -> None:
    """Have what is due sent once the transaction has committed: one task, however many mails it writes."""
    waiting = transaction.get_connection().run_on_commit
    if not any(call is _ring for _, call, *_ in waiting):
        transaction.on_commit(_ring)


def _ring() -> None:
    queue.send(TASK)


def _need_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A mail is written in the transaction of the change that it tells of.")
