"""Labs in the console: what runs, why something does not, and a button to stop it."""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from accounts.rules import authority
from k8s.diagnosis.story import judged
from k8s.resources import BY_KEY, SUMMED
from labs.access import Rows, person, reach
from labs.errors import Refusal
from labs.models import EndReason, Lab, State
from labs.services.logs import Log, tail
from labs.services.stopping import stop_many
from labs.services.toll import Toll
from labs.templatetags.pages import gpu_label

from .confirm import CONFIRMED, Question, ask, bulk_fields, named, way_back, word
from .pills import state_pill, when
from .quantities import duration
from .scoped import ReachableFilter, ScopedAdmin

#: Kept from lists: long, and read on the page of one lab only. The hash of the password is read nowhere in the console.
LONG = ("log_tail", "cluster_events", "steps", "applied", "parameters", "password_hash")


WHICH = {
    "now": ("Now", ~Q(state=State.ENDED)),
    "failed": ("Failed", Q(end_reason=EndReason.FAILED)),
    "ended": ("Ended", Q(state=State.ENDED)),
    "all": ("All", Q()),
    "running": ("Running", Q(state=State.RUNNING)),
    "starting": ("Starting or waiting", Q(state__in=(State.REQUESTED, State.QUEUED, State.STARTING))),
    "stuck": ("Cannot be removed", Q(state=State.STOPPING, removal__isnull=False)),
    "lost": ("Lost their files", Q(lost_at__isnull=False)),
}
PERIODS = {
    "day": ("Last 24 hours", 1), "week": ("7 days", 7), "month": ("30 days", 30), "quarter": ("90 days", 90), "year": ("A year", 365),
}  # fmt: skip


class WhichFilter(DropdownFilter):
    """What is there now, unless something else is asked for; the tabs over the list say which."""

    title = "state"
    parameter_name = "which"
    all_option = None
    #: Tabs that are shown only while they are chosen.
    kept_back = ("running", "starting", "stuck", "lost")

    @property
    def tabs(self) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in WHICH.items()]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in WHICH.items()]

    def value(self) -> str:
        asked = super().value()
        return asked if asked in WHICH else "now"

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        return queryset.filter(WHICH[self.value()][1])


class PeriodFilter(DropdownFilter):
    """Labs that were there at some time of the last days."""

    title = "period"
    parameter_name = "period"
    kept_back = ()

    @property
    def tabs(self) -> list[tuple[str, str]]:
        return [("", "Any time"), *((name, title) for name, (title, _) in PERIODS.items())]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, title) for name, (title, _) in PERIODS.items()]

    def value(self) -> str:
        asked = super().value()
        return asked if asked in PERIODS else ""

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if not (chosen := self.value()):
            return queryset
        since = timezone.now() - datetime.timedelta(days=PERIODS[chosen][1])
        return queryset.filter(Q(ended_at=None) | Q(ended_at__gte=since))


