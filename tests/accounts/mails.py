"""Mails for tests, and a clock that is set forward by hand."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from accounts.models import Mail, MailKind, MailState
from accounts.rules import mailing
from accounts.services import delivery
from labs.models import Instance
from tests.factories import InstanceFactory, UserFactory


class Clock:
    """What time it is for the deliverer."""

    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self) -> datetime.datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += datetime.timedelta(**span)


def waiting(kind: MailKind = MailKind.ACCESS_APPROVED, instance: Instance | None = None, **fields: Any) -> Mail:
    """A mail that was just written."""
    user = fields.pop("user", None) or UserFactory()
    address = fields.pop("recipient", user.email)
    key = uuid4().hex
    with transaction.atomic():
        mailing.write(
            kind, address, key=key, now=timezone.now(), user=user, instance=instance or InstanceFactory(), **fields
        )
    return Mail.objects.get(key=key)


def run_until_settled(clock: Clock, most: int = 60) -> int:
    """Deliver as the minutes and hours go by, until nothing waits; how many rounds it took."""
    for number in range(1, most + 1):
        delivery.deliver_due(clock=clock)
        next_one = Mail.objects.filter(state=MailState.WAITING).order_by("due_at").first()
        if next_one is None:
            return number
        clock.now = max(clock.now, next_one.due_at) + datetime.timedelta(seconds=1)
    raise AssertionError([(mail.state, mail.problem, mail.attempts) for mail in Mail.objects.all()])
