"""Something that can be launched: a form and JSON templates of Kubernetes objects."""

from __future__ import annotations

from typing import Any

from django.db import models


class ServiceKind(models.TextChoices):
    LAB = "lab", "Lab"
    SPARK = "spark", "Spark job"


class ServiceTemplate(models.Model):
    """One version of a service. A workload keeps the version that it was launched with."""

    slug = models.SlugField(max_length=40)
    version = models.PositiveIntegerField(default=1)
    kind = models.CharField(max_length=16, choices=ServiceKind, default=ServiceKind.LAB)
    title = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    parameters = models.JSONField(default=list)
    objects_json = models.JSONField("objects", default=list, help_text="json-e templates of Kubernetes objects.")
    is_current = models.BooleanField(
        default=True, help_text="Older versions are kept for labs that were launched with them."
    )

    class Meta:
        ordering = ["title", "-version"]
        verbose_name = "service"
        constraints = [
            models.UniqueConstraint(fields=["slug", "version"], name="template_version_once"),
            models.UniqueConstraint(fields=["slug"], condition=models.Q(is_current=True), name="template_one_current"),
            models.CheckConstraint(condition=models.Q(kind__in=ServiceKind.values), name="template_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.title}, version {self.version}"

    def parameter(self, name: str) -> dict[str, Any] | None:
        """The declaration of one parameter."""
        return next((item for item in self.parameters if item["name"] == name), None)

    def choice(self, name: str, value: str) -> dict[str, Any] | None:
        """One choice of a parameter, such as an image with its label."""
        choices = (self.parameter(name) or {}).get("choices", [])
        return next((item for item in choices if item["value"] == value), None)
