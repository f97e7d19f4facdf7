"""Whose a lab's host name is."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Host(models.Model):
    """A host name that a lab was given once. It belongs to that lab's owner for good.

    A browser keeps what a page left behind (service workers, storage) by host name, and people write the pages of their labs.
    So a host never passes to another person. Nothing deletes these rows: they outlive workloads, clusters and accounts. One person has
    HOSTS_PER_PERSON of them at most, and then uses one again.
    """

    name = models.CharField(max_length=253, unique=True)
    #: NULL: nobody gets it again.
    owner = models.ForeignKey("accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="hosts")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name
