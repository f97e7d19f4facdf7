"""How often a person did something of late."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Rate(models.Model):
    """Acts of one kind by one person since a moment; `accounts.rules.rates` alone reads and writes it."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, null=True, related_name="rates")
    #: Of a person whose account is deleted: a keyed digest of an address or sign-in that was theirs; kept for the hour that is counted.
    digest = models.CharField(max_length=64, blank=True)
    act = models.CharField(max_length=16)
    since = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    objects: ClassVar[models.Manager[Rate]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "act"], name="rate_once"),
            models.UniqueConstraint(
                fields=["digest", "act"], condition=models.Q(user=None), name="rate_of_the_deleted_once"
            ),
            models.CheckConstraint(
                condition=models.Q(user=None) ^ models.Q(digest=""), name="rate_of_person_or_digest"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or 'a former user'}: {self.act}"
