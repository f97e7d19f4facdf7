"""Handing one mail over, and what came of it. The one module that knows what mail servers and services answer."""

from __future__ import annotations

import contextlib
import datetime
import enum
import smtplib
import uuid
from dataclasses import dataclass
from email.utils import parseaddr
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import requests
from anymail.backends.mailgun import EmailBackend as Mailgun
from anymail.exceptions import AnymailAPIError, AnymailInvalidAddress, AnymailRecipientsRefused
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from accounts.backends import NoMailServer
from accounts.models import Mail, MailKind
from accounts.services.wording import Rendered

#: Answers of a mail service that are about this one mail: trying it again would change nothing.
ABOUT_THE_MAIL = (400, 413, 422)
#: Answers by which a mail service surely has not taken the mail. Any other from 500 on leaves it open: Mailgun has been seen to
#: answer with one and to send all the same.
SURELY_NOT = (401, 402, 403, 404, 429, 503)
#: For how long before a try Mailgun is asked what it has accepted.
KEPT = datetime.timedelta(days=2)
#: What is told of a service that does not let the site in.
NO_ENTRY = "The mail service rejected the site's credentials. The site administrators need to check the mail settings."


class Verdict(enum.Enum):
    ACCEPTED = enum.auto()
    #: For good: it is about this mail or its address.
    REFUSED = enum.auto()
    LATER = enum.auto()


class Seen(enum.Enum):
    """Whether a mail whose fate is open has reached the server."""

    YES = enum.auto()
    NOT_YET = enum.auto()
    #: The service does not answer.
    UNKNOWN = enum.auto()
    #: There is nobody to ask: SMTP.
    NEVER_KNOWN = enum.auto()


@dataclass(frozen=True)
class Answer:
    verdict: Verdict
    #: In plain words, with the server's own.
    problem: str = ""
    #: False: the server may have the mail all the same.
    is_certain: bool = True
    #: It is about the server and not about this mail: others would fare no better now.
    is_general: bool = False
    #: How long the server asks to be left alone.
    pause: datetime.timedelta = datetime.timedelta(0)


def new_message_id() -> str:
    """A Message-ID of this site's, never given before."""
    return f"<{uuid.uuid4().hex}@{_domain()}>"


def build(mail: Mail, rendered: Rendered) -> EmailMultiAlternatives:
    """The message, with the Message-ID that the row gives. Nothing that a person wrote stands in a header unquoted."""
    is_letter = mail.kind == MailKind.LETTER
    headers = {"Message-ID": mail.message_id, "X-Auto-Response-Suppress": "OOF, AutoReply"}
    if not is_letter:
        headers["Auto-Submitted"] = "auto-generated"
    message = EmailMultiAlternatives(
        subject=rendered.subject,
        body=rendered.text,
        from_email=_sender(mail, rendered),
        to=[mail.recipient],
        reply_to=[_named(rendered.sender, rendered.reply_to)] if rendered.reply_to else None,
        headers=headers,
    )
    message.attach_alternative(rendered.html, "text/html")
    # Comes back with what the service tells of the mail later.
    message.metadata = {"mail": str(mail.pk), "message": mail.message_id.strip("<>")}  # type: ignore[attr-defined]
    return message


def _sender(mail: Mail, rendered: Rendered) -> str:
    """The site's own address, under the name of who speaks."""
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    if rendered.sender and mail.instance:
        name = f"{rendered.sender} ({mail.instance})"
    elif mail.instance:
        name = str(mail.instance)
    return _named(" ".join((name or settings.SITE_TITLE).split())[:120], address)


def _named(name: str, address: str) -> str:
    kept = "".join("'" if c == '"' else c for c in name if c.isprintable() and c != "\\").strip()
    return f'"{kept}" <{address}>' if kept else address


def _domain() -> str:
    return (
        parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or urlsplit(settings.SITE_URL).hostname or "site"
    )


class Post:
    """One connection to the mail server, kept over many mails."""

    def __init__(self) -> None:
        self._connection: Any = get_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            self._connection.close()

    def hand_over(self, message: EmailMultiAlternatives) -> Answer:
        """Give it to the server, and say what came of it; never raises for what a server can do."""
        try:
            self._connection.open()
        except (OSError, smtplib.SMTPException) as error:
            return Answer(Verdict.LATER, _cannot_connect(error), is_general=True)
        try:
            taken = self._connection.send_messages([message])
        except Exception as error:
            self._close()
            return _explain(error)
        return (
            Answer(Verdict.ACCEPTED) if taken else Answer(Verdict.LATER, "The mail server did not accept the e-mail.")
        )

    def has_seen(self, mail: Mail) -> Seen:
        """Whether an earlier try, whose outcome is not known, has reached the mail service after all."""
        if not isinstance(self._connection, Mailgun):
            return Seen.NEVER_KNOWN
        try:
            self._connection.open()
            events = self._accepted(self._connection, mail)
        except (requests.RequestException, ValueError, LookupError, TypeError, AttributeError):
            self._close()
            return Seen.UNKNOWN
        mark = mail.message_id.strip("<>")
        return Seen.YES if any(mark in _marks(event) for event in events) else Seen.NOT_YET

    def _accepted(self, mailgun: Mailgun, mail: Mail) -> list[dict[str, Any]]:
        """What Mailgun has accepted for the address since the mail was written; it keeps no more than three days."""
        local, _, domain = mail.recipient.rpartition("@")
        begin = max(mail.created_at, (mail.offered_at or mail.created_at) - KEPT)
        response = mailgun.session.get(
            urljoin(mailgun.api_url, f"{quote(mailgun.sender_domain or _domain(), safe='')}/events"),
            params={
                "event": "accepted",
                "recipient": f"{local}@{mailgun.idna_encode(domain)}",
                "begin": str(int(begin.timestamp()) - 60),
                "ascending": "yes",
                "limit": "300",
            },
            auth=("api", mailgun.api_key),
            timeout=mailgun.timeout,
        )
        response.raise_for_status()
        items: list[dict[str, Any]] = response.json()["items"]
        return items


