"""Telling the owner of a lab in time that it ends: by mail, and on its page."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.models import Mail, MailKind
from accounts.rules import mailing
from labs.models import State, Workload
from labs.models.bulk import update_each

from . import telling

_DAY, _HOUR, _TEN_MINUTES = datetime.timedelta(days=1), datetime.timedelta(hours=1), datetime.timedelta(minutes=10)
#: So long before the end a mail is sent, for lifetimes of more than `over` and at most `upto` minutes. Who has a lab for days gets two
#: mails, others one, and who has it for less than half an hour none.
_MAILS: tuple[tuple[int, int | None, datetime.timedelta], ...] = (
    (2 * 1440, None, _DAY),
    (3 * 60, None, _HOUR),
    (29, 3 * 60, _TEN_MINUTES),
)
#: Mails that one sweep writes; the next, a minute later, goes on.
MOST = 1000


def moments(lifetime_minutes: int) -> list[datetime.timedelta]:
    """How long before its end the owner of a lab with this lifetime is told by mail, the earliest first."""
    return [
        lead for over, upto, lead in _MAILS if over < lifetime_minutes and (upto is None or lifetime_minutes <= upto)
    ]


def ends_soon(lab: Workload, now: datetime.datetime) -> bool:
    """Whether its page says so: in the last hour, and less of a short one."""
    left = lab.time_left(now)
    return left is not None and left <= min(moments(lab.lifetime_minutes), default=_TEN_MINUTES / 2)


@transaction.atomic
def tell(now: datetime.datetime) -> int:
    """Write the mails that are due: three statements, however many. Part of the minute sweep. Returns how many.

    The key of a mail names the end and the moment, so that none is told twice; an extended lab has another end.
    """
    rows = {row.pk: row for row in _due(now).select_related("owner", "instance").order_by("expires_at", "pk")[:MOST]}
    as_read = {pk: {"expires_at": row.expires_at} for pk, row in rows.items()}
    told = update_each(
        Workload, {pk: {"warned_at": now} for pk in rows}, as_read=as_read, only={"state": (State.RUNNING,)}
    )
    mailing.write_many([_mail(rows[pk], now) for pk in rows if pk in told and rows[pk].owner.is_active])
    return len(told)


def _due(now: datetime.datetime) -> QuerySet[Workload]:
    found = Q()
    for over, upto, lead in _MAILS:
        is_new = Q(warned_at=None) | Q(warned_at__lt=F("expires_at") - lead)
        of_this_length = Q(lifetime_minutes__gt=over, **({"lifetime_minutes__lte": upto} if upto else {}))
        found |= of_this_length & is_new & Q(expires_at__lte=now + lead)
    return Workload.objects.filter(found, state=State.RUNNING, expires_at__gt=now)


def _mail(row: Workload, now: datetime.datetime) -> Mail:
    assert row.expires_at is not None  # noqa: S101  # of what runs; a constraint of the data base
    end, left = row.expires_at.isoformat(), row.expires_at - now
    lead = min(lead for lead in moments(row.lifetime_minutes) if left <= lead)
    return telling.draft(MailKind.LAB_ENDING, row, f"{end}:{lead}", now=now, expires_at=end)
