"""The history in the console: to read, never to write."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter

from labs.access import Rows
from labs.models import Event
from labs.models.event import ABOUT_ACCESS, ABOUT_INSTANCES, ABOUT_LIMITS, ABOUT_MAIL, ABOUT_WORKLOADS

from .pills import when
from .scoped import ReachableFilter, ScopedAdmin
from .words import NOTHING, change_lines

SHOWN = ("moment", "who", "what", "subject", "where", "changes", "why")

ABOUT = {
    "people": ("People and roles", ABOUT_ACCESS),
    "limits": ("Limits", ABOUT_LIMITS),
    "labs": ("Labs", ABOUT_WORKLOADS),
    "instances": ("Instances and clusters", ABOUT_INSTANCES),
    "mail": ("Mail", ABOUT_MAIL),
}


class AboutFilter(DropdownFilter):
    title = "about"
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in ABOUT.items()]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        asked = ABOUT.get(self.value() or "")
        return queryset.filter(verb__in=asked[1]) if asked else queryset


@admin.register(Event)
class EventAdmin(ScopedAdmin):
    list_display = ("moment", "who", "what", "subject", "where", "in_short", "why")
    list_display_links = ("moment",)
    list_select_related = ("instance", "actor")
    plural = "History"
    list_filter = (AboutFilter, ("verb", ChoicesDropdownFilter), ("instance", ReachableFilter))
    extra_lookups = ("workload__id__exact", "user__id__exact")
    search_fields = ("actor_name", "subject", "reason")
    search_help_text = "Person, object or reason"
    date_hierarchy = "at"
    ordering = ("-at", "-pk")
    fields = SHOWN
    actions = None

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).select_related("instance", "actor")

    @admin.display(description="When", ordering="at")
    def moment(self, row: Event) -> SafeString:
        return when(row.at)

    @admin.display(description="Who", ordering="actor_name")
    def who(self, row: Event) -> str:
        return row.who

    @admin.display(description="To", ordering="subject")
    def subject(self, row: Event) -> str:
        return row.subject

    @admin.display(description="Instance", ordering="instance__title")
    def where(self, row: Event) -> str:
        return str(row.instance or "")

    @admin.display(description="Why", ordering="reason")
    def why(self, row: Event) -> str:
        return row.reason

    @admin.display(description="Did", ordering="verb")
    def what(self, row: Event) -> str:
        return row.get_verb_display()

    @admin.display(description="What changed")
    def in_short(self, row: Event) -> str:
        lines = [
            f"{name}: {after if before == NOTHING else f'{before} → {after}'}"
            for name, before, after in change_lines(row)
        ]
        return Truncator("; ".join(lines)).chars(110)

    @admin.display(description="What changed")
    def changes(self, row: Event) -> SafeString | str:
        lines = change_lines(row)
        if not lines:
            return ""
        body = format_html_join("", "<tr><th>{}</th><td>{}</td><td>{}</td></tr>", lines)
        head = format_html("<tr><th></th><th>{}</th><th>{}</th></tr>", "Before", "After")
        return format_html('<table class="c-changes">{}{}</table>', head, body)
