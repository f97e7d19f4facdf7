"""Mails that are to be sent, and what became of them. The row is the truth; the queue only carries its key."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.addresses import searched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .user import User


class MailKind(models.TextChoices):
    REQUESTS_WAITING = "requests-waiting", "Access requests waiting"
    ACCESS_APPROVED = "access-approved", "Access approved"
    ACCESS_DENIED = "access-denied", "Access not approved"
    ACCESS_SUSPENDED = "access-suspended", "Access suspended"
    ACCESS_REINSTATED = "access-reinstated", "Access reinstated"
    ACCESS_REMOVED = "access-removed", "Removed"
    ROLE_CHANGED = "role-changed", "Role changed"
    LABS_STOPPED = "labs-stopped", "Labs stopped"
    INVITATION = "invitation", "Invitation"
    LETTER = "letter", "Message from the owners"
    LAB_STARTED = "lab-started", "Queued lab ready"
    LAB_ENDING = "lab-ending", "Lab ends soon"
    LAB_LOST = "lab-lost", "Lab lost its files"
    LAB_FAILED = "lab-failed", "Lab failed"
    LABS_LOST = "labs-lost", "Labs lost their files"


#: Sent to many at once. An address from which a mail came back gets no more of these.
BULK_KINDS = (MailKind.INVITATION, MailKind.LETTER)


class MailState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    #: Given up, or refused for good; `problem` says why.
    FAILED = "failed", "Failed"
    #: Accepted once, and came back.
    BOUNCED = "bounced", "Bounced"


#: For how long a mail that came back speaks against an address: a mailbox that was full or new is not so for ever.
BACK_COUNTS = datetime.timedelta(days=30)
#: From which it can be tried once more, by hand.
RETRIABLE = (MailState.FAILED, MailState.BOUNCED)
#: Nothing more comes of these by itself, and nothing depends on them.
OVER = (MailState.SENT, MailState.FAILED)


class MailQuerySet(models.QuerySet["Mail"]):
    def due(self, now: datetime.datetime) -> MailQuerySet:
        """Those to be sent now; somebody may be at them."""
        return self.filter(state=MailState.WAITING, due_at__lte=now)

    def came_back(self, address: object) -> MailQuerySet:
        """Those to an address that came back, the last one first. `address`: a text, or an expression of an outer query."""
        return self.returned().filter(recipient=address).order_by("-bounced_at")

    def returned(self) -> MailQuerySet:
        """Those that came back of late, and after which nothing has reached the address; whichever instance they were of."""
        later = Mail.objects.filter(
            recipient=models.OuterRef("recipient"), state=MailState.SENT, sent_at__gt=models.OuterRef("bounced_at")
        )
        since = timezone.now() - BACK_COUNTS
        return self.filter(~models.Exists(later), state=MailState.BOUNCED, bounced_at__gt=since)

    def unreachable(self, addresses: Iterable[str]) -> dict[str, datetime.datetime]:
        """Of these addresses, those from which a mail came back, with the last time."""
        found = self.returned().filter(recipient__in=[searched(address) for address in addresses])
        times = found.order_by().values_list("recipient").annotate(last=models.Max("bounced_at"))
        return {address: last for address, last in times if last}


class Mail(models.Model):
    """One mail to one address. What it says is rendered when it is sent, so that no link with a signature is kept here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: What it is about, so that a second one about the same is not written: "access-approved:17:3".
    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=24, choices=MailKind)
    #: In lower case; empty when the account to which it went has been deleted.
    recipient = models.EmailField("to")
    user = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="mails", verbose_name="person"
    )
    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, null=True, blank=True, related_name="mails")
    letter = models.ForeignKey("accounts.Letter", on_delete=models.CASCADE, null=True, blank=True, related_name="mails")
    #: What the wording needs beside instance and person: names, words, primary keys; never a secret.
    context = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=16, choices=MailState, default=MailState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    #: When it is to be sent at first; `due_at` moves with each try.
    created_at = models.DateTimeField("send time", default=timezone.now, editable=False)
    due_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField("sent", null=True, blank=True)
    #: Somebody has asked for it to be sent, whatever became of other mails to this address.
    by_hand = models.BooleanField(default=False, editable=False)
    bounced_at = models.DateTimeField("bounced", null=True, blank=True)
    #: Given by us at the first try and the same for each: the mark by which servers and mailboxes know a second copy.
    message_id = models.CharField(max_length=250, blank=True, db_index=True)
    #: Since when the server may have it without our knowing: set before it is handed over, taken back by a clear no.
    offered_at = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    problem = models.CharField(max_length=500, blank=True)

    objects: ClassVar[models.Manager[Mail]] = MailQuerySet.as_manager()

    class Meta:
        verbose_name = "e-mail"
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=MailKind.values), name="mail_kind_known"),
            models.CheckConstraint(condition=models.Q(state__in=MailState.values), name="mail_state_known"),
            models.CheckConstraint(
                condition=~models.Q(state="sent") | models.Q(sent_at__isnull=False), name="mail_sent_has_time"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="bounced") | models.Q(bounced_at__isnull=False), name="mail_bounced_has_time"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="waiting"), name="mail_due"),
            models.Index(fields=["due_at"], condition=models.Q(state__in=["sent", "failed"]), name="mail_over"),
            models.Index(fields=["user", "-created_at"], name="mail_of_person"),
            models.Index(fields=["instance", "-created_at"], name="mail_of_instance"),
            models.Index(fields=["recipient"], condition=models.Q(state="bounced"), name="mail_came_back"),
            models.Index(fields=["recipient", "sent_at"], condition=models.Q(state="sent"), name="mail_arrived"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to {self.recipient or 'a deleted account'}"

    @property
    def can_be_tried_again(self) -> bool:
        return self.state in RETRIABLE and bool(self.recipient)


class MailNotice(models.Model):
    """A notice of the mail service that was taken: what is told once more, by whomever, is refused."""

    token = models.CharField(max_length=100, primary_key=True)
    at = models.DateTimeField(db_index=True)


class Letter(models.Model):
    """What an owner wrote to many. Each of them gets a Mail of their own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="letters")
    author: models.ForeignKey[User | None, User | None] = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, related_name="+"
    )
    #: Where answers go; stays when the account goes.
    author_name = models.CharField("from", max_length=254)
    author_email = models.EmailField()
    subject = models.CharField(max_length=150)
    text = models.TextField(max_length=10_000)
    #: In words, as it was when it was written.
    audience = models.CharField("to", max_length=200)
    count = models.PositiveIntegerField("e-mails")
    created_at = models.DateTimeField("written", default=timezone.now, editable=False)

    class Meta:
        verbose_name = "message"
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["instance", "-created_at"], name="letter_of_instance")]

    def __str__(self) -> str:
        return self.subject


def check_wording_kind(value: str) -> None:
    """Letters are worded by who writes them."""
    if value == MailKind.LETTER:
        raise ValidationError("The text of a message cannot be customized.")


class MailTemplate(models.Model):
    """An instance's own words for one kind of mail: plain text with a few placeholders, which are no template language."""

    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="mail_templates")
    kind = models.CharField(
        "e-mail", max_length=24, choices=[item for item in MailKind.choices if item[0] != MailKind.LETTER],
        validators=[check_wording_kind],
    )  # fmt: skip
    subject = models.CharField(max_length=150)
    body = models.TextField("text", max_length=5_000)
    updated_at = models.DateTimeField("changed", default=timezone.now, editable=False)

    class Meta:
        ordering = ["instance", "kind"]
        verbose_name = "e-mail text"
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "kind"], name="mail_template_once",
                violation_error_message="There is already a text for this e-mail. Change that one.",
            ),
            models.CheckConstraint(condition=models.Q(kind__in=MailKind.values), name="mail_template_kind_known"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_kind_display()} in {self.instance}"
