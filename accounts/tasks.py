"""What the queue runs for people. Services called; every task may run twice or at the same time."""

from .services import delivery


def send_mails() -> int:
    """Send the mails that are due. Called when one is written, and once a minute for those that wait or were lost."""
    return delivery.deliver_due()
