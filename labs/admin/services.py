"""Service templates in the console: for site administrators, to look at and to switch between versions."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from labs.access import Rows
from labs.models import ServiceTemplate

from .scoped import AdministratorsOnly


@admin.register(ServiceTemplate)
class ServiceTemplateAdmin(AdministratorsOnly):
    """A version is never rewritten: what was launched with it stays as it was. New ones come as files, when the site is updated."""

    list_display = ("title", "slug", "version", "kind", "is_current", "offered_by")
    list_filter = ("kind", "is_current")
    search_fields = ("title", "slug")
    ordering = ("title", "-version")
    fieldsets = (
        (None, {"fields": ("title", "slug", "version", "kind", "is_current", "description")}),
        ("Form", {"fields": ("form_shown",)}),
        ("Objects on the cluster", {"fields": ("objects_shown",)}),
    )
    readonly_fields = ("title", "slug", "version", "kind", "description", "form_shown", "objects_shown")

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).annotate(offering=Count("instances"))

    @admin.display(description="Offered by", ordering="offering")
    def offered_by(self, row: Any) -> str:
        return f"{row.offering} instance{'s' if row.offering != 1 else ''}"

    @admin.display(description="Parameters")
    def form_shown(self, row: ServiceTemplate) -> SafeString:
        return _json(row.parameters)

    @admin.display(description="Templates")
    def objects_shown(self, row: ServiceTemplate) -> SafeString:
        return _json(row.objects_json)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _json(value: Any) -> SafeString:
    return format_html('<pre class="c-code" tabindex="0">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))
