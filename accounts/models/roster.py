"""The roster: whom the staff of an instance expect, by address, before and after the person has an account."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.addresses import normalised
from accounts.roles import OUT, Role

if TYPE_CHECKING:
    from .user import User


class RosterQuerySet(models.QuerySet["RosterEntry"]):
    def unbound(self) -> RosterQuerySet:
        """Those for which nobody has come yet, and for whom somebody may."""
        return self.filter(user=None, left_at=None, barred="")

    def claimable(self) -> RosterQuerySet:
        """Those that become somebody's when they prove the address: also of who was shut out, for that they stay."""
        return self.filter(models.Q(left_at=None) | ~models.Q(barred=""), user=None)

    def managed_by(self, user: User) -> RosterQuerySet:
        """Those of the instances that the person owns or helps to run; all for a site administrator."""
        if user.is_superuser:
            return self
        return self.filter(instance__in=apps.get_model("labs.Instance").objects.managed_by(user))


class RosterEntry(models.Model):
    """One expected person. A verified address binds it to an account, or the signed link of its invitation, and nothing else."""

    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="roster")
    email = models.EmailField("e-mail", help_text="Stored in lower case.")
    name = models.CharField(max_length=150, blank=True)
    section = models.CharField(max_length=60, blank=True, help_text="A part of the class, such as a tutorial group.")
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)
    #: Personal limits, by the names of Quota's fields; empty: the default of members.
    limits = models.JSONField(default=dict, blank=True)
    #: Other columns of the imported file, by their heads.
    notes = models.JSONField(default=dict, blank=True)
    user = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="roster_entries",
        verbose_name="person",
    )  # fmt: skip
    bound_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Rises with each invitation, so that the link of an earlier one is worth nothing.
    invitation = models.PositiveIntegerField(default=0, editable=False)
    invited_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Since when the lists leave this person out; binds nobody until a list names them again.
    left_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: What was decided about somebody whose address this was, when it left their account or the account was deleted: that is what
    #: they are again when they come back with this address.
    barred = models.CharField(
        max_length=16, blank=True, editable=False, choices=[(status.value, status.label) for status in OUT]
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[models.Manager[RosterEntry]] = RosterQuerySet.as_manager()

    class Meta:
        ordering = ["instance", "email"]
        verbose_name_plural = "roster entries"
        constraints = [
            models.UniqueConstraint(fields=["instance", "email"], name="roster_address_once"),
            models.UniqueConstraint(
                fields=["instance", "user"], condition=models.Q(user__isnull=False), name="roster_person_once"
            ),
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="roster_email_in_lower_case"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="roster_role_known"),
            models.CheckConstraint(condition=models.Q(barred__in=["", *OUT]), name="roster_barred_known"),
        ]
        indexes = [
            models.Index(fields=["email"], name="roster_of_address"),
            models.Index(fields=["instance", "section"], name="roster_of_section"),
        ]

    def __str__(self) -> str:
        return f"{self.name or self.email} on the roster of {self.instance}"

    def save(self, *args: object, **kwargs: object) -> None:
        self.email = normalised(self.email) if self._state.adding else self.email.strip().lower()
        super().save(*args, **kwargs)  # type: ignore[arg-type]


class UploadState(models.TextChoices):
    WAITING = "waiting", "being read"
    ASKS = "asks", "needs a choice"
    READY = "ready", "ready to import"
    REFUSED = "refused", "cannot be read"
    #: It has been confirmed, and a worker writes it.
    IMPORTING = "importing", "being imported"


#: A worker has to do something.
WITH_WORKER = (UploadState.WAITING, UploadState.IMPORTING)


class RosterUpload(models.Model):
    """What somebody has uploaded, read and compared, and not confirmed yet. What is confirmed is this, and nothing that a browser sends."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    file_name = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=UploadState, default=UploadState.WAITING)
    #: Why it cannot be read, or what is to be chosen.
    problem = models.TextField(blank=True)
    #: When a worker that is at it would have been heard of again: after that its task is sent anew. `attempts`: how often.
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Rows that a worker has read so far.
    progress = models.PositiveIntegerField(default=0)
    #: The file or the pasted text, to be read again when somebody chooses another column; emptied with the lines.
    source = models.BinaryField(default=b"")
    #: What has been chosen about it (`accounts.services.roster.choices`).
    choices = models.JSONField(default=dict)
    #: What there is to choose, as the page shows it.
    table: Any = models.JSONField(default=dict)
    #: The lines, as `accounts.services.roster.reading` packs them; emptied when they have been imported.
    lines = models.BinaryField(default=b"")
    #: Heads of the columns that are kept as notes.
    note_heads = models.JSONField(default=list)
    suspend_missing = models.BooleanField(default=False)
    #: What it would do, as the page shows it; `digest` tells whether it would still do the same.
    preview: Any = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="roster_upload_expiry")]

    def __str__(self) -> str:
        return self.file_name or "pasted lines"