@admin.register(Lab)
class LabAdmin(ScopedAdmin):
    list_display = (
        "name",
        "state_shown",
        "person",
        "instance",
        "cpu",
        "memory",
        "gpu",
        "ends",
        "cluster",
    )
    list_select_related = ("owner", "instance", "cluster")
    list_filter = (
        WhichFilter,
        PeriodFilter,
        ("instance", ReachableFilter),
        ("cluster", ReachableFilter),
    )
    extra_lookups = ("owner__id__exact",)
    search_fields = ("name", "owner__name", "owner__email")
    search_help_text = "Name or owner of the lab"
    ordering = ("-created_at",)
    date_hierarchy = "created_at"
    actions = ("stop_selected",)
    actions_detail = ("stop",)
    change_form_template = "admin/lab.html"
    list_before_template = "admin/lab_tabs.html"
    # Nothing of a form: the page is a template of its own.
    fields = ("name",)

    # What is shown ---------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).defer(*LONG).select_related("owner", "instance", "cluster", "template")

    @admin.display(description="State", ordering="state")
    def state_shown(self, row: Lab) -> SafeString:
        told = (row.removal if row.state == State.STOPPING else None) or row.trouble
        why = told["title"] if told else ""
        return format_html('{} <span class="c-why">{}</span>', state_pill(row), why) if why else state_pill(row)

    @admin.display(description="Owner", ordering="owner__name")
    def person(self, row: Lab) -> str:
        return str(row.owner)

    @admin.display(description="CPU", ordering="cpu_millis")
    def cpu(self, row: Lab) -> str:
        return BY_KEY["cpu_millis"].shown(row.cpu_millis)

    @admin.display(description="Memory", ordering="memory_mib")
    def memory(self, row: Lab) -> str:
        return BY_KEY["memory_mib"].text(row.memory_mib)

    @admin.display(description="GPU", ordering="gpus")
    def gpu(self, row: Lab) -> str:
        return gpu_label(row) or "none"

    @admin.display(description="End", ordering="expires_at", empty_value="")
    def ends(self, row: Lab) -> SafeString | str:
        """When it ended, or how long it still has."""
        left = self.time_left(row)
        return when(row.ended_at) if row.ended_at else f"in {left}" if left else ""

    def time_left(self, row: Lab) -> str:
        left = row.time_left(timezone.now())
        return duration(left) if left is not None else ""

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        lab: Lab = kwargs["obj"]
        context |= {
            "title": lab.name,
            "subtitle": None,
            "lab": lab,
            "state": state_pill(lab),
            "unknown": lab.is_unknown(timezone.now()),
            "facts": self._facts(lab),
            "cluster_lines": list(judged(lab.cluster_events, lab.started_at)),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def _facts(self, lab: Lab) -> list[tuple[str, str]]:
        facts = [
            ("Owner", f"{lab.owner} ({lab.owner.email})"),
            ("Instance", str(lab.instance)),
            ("Service", str(lab.template)),
            ("Image", lab.image),
            *((BY_KEY[key].label, BY_KEY[key].text(lab.amounts[key])) for key in SUMMED if key != "gpus"),
            ("GPU", self.gpu(lab)),
            ("Repository", str(lab.parameters.get("repository", ""))),
            ("Cluster", str(lab.cluster)),
            ("Address", lab.host),
            ("Launched", when(lab.created_at)),
            ("First answered", when(lab.started_at) if lab.started_at else ""),
            (
                "Lost files",
                f"{timezone.localtime(lab.lost_at):%-d %b %Y, %H:%M}: {lab.lost_why}" if lab.lost_at else "",
            ),
            ("Lifetime", BY_KEY["lifetime_minutes"].text(lab.lifetime_minutes)),
            ("Ends", when(lab.expires_at) if lab.state == State.RUNNING else ""),
            ("Time left", self.time_left(lab)),
            ("Ended", when(lab.ended_at) if lab.ended_at else ""),
            ("End reason", lab.get_end_reason_display() if lab.end_reason else ""),
        ]
        return [(label, value) for label, value in facts if value]

    # What may be done ------------------------------------------------------------------------------------------------

    def has_stop_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).enters

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if row and row.can_stop else []

    def get_urls(self) -> list[Any]:
        log = path("<path:object_id>/log/", self.admin_site.admin_view(self.log_view), name="labs_lab_log")
        return [log, *super().get_urls()]

    def log_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The last lines of the log, asked of the cluster when somebody looks."""
        lab = self.object_or_404(request, object_id)
        if not authority.can_see_workload(request.user, lab):
            raise PermissionDenied
        log: Log | None = None
        problem = ""
        try:
            log = tail(lab)
        except Refusal as refusal:
            problem = refusal.message
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": f"Log of {lab.name}",
            "lab": lab, "log": log, "problem": problem,
        }  # fmt: skip
        return TemplateResponse(request, "admin/log.html", context)

    @action(description="Stop", url_path="stop", permissions=["stop"], variant=ActionVariant.DANGER)
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks, POST does."""
        lab = self.object_or_404(request, object_id)
        if not authority.can_stop_workload(request.user, lab):
            raise PermissionDenied
        here = reverse("admin:labs_lab_change", args=[lab.pk])
        if request.method == "POST":
            self._stop(request, [lab])
            return HttpResponseRedirect(way_back(request, lab.instance, here))
        return ask(self, request, _question([lab], []), [_line(lab)], here)

    @admin.action(description="Stop", permissions=["stop"])
    def stop_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        labs, here = [lab for lab in rows if lab.can_stop], request.get_full_path()
        if not labs:
            self.message_user(request, "All of these labs have ended or are ending.", "warning")
            return None
        if CONFIRMED in request.POST:
            self._stop(request, labs)
            return HttpResponseRedirect(here)
        return ask(self, request, _question(labs, bulk_fields(request, labs)), map(_line, labs), here)

    def _stop(self, request: HttpRequest, labs: list[Lab]) -> None:
        try:
            stopped = stop_many(labs, actor=person(request), now=timezone.now(), reason=word(request))
        except Refusal as refusal:
            self.message_user(request, refusal.message, "error")
            return
        names = [lab.name for lab in labs if lab.pk in stopped]
        text = f"Stopping {named(names)}." if names else "Nothing to stop: the lab was already ending."
        self.message_user(request, text, "success" if names else "info")


def _question(labs: list[Lab], hidden: list[tuple[str, str]]) -> Question:
    one = len(labs) == 1
    return Question(
        title=f"Stop {labs[0] if one else Toll(len(labs), len({lab.owner_id for lab in labs}))}?",
        lead="The lab ends and its files are deleted. Its owner sees who stopped it and why."
        if one
        else "These labs end and their files are deleted. Their owners see who stopped them and why.",
        button="Stop",
        word="Reason (optional)",
        is_danger=True,
        hidden=hidden,
    )


def _line(lab: Lab) -> tuple[str, str]:
    return lab.name, f"{lab.owner}, {lab.instance}, {lab.get_state_display().lower()}"
