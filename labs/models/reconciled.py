"""The part of a row that the reconciler needs: what was asked for, what has been made so, and who is at it."""

from __future__ import annotations

from django.db import models


class Reconciled(models.Model):
    """A row that the cluster is made to agree with.

    `generation` rises with every change that the cluster must learn of; `observed_generation` follows when it has. A worker
    claims the row by compare-and-set on `claim` and lets go only if no new generation came meanwhile.
    """

    generation = models.PositiveIntegerField(default=1, editable=False)
    observed_generation = models.PositiveIntegerField(default=0, editable=False)
    claim = models.UUIDField(null=True, blank=True, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    #: The last thing the cluster refused or failed at, in plain words; empty when all is well.
    problem = models.TextField(blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_settled(self) -> bool:
        return self.observed_generation >= self.generation
