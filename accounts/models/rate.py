"""How often a person did something of late."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Rate(models.Model):
    """Acts of one kind by one person since a moment; `accounts.services.rates` alone reads and writes it."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="rates")
    act = models.CharField(max_length=16)
    since = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    objects: ClassVar[models.Manager[Rate]] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "act"], name="rate_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.act}"
