"""What the mail service tells of mails that it has taken: that one arrived, came back, or was not wanted."""

from __future__ import annotations

import datetime
import logging
from typing import Any
from uuid import UUID

from anymail.signals import AnymailTrackingEvent, EventType
from django.db import transaction

from accounts.addresses import searched
from accounts.models import Mail, MailNotice, MailState
from labs.errors import Refusal
from labs.models import Verb
from labs.rules.history import record

log = logging.getLogger(__name__)
#: Mailgun repeats a notice for eight hours. An older one is somebody else's copy.
OLDEST = datetime.timedelta(hours=9)
#: Clocks differ.
AHEAD = datetime.timedelta(minutes=10)
#: For how long a notice is known again: longer than it could be told once more.
KEPT = datetime.timedelta(days=2)
ARRIVED = (EventType.DELIVERED, EventType.QUEUED, EventType.DEFERRED)
CAME_BACK = {
    EventType.BOUNCED: "The address does not accept e-mail",
    EventType.REJECTED: "The mail service did not send it",
    EventType.COMPLAINED: "The person marked it as spam",
}


@transaction.atomic
def take(event: AnymailTrackingEvent, *, signed_at: datetime.datetime, now: datetime.datetime) -> bool:
    """Write down what a notice with a good signature tells. False: nothing of ours, or nothing new.

    Raises Refusal for one that is too old or was taken before: the signature is over its time and token only, and a copy of it could
    be sent with another content.
    """
    if not now - OLDEST <= signed_at <= now + AHEAD:
        raise Refusal("This notice is too old or from the future.", code="old")
    MailNotice.objects.filter(at__lt=now - KEPT).delete()
    token = str(event.event_id or "")[:100]
    if not token or not MailNotice.objects.get_or_create(token=token, defaults={"at": now})[1]:
        raise Refusal("This notice has already been processed.", code="replayed")
    mail = _find(event)
    if mail is None:
        return False
    if event.event_type in ARRIVED:
        open_ = Mail.objects.filter(pk=mail.pk, state=MailState.WAITING, offered_at__isnull=False)
        return bool(open_.update(state=MailState.SENT, sent_at=now, problem="", claim=None, claimed_until=None))
    if event.event_type in CAME_BACK:
        return _came_back(mail, event, now)
    return False


def _came_back(mail: Mail, event: AnymailTrackingEvent, now: datetime.datetime) -> bool:
    said = " ".join(filter(None, (_words(event.mta_response), _words(event.description))))
    problem = CAME_BACK[event.event_type] + (f": {said}" if said else ".")
    there = Mail.objects.filter(pk=mail.pk).exclude(state=MailState.BOUNCED)
    sent = {"sent_at": mail.sent_at or now, "bounced_at": now, "claim": None, "claimed_until": None}
    if not there.update(state=MailState.BOUNCED, problem=problem[:500], **sent):
        return False
    record(
        Verb.MAIL_BOUNCED, mail.recipient, actor=None, now=now, instance=mail.instance, user=mail.user,
        before={"mail": mail.get_state_display()}, after={"mail": MailState.BOUNCED.label}, reason=problem,
    )  # fmt: skip
    return True


def _find(event: AnymailTrackingEvent) -> Mail | None:
    """Our mail, by its Message-ID or by what was sent along with it, and only if it went to that address."""
    marks = event.metadata if isinstance(event.metadata, dict) else {}
    message = f"<{marks['message']}>" if isinstance(marks.get("message"), str) else _text(event.message_id)
    mails = Mail.objects.select_related("user", "instance")
    found = mails.filter(message_id=message).first() if message and "\0" not in message else None
    if found is None or (isinstance(marks.get("mail"), str) and _uuid(marks["mail"]) != found.pk):
        return None
    recipient = searched(_text(event.recipient))
    return found if not recipient or recipient == found.recipient else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _words(value: Any) -> str:
    """A server's words on one line."""
    return "".join(c if c.isprintable() else " " for c in _text(value))[:300].strip()


def signed_at(event: AnymailTrackingEvent) -> datetime.datetime:
    """When the service signed the notice. Raises LookupError, TypeError or ValueError when it does not say."""
    return datetime.datetime.fromtimestamp(int(event.esp_event["signature"]["timestamp"]), tz=datetime.UTC)
