"""The part of a row that the reconciler needs: what was asked for, what has been made so, and who is at it."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

#: A row becomes due at this moment of a clock that may be a little ahead of ours.
CLOCK_SKEW = datetime.timedelta(seconds=2)


def changed() -> dict[str, Any]:
    """What to write, beside the change itself, when the cluster must learn of it: `update(**changed())`."""
    return {"generation": F("generation") + 1, "due_at": timezone.now()}


def changed_later(delay: datetime.timedelta) -> dict[str, Any]:
    """The same of a change that can wait, and that is not sent for. Where work was to be done anyway, that does not wait with it."""
    is_settled = When(observed_generation__gte=F("generation"), then=Value(timezone.now() + delay))
    return {"generation": F("generation") + 1, "due_at": Case(is_settled, default=F("due_at"))}


def unclaimed(now: datetime.datetime) -> Q:
    """Rows that nobody is at, or whose worker has been lost."""
    return Q(claim=None) | Q(claimed_until__lt=now)


def due(now: datetime.datetime) -> Q:
    """Rows whose newest generation is not done, which nobody is at, and which need not wait for another try."""
    unsettled = Q(observed_generation__lt=F("generation"), due_at__lte=now + CLOCK_SKEW)
    return unsettled & unclaimed(now)


class Reconciled(models.Model):
    """A row that the cluster is made to agree with.

    `generation` rises with every change that the cluster must learn of; `observed_generation` follows when it has. A worker
    claims the row by compare-and-set on `claim` and lets go only if no new generation came meanwhile. `due_at` says since
    when there is work on an unsettled row, or, after a fault, from when on it is to be tried again.
    """

    generation = models.PositiveIntegerField(default=1, editable=False)
    observed_generation = models.PositiveIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(default=timezone.now, editable=False)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: The last thing the cluster refused or failed at, in plain words; empty when all is well.
    problem = models.TextField(blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_settled(self) -> bool:
        return self.observed_generation >= self.generation
