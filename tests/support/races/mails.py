"""Workers that send the same forty mails."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from accounts.models import MailKind, User
from accounts.rules import mailing
from accounts.services.delivery import deliver_due
from labs.models import Instance
from labs.rules import queue

COUNT = 40


def world() -> Callable[[], None]:
    """Forty mails that wait."""

    def make() -> None:
        instance = Instance.objects.create(slug="race", title="Race")
        with transaction.atomic():
            for number in range(COUNT):
                user = User.objects.create_user(f"person{number}@example.org")
                mailing.write(
                    MailKind.ACCESS_APPROVED, user.email, key=f"race:{number}", now=timezone.now(), user=user,
                    instance=instance,
                )  # fmt: skip

    return make


def deliver() -> Callable[[], int]:
    """Send what is due, as often as there could be something; how many were sent."""
    return lambda: sum(deliver_due() for _ in range(COUNT // 2))


def ask() -> Callable[[], None]:
    """Have a worker send what is due, without waiting for the schedule."""
    return lambda: queue.send(mailing.TASK)
