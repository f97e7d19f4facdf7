"""Sending what is due: each mail by one worker, tried again with growing pauses, and never twice as far as that can be known.

A row is marked as offered before the server gets the mail, and as sent after its yes. Whoever is killed between the two leaves it
open whether the server has the mail. Mailgun is asked before it is tried again. An SMTP server cannot be asked: there the mail is sent
once more, with the same Message-ID, because two copies do less harm than none.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import Mail, MailState, User
from accounts.models.mail import BULK_KINDS, RETRIABLE
from accounts.rules import authority, mailing
from accounts.services import wording
from accounts.services.postman import Answer, Post, Seen, Verdict, build, new_message_id
from labs.errors import Refusal
from labs.models import Verb
from labs.models.reconciled import unclaimed
from labs.rules import queue
from labs.rules.history import record
from labs.services.claims import Claim

log = logging.getLogger(__name__)
Clock = Callable[[], datetime.datetime]
#: Mails that one task takes at once, and seconds after which it begins no other: well within the queue's time-out of a task.
MOST = 50
SECONDS = 20.0
#: After each failed try. With the first, eight tries over a day.
PAUSES = [datetime.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720)]
#: When nothing is known of a mail that was handed over: long enough for the worker that may still be at it.
LOOK_AGAIN = datetime.timedelta(minutes=2)
#: Mailgun's list of events is complete after half an hour; until then, what is not in it may still come.
COMPLETE = datetime.timedelta(minutes=30)
#: Mailgun keeps what it has accepted for three days. After two without an answer the question is given up.
ASKED_FOR = datetime.timedelta(days=2)


def deliver_due(*, clock: Clock = timezone.now) -> int:
    """Send what is due, over one connection; how many were sent. `clock`: what time it is."""
    now, claim, sent = clock(), Claim(Mail), 0
    due = Mail.objects.due(now).filter(unclaimed(timezone.now())).order_by("due_at", "pk")
    if not claim.take(due[:MOST]):
        return 0
    stop_at = time.monotonic() + SECONDS
    try:
        with Post() as post:
            for mail in claim.rows.select_related("user", "instance", "letter").order_by("due_at", "pk"):
                if time.monotonic() > stop_at or not claim.renew():
                    break
                state, goes_on = _Delivery(mail, post, claim, clock).carry_out()
                sent += state == MailState.SENT
                if not goes_on:
                    return sent
    finally:
        claim.rows.update(claim=None, claimed_until=None)
    if due.exists():
        queue.send(mailing.TASK)
    return sent


@transaction.atomic
def try_again(mail: Mail, *, actor: User, now: datetime.datetime) -> bool:
    """Send a mail that failed or came back once more. False when it is on its way already. Raises Refusal."""
    if mail.instance is None or not authority.can_see_mails(actor, mail.instance):
        raise Refusal("Only owners can resend e-mails.", code="forbidden")
    fresh: dict[str, Any] = {
        "attempts": 0,
        "due_at": now,
        "message_id": "",
        "offered_at": None,
        "bounced_at": None,
        "by_hand": True,
    }
    again = Mail.objects.filter(pk=mail.pk, state__in=RETRIABLE).exclude(recipient="")
    if not again.update(state=MailState.WAITING, sent_at=None, problem="", **fresh):
        return False
    record(
        Verb.MAIL_WRITTEN, mail.recipient, actor=actor, now=now, instance=mail.instance, user=mail.user,
        before={"mail": mail.get_state_display()}, after={"mail": MailState.WAITING.label}, reason=f"resent: {mail.get_kind_display()}",
    )  # fmt: skip
    mailing.ring()
    return True


class _Delivery:
    """One try of one mail that this worker has claimed."""

    def __init__(self, mail: Mail, post: Post, claim: Claim, clock: Clock) -> None:
        self.mail, self.post, self.claim, self.clock = mail, post, claim, clock

    def carry_out(self) -> tuple[MailState | None, bool]:
        """What became of it, None when nothing did, and whether it is worth going on to others."""
        if self.mail.offered_at and (known := self._look_back(self.mail.offered_at)):
            return known
        if why := self._stays_here():
            return self._end(MailState.FAILED, why), True
        try:
            rendered = wording.compose(self.mail)
        except wording.NotNeeded as why_not:
            return self._end(MailState.FAILED, f"Not sent: {why_not}"), True
        except Exception:
            # The words of one mail must not hold up the others.
            log.exception("mail %s could not be written", self.mail.pk)
            answer = Answer(Verdict.LATER, "The site could not create this e-mail.")
            return (self._settle(answer), True) if self._count() else (None, True)
        if not self._offer():
            return None, True
        answer = self.post.hand_over(build(self.mail, rendered))
        return self._settle(answer), not answer.is_general

    def _look_back(self, offered_at: datetime.datetime) -> tuple[MailState | None, bool] | None:
        """Ask what became of an earlier try. None: it is to be sent."""
        seen, now = self.post.has_seen(self.mail), self.clock()
        if seen == Seen.YES:
            return self._end(MailState.SENT, sent_at=offered_at), True
        if seen == Seen.NEVER_KNOWN or (seen == Seen.NOT_YET and now >= offered_at + COMPLETE):
            return None
        if now >= offered_at + ASKED_FOR:
            why = "The mail service does not say whether it received this e-mail. It may have arrived."
            return self._end(MailState.FAILED, why), True
        self._write(due_at=now + LOOK_AGAIN, claim=None, claimed_until=None)
        return None, seen != Seen.UNKNOWN

    def _stays_here(self) -> str:
        """Why the mail is not sent at all."""
        if self.mail.attempts > len(PAUSES):
            return f"Failed after {self.mail.attempts} attempts. {self.mail.problem}".strip()
        is_bulk = self.mail.kind in BULK_KINDS and not self.mail.by_hand
        if is_bulk and (back := Mail.objects.came_back(self.mail.recipient).first()):
            return f"Not sent: an earlier e-mail to this address bounced on {_day(back.bounced_at)}."
        return ""

    def _offer(self) -> bool:
        """Write down, before the server gets it, that it may have it. False: somebody else has settled it meanwhile."""
        self.mail.message_id = self.mail.message_id or new_message_id()
        return self._count(message_id=self.mail.message_id, offered_at=self.clock())

    def _count(self, **fields: Any) -> bool:
        """One more try. Should this worker be lost, the next looks after a while."""
        counted = self._write(attempts=F("attempts") + 1, due_at=self.clock() + LOOK_AGAIN, **fields)
        self.mail.attempts += counted
        return counted

    def _settle(self, answer: Answer) -> MailState | None:
        if answer.verdict == Verdict.ACCEPTED:
            return self._end(MailState.SENT, sent_at=self.clock())
        if answer.verdict == Verdict.REFUSED:
            return self._end(MailState.FAILED, answer.problem)
        maybe = "" if answer.is_certain else " It may have arrived anyway."
        if self.mail.attempts > len(PAUSES):
            return self._end(MailState.FAILED, f"Failed after {self.mail.attempts} attempts. {answer.problem}{maybe}")
        pause = max(PAUSES[self.mail.attempts - 1], answer.pause, LOOK_AGAIN if not answer.is_certain else answer.pause)
        fields: dict[str, Any] = {"offered_at": None} if answer.is_certain else {}
        log.warning("mail %s waits: %s", self.mail.pk, answer.problem)
        self._write(due_at=self.clock() + pause, problem=answer.problem[:500], claim=None, claimed_until=None, **fields)
        return None

    def _end(self, state: MailState, problem: str = "", **fields: Any) -> MailState | None:
        if problem:
            log.warning("mail %s: %s", self.mail.pk, problem)
        done = self._write(state=state, problem=problem[:500], claim=None, claimed_until=None, **fields)
        return state if done else None

    def _write(self, **fields: Any) -> bool:
        """Only while this worker holds the row and nobody has settled it, such as a notice of the mail service."""
        return bool(self.claim.rows.filter(pk=self.mail.pk, state=MailState.WAITING).update(**fields))


def _day(at: datetime.datetime | None) -> str:
    return f"{timezone.localtime(at):%-d %b %Y}" if at else "an earlier day"
