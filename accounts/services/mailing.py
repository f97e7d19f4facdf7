"""Writing mails. Call it inside the transaction of the change that a mail tells of: both are kept, or neither."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction

from accounts.models import Mail, MailKind, User
from labs.models import Instance


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

    `key`: what the mail is about, unique for ever. `context`: what the template of its kind needs beside person and instance,
    never a secret: signed links are made when it is sent. Raises RuntimeError outside a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A mail is written in the transaction of the change that it tells of.")
    _, created = Mail.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "recipient": recipient,
            "user": user,
            "instance": instance,
            "context": context or {},
            "created_at": now,
            "due_at": now,
        },
    )
    return created
