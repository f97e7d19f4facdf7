"""Limits: one row for the instance, one default for each of its members, personal exceptions."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q


class Scope(models.TextChoices):
    INSTANCE = "instance", "The whole instance"
    MEMBER = "member", "Each member"
    PERSON = "person", "One person"


class Quota(models.Model):
    """Null means no limit of this kind here. A person's own row replaces the members' default as a whole."""

    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="quotas")
    scope = models.CharField("for", max_length=16, choices=Scope, default=Scope.MEMBER)
    user = models.ForeignKey(
        "accounts.User", on_delete=models.CASCADE, null=True, blank=True, related_name="quotas", verbose_name="person"
    )
    cpu_millis = models.PositiveIntegerField(
        "CPU", null=True, blank=True, validators=[MaxValueValidator(10_000_000)], help_text="In thousandths of a core."
    )
    memory_mib = models.PositiveIntegerField(
        "memory", null=True, blank=True, validators=[MaxValueValidator(2_000_000_000)], help_text="In MiB."
    )
    gpus = models.PositiveIntegerField("GPUs", null=True, blank=True)
    storage_gib = models.PositiveIntegerField("storage", null=True, blank=True, help_text="In GiB.")
    running = models.PositiveIntegerField("services at once", null=True, blank=True)
    lifetime_minutes = models.PositiveIntegerField(
        "longest lifetime",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(527_040)],
        help_text="In minutes, including extensions.",
    )

    class Meta:
        ordering = ["instance", "scope", "user"]
        verbose_name = "limit"
        constraints = [
            models.UniqueConstraint(
                fields=["instance"], condition=Q(scope=Scope.INSTANCE), name="quota_one_for_instance"
            ),
            models.UniqueConstraint(fields=["instance"], condition=Q(scope=Scope.MEMBER), name="quota_one_for_members"),
            models.UniqueConstraint(
                fields=["instance", "user"], condition=Q(scope=Scope.PERSON), name="quota_one_for_person"
            ),
            models.CheckConstraint(condition=Q(scope__in=Scope.values), name="quota_scope_known"),
            models.CheckConstraint(
                condition=Q(scope=Scope.PERSON, user__isnull=False) | (~Q(scope=Scope.PERSON) & Q(user__isnull=True)),
                name="quota_person_only_when_personal",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user if self.scope == Scope.PERSON else self.get_scope_display()}, {self.instance}"

    def clean(self) -> None:
        super().clean()
        if (self.scope == Scope.PERSON) != (self.user_id is not None):
            raise ValidationError({"user": "Choose a person for a personal limit, and only then."})
