"""What is kept of mails when they have gone: for a while, that owners see what became of them, and no longer."""

from __future__ import annotations

import datetime
from collections.abc import Collection

from django.conf import settings
from django.db.models import Q

from accounts.models import Mail, MailState
from accounts.models.mail import BACK_COUNTS, OVER

#: Rows that one call deletes; the next sweep, a minute later, goes on.
MOST = 1000


def forget_old(now: datetime.datetime) -> int:
    """Delete mails that were sent or given up MAIL_KEEP_DAYS ago or earlier; part of the minute sweep. Returns how many.

    `due_at` is near the last try, so that one which was tried again by hand is as old as that. Those that came back stay for as long
    as they keep further mail from their addresses.
    """
    speaks_no_more = Q(state=MailState.BOUNCED, bounced_at__lt=now - BACK_COUNTS)
    over = Mail.objects.filter(Q(state__in=OVER) | speaks_no_more)
    old = over.filter(due_at__lt=now - datetime.timedelta(days=settings.MAIL_KEEP_DAYS))
    keys = list(old.order_by("due_at").values_list("pk", flat=True)[:MOST])
    # Asked once more: an owner may have had one of them sent again since.
    return old.filter(pk__in=keys).delete()[0] if keys else 0


def forget_addresses(addresses: Collection[str]) -> int:
    """Take these addresses out of mails on which nothing is to be done any more, with what was said of them. Returns how many."""
    gone = Mail.objects.filter(recipient__in={address.lower() for address in addresses if address})
    return gone.exclude(state=MailState.WAITING).update(recipient="", context={}, problem="")
