"""Mails that are to be sent, and what became of them. The row is the truth; the queue only carries its key."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone


class MailKind(models.TextChoices):
    REQUESTS_WAITING = "requests-waiting", "Requests for access wait"
    ACCESS_APPROVED = "access-approved", "Access approved"
    ACCESS_DENIED = "access-denied", "Access not approved"
    ACCESS_SUSPENDED = "access-suspended", "Access suspended"
    ACCESS_REINSTATED = "access-reinstated", "Access given back"
    ACCESS_REMOVED = "access-removed", "Removed"
    ROLE_CHANGED = "role-changed", "Another role"
    INVITATION = "invitation", "Invitation"
    LETTER = "letter", "Letter of the owners"


class MailState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENT = "sent", "Sent"
    #: Given up, or refused for good; `problem` says why.
    FAILED = "failed", "Failed"
    #: Accepted once, and came back.
    BOUNCED = "bounced", "Came back"


class Mail(models.Model):
    """One mail to one address. What it says is rendered when it is sent, so that no link with a signature is kept here."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    #: What it is about, so that a second one about the same is not written: "access-approved:17:3".
    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=24, choices=MailKind)
    recipient = models.EmailField("to")
    user = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="mails", verbose_name="person"
    )
    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, null=True, blank=True, related_name="mails")
    #: What the template needs beside instance and person: names, words, primary keys; never a secret.
    context = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=16, choices=MailState, default=MailState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    #: As the server named it, to know a bounce again.
    message_id = models.CharField(max_length=250, blank=True, db_index=True)
    problem = models.CharField(max_length=500, blank=True)

    objects: ClassVar[models.Manager[Mail]] = models.Manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=MailKind.values), name="mail_kind_known"),
            models.CheckConstraint(condition=models.Q(state__in=MailState.values), name="mail_state_known"),
            models.CheckConstraint(
                condition=~models.Q(state="sent") | models.Q(sent_at__isnull=False), name="mail_sent_has_time"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="waiting"), name="mail_due"),
            models.Index(fields=["user", "-created_at"], name="mail_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to {self.recipient}"
