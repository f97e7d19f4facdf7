"""What the queue runs for people. Services called; every task may run twice or at the same time."""

from django.utils import timezone

from .services import delivery
from .services.roster import uploads


def send_mails() -> int:
    """Send the mails that are due. Called when one is written, and once a minute for those that wait or were lost."""
    return delivery.deliver_due()


def read_roster(pk: str) -> bool:
    """Read or write a list of people that is too large for a page to wait for."""
    return uploads.work_off(pk, now=timezone.now())
