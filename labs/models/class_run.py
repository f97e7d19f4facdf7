"""Starting a lab for everybody of a class: from which answers, when, for whom, and what became of it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone


class SavedLaunch(models.Model):
    """Answers of a launch form, kept under a title: all but name and password, as `labs.services.launch` takes them."""

    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="saved_launches")
    #: The version for which they were given; started is the current one of the same slug.
    template = models.ForeignKey(
        "labs.ServiceTemplate", on_delete=models.PROTECT, related_name="+", verbose_name="service"
    )
    title = models.CharField(max_length=60)
    values = models.JSONField(default=dict)
    made_by = models.ForeignKey("accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[models.Manager[SavedLaunch]] = models.Manager()

    class Meta:
        ordering = ["title"]
        verbose_name = "prepared lab"
        constraints = [models.UniqueConstraint(fields=["instance", "title"], name="saved_launch_title_once")]

    def __str__(self) -> str:
        return self.title


class ClassRun(models.Model):
    """One press of "Start for everybody". Worked off in the queue, seat by seat."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="class_runs")
    saved = models.ForeignKey(SavedLaunch, on_delete=models.CASCADE, related_name="runs")
    section = models.CharField(max_length=60, blank=True, help_text="Empty means all members.")
    #: Those for whom there is no room stand in the queue of the instance.
    wait = models.BooleanField(default=True)
    started_by = models.ForeignKey("accounts.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    #: Until when a worker is taken to be at it; then it is sent for again.
    due_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[ClassRun]] = models.Manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            # A second press while the first is being worked off is the same press.
            models.UniqueConstraint(
                fields=["saved", "section"], condition=models.Q(finished_at=None), name="class_run_one_at_a_time"
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=models.Q(finished_at=None), name="class_run_due")]

    def __str__(self) -> str:
        return f"{self.saved} for {self.section or 'all'}"


class SeatState(models.TextChoices):
    PENDING = "pending", "Being started"
    STARTED = "started", "Started"
    QUEUED = "queued", "Queued"
    HAS_ONE = "has-one", "Already has one"
    REFUSED = "refused", "Not started"


class ClassSeat(models.Model):
    """One member in a run, and what became of it."""

    run = models.ForeignKey(ClassRun, on_delete=models.CASCADE, related_name="seats")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=16, choices=SeatState, default=SeatState.PENDING)
    lab = models.ForeignKey("labs.Lab", on_delete=models.SET_NULL, null=True, blank=True, related_name="seats")
    reason = models.CharField(max_length=500, blank=True)

    objects: ClassVar[models.Manager[ClassSeat]] = models.Manager()

    class Meta:
        ordering = ["run", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["run", "user"], name="class_seat_once"),
            models.CheckConstraint(condition=models.Q(state__in=SeatState.values), name="class_seat_state_known"),
        ]
        indexes = [models.Index(fields=["run", "state"], name="class_seat_of_run")]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_state_display()}"
