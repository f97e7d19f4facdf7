"""Clusters in the console: for site administrators."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

from labs.models import Cluster

from .pills import pill
from .scoped import AdministratorsOnly

#: The watcher looks more often than this.
SILENT = datetime.timedelta(minutes=3)
LABELS = {"tls_secret": "TLS secret", "gpu_models": "GPU models"}


@admin.register(Cluster)
class ClusterAdmin(AdministratorsOnly):
    list_display = ("title", "health", "is_open", "lab_domain", "version", "last_seen_at")
    search_fields = ("title", "slug", "lab_domain")
    readonly_fields = ("health", "version", "last_seen_at", "problem")
    fieldsets = (
        (None, {"fields": ("title", "slug", "is_open", "health", "version", "last_seen_at", "problem")}),
        ("Connection", {"fields": ("connection", "kubeconfig_file", "image_registry")}),
        (
            "Addresses of labs",
            {
                "fields": (
                    "lab_domain", "lab_scheme", "lab_port", "tls_secret", "ingress_class", "ingress_namespace",
                    "ingress_annotations",
                )
            },
        ),
        ("GPUs", {"fields": ("gpu_models",)}),
    )  # fmt: skip

    @admin.display(description="Health")
    def health(self, row: Cluster) -> SafeString:
        if row.problem:
            return pill("Trouble", "bad")
        if row.last_seen_at is None or timezone.now() - row.last_seen_at > SILENT:
            return pill("Not heard of", "off")
        return pill("Answers", "ok")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Help with angle brackets is text, not markup; and what every administrator writes in capitals, in capitals."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field:
            field.help_text = conditional_escape(field.help_text)
            field.label = LABELS.get(db_field.name, field.label)
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "slug") if obj else self.readonly_fields