def _marks(event: dict[str, Any]) -> tuple[str, ...]:
    """By which an event of Mailgun's names our mail."""
    headers = event.get("message", {}).get("headers", {})
    return str(headers.get("message-id", "")).strip("<>"), str(event.get("user-variables", {}).get("message", ""))


# What servers answer ---------------------------------------------------------------------------------------------------


def _explain(error: Exception) -> Answer:
    if isinstance(error, AnymailRecipientsRefused):
        return Answer(Verdict.REFUSED, "The mail service rejected the address.")
    if isinstance(error, AnymailInvalidAddress):
        return Answer(Verdict.REFUSED, "E-mail cannot be sent to this address.")
    if isinstance(error, AnymailAPIError):
        return _by_service(error)
    if isinstance(error, smtplib.SMTPException):
        return _by_smtp(error)
    if isinstance(error, OSError):
        return Answer(Verdict.LATER, "The mail server stopped responding.", is_certain=False, is_general=True)
    if isinstance(error, ValueError):
        return Answer(Verdict.REFUSED, f"This e-mail could not be created: {_short(str(error))}")
    raise error


def _by_service(error: AnymailAPIError) -> Answer:
    status = error.status_code
    if status is None:
        # Refused, or never reached: then surely not taken. After that, nobody knows.
        cause = error.__cause__
        never = isinstance(cause, requests.ConnectTimeout) or "NewConnectionError" in repr(cause)
        if never:
            return Answer(Verdict.LATER, "The mail service cannot be reached.", is_general=True)
        return Answer(Verdict.LATER, "The mail service stopped responding.", is_certain=False, is_general=True)
    said = _said(error.response)
    if status in ABOUT_THE_MAIL:
        return Answer(Verdict.REFUSED, f"The mail service rejected it: {said}")
    if status == 429:
        return Answer(
            Verdict.LATER, "The mail service asked the site to wait.", is_general=True, pause=_pause(error.response)
        )
    if status in SURELY_NOT and status < 500:
        return Answer(Verdict.LATER, f"{NO_ENTRY} It said: {said}", is_general=True)
    return Answer(
        Verdict.LATER, f"The mail service is not working ({status}).", is_certain=status in SURELY_NOT, is_general=True,
        pause=_pause(error.response),
    )  # fmt: skip


def _by_smtp(error: smtplib.SMTPException) -> Answer:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()), (550, b""))
        text = f"The mail server rejected the address: {code} {_text(said)}"
        return Answer(Verdict.REFUSED if code >= 500 else Verdict.LATER, _short(text))
    if isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPAuthenticationError | smtplib.SMTPNotSupportedError):
        return Answer(Verdict.LATER, NO_ENTRY, is_general=True)
    if isinstance(error, smtplib.SMTPDataError):
        text = f"The mail server rejected it: {error.smtp_code} {_text(error.smtp_error)}"
        return Answer(Verdict.REFUSED if error.smtp_code >= 500 else Verdict.LATER, _short(text))
    if isinstance(error, smtplib.SMTPResponseException):
        return Answer(Verdict.LATER, _short(f"The mail server replied {error.smtp_code}."), is_general=True)
    return Answer(Verdict.LATER, "The mail server stopped responding.", is_certain=False, is_general=True)


def _cannot_connect(error: Exception) -> str:
    if isinstance(error, NoMailServer):
        return "This site has no mail server."
    if isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPNotSupportedError):
        return NO_ENTRY
    return "The mail server cannot be reached."


def _said(response: Any) -> str:
    """A service's own words, as far as they are some."""
    try:
        said = response.json()["message"]
    except (ValueError, LookupError, TypeError, AttributeError):
        return "nothing more."
    return _short(str(said))


def _pause(response: Any) -> datetime.timedelta:
    wanted = str(getattr(response, "headers", {}).get("Retry-After", ""))
    return datetime.timedelta(seconds=min(int(wanted), 3600) if wanted.isdecimal() else 0)


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _short(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:300].strip()
