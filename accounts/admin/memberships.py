"""Who is in which instance: requests first, decided by POST, through the services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Case, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.enums import ActionVariant

from accounts.models import Mail, Membership, Role, Status
from accounts.rules import authority
from accounts.rules.identity import address_on_list
from accounts.services import membership
from labs.access import Rows, may, person, reach
from labs.admin.confirm import ASK, CONFIRMED, Question, ask, bulk_fields, came_from, way_back, word
from labs.admin.navigation import WAITING
from labs.admin.pills import pill, when
from labs.admin.scoped import ReachableFilter, ScopedAdmin
from labs.services.toll import Toll, counted, running_of

from . import letters
from .decisions import APPROVE, DENY, REINSTATE, REMOVE, SUSPEND, Decision, decide, offered

TONES = {Status.REQUESTED: "wait", Status.APPROVED: "ok", Status.DENIED: "bad", Status.SUSPENDED: "bad"}
WAITING_COLUMNS = ("asker", "affiliation", "instance", "why", "asked")
#: On the page of one membership, before and after the role.
PERSON = ("person", "proof", "affiliation", "instance")
DECISION = ("status_pill", "reason", "asked", "decided", "decision_note")


@admin.register(Membership)
class MembershipAdmin(ScopedAdmin):
    list_display = ("person", "instance", "role", "status_pill", "decided")
    plural = "Members"
    ordering = ("requested_at", "pk")
    list_select_related = ("user", "instance")
    list_filter = (
        ("status", ChoicesDropdownFilter),
        ("role", ChoicesDropdownFilter),
        ("instance", ReachableFilter),
    )
    extra_lookups = ("user__id__exact",)
    # By the address that is shown, and no other of the account.
    search_fields = ("user__name", "shown_address", "user__affiliation")
    search_help_text = "Name, e-mail or affiliation"
    autocomplete_fields = ("user",)
    actions = (
        "approve_selected", "deny_selected", "suspend_selected", "reinstate_selected", "remove_selected", "write_to_selected",
    )  # fmt: skip
    actions_detail = ("approve", "deny", "suspend", "reinstate", "remove")

    # What is shown ---------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> Rows:
        came_back = Mail.objects.came_back(OuterRef("user__email")).values("bounced_at")[:1]
        rows = super().get_queryset(request).select_related("user", "instance", "decided_by")
        return (
            rows.prefetch_related("user__emailaddress_set")
            .annotate(came_back=Subquery(came_back), on_list=address_on_list())
            .annotate(shown_address=Coalesce("on_list", "user__email"))
        )

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """Those who wait first, the longest first."""
        waits = Case(When(status=Status.REQUESTED, then=Value(0)), default=Value(1))
        return (waits.asc(), "requested_at", "pk")

    def list_title(self, request: HttpRequest) -> str:
        return "Access requests" if _is_waiting_list(request) else self.plural

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        """With the buttons that this person may press."""

        @admin.display(description="Decide")
        def buttons(row: Membership) -> SafeString:
            return (
                _buttons(row) if APPROVE in offered(request, row) and row.status == Status.REQUESTED else SafeString("")
            )

        return (*(WAITING_COLUMNS if _is_waiting_list(request) else self.list_display), buttons)

    @admin.display(description="Person", ordering="user__name")
    def person(self, row: Any) -> SafeString:
        flag = (
            f"E-mail to this address bounced on {timezone.localtime(row.came_back):%-d %b %Y}" if row.came_back else ""
        )
        shown = '<span class="c-name">{}</span> <span class="c-quiet">{}</span> <span class="c-flag">{}</span>'
        return format_html(shown, row.user, row.shown_address, flag)

    @admin.display(description="Address")
    def proof(self, row: Any) -> SafeString:
        """Whether the person has shown that the address is theirs, and, where they came by themselves, which others are."""
        verified = sorted(item.email.lower() for item in row.user.emailaddress_set.all() if item.verified)
        told = row.shown_address
        shown = pill("Confirmed", "ok") if told in verified else pill("Not confirmed", "wait")
        others = [] if row.on_list else [one for one in verified if one != told]
        return format_html('{} <span class="c-quiet">{}</span>', shown, f"also {', '.join(others)}" if others else "")

    @admin.display(description="Person", ordering="user__name")
    def asker(self, row: Membership) -> SafeString:
        return format_html("{} {}", self.person(row), self.proof(row))

    @admin.display(description="Affiliation")
    def affiliation(self, row: Membership) -> str:
        return row.user.affiliation

    @admin.display(description="Status", ordering="status")
    def status_pill(self, row: Membership) -> SafeString:
        return pill(row.get_status_display(), TONES[Status(row.status)])

    @admin.display(description="Reason for request", ordering="reason")
    def why(self, row: Membership) -> str:
        return Truncator(row.reason).chars(160)

    @admin.display(description="Requested", ordering="requested_at")
    def asked(self, row: Membership) -> SafeString:
        return when(row.requested_at)

    @admin.display(description="Decided", ordering="decided_at")
    def decided(self, row: Membership) -> SafeString:
        by = f"by {row.decided_by}" if row.decided_by else ""
        return format_html('{} <span class="c-quiet">{}</span>', when(row.decided_at), by)

    def get_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return ("instance", "user", "role") if obj is None else (*PERSON, "role", *DECISION)

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return () if obj is None else (*PERSON, *DECISION)

    # What may be done ------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Administrators name owners; everybody else asks for access."""
        return reach(request).is_administrator

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """To change is to give a role."""
        if isinstance(obj, Membership):
            return may(request, authority.can_change_role, obj)
        return reach(request).owns_any

    def has_decide_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).enters

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, str(object_id))
        names = {decision.name for decision in offered(request, row)} if row else set()
        return [item for item in super().get_actions_detail(request, object_id) if item.path in names]

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        role = Role(form.cleaned_data["role"])
        if change:
            membership.change_role(obj, role, actor=person(request), now=timezone.now())
            return
        made = membership.add(
            user=obj.user, instance=obj.instance, role=role, actor=person(request), now=timezone.now()
        )
        obj.pk = made.pk

    @action(description="Approve", url_path="approve", permissions=["decide"], variant=ActionVariant.PRIMARY)
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._one(request, object_id, APPROVE)

    @action(description="Deny", url_path="deny", permissions=["decide"])
    def deny(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._one(request, object_id, DENY)

    @action(description="Suspend", url_path="suspend", permissions=["decide"])
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._one(request, object_id, SUSPEND)

    @action(description="Reinstate", url_path="reinstate", permissions=["decide"])
    def reinstate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._one(request, object_id, REINSTATE)

    @action(description="Remove", url_path="remove", permissions=["decide"], variant=ActionVariant.DANGER)
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._one(request, object_id, REMOVE)

    @admin.action(description="Approve", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        return self._many(request, rows, APPROVE)

    @admin.action(description="Deny", permissions=["decide"])
    def deny_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        return self._many(request, rows, DENY)

    @admin.action(description="Suspend", permissions=["decide"])
    def suspend_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        return self._many(request, rows, SUSPEND)

    @admin.action(description="Reinstate", permissions=["decide"])
    def reinstate_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        return self._many(request, rows, REINSTATE)

    @admin.action(description="Remove", permissions=["remove"])
    def remove_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        return self._many(request, rows, REMOVE)

    def has_remove_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).owns_any

    def has_write_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).writes_any

    @admin.action(description="Write a message", permissions=["write"])
    def write_to_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        answer = letters.write_to(request, rows)
        if isinstance(answer, str):
            self.message_user(request, answer, "warning")
            return None
        return answer

    def _one(self, request: HttpRequest, object_id: str, decision: Decision) -> HttpResponse:
        """GET asks, and so does a POST with ASK; any other POST does it."""
        row = self.object_or_404(request, object_id)
        if not decision.may(request.user, row):
            raise PermissionDenied
        members = reverse("admin:accounts_membership_changelist")
        here = way_back(request, row.instance, members + WAITING if decision in (APPROVE, DENY) else members)
        if request.method == "POST" and ASK not in request.POST:
            decide(request, decision, [row], word(request))
            return HttpResponseRedirect(here)
        place = came_from(request)
        return _ask(self, request, decision, [row], [("from", place)] if place else [], here)

    def _many(self, request: HttpRequest, rows: Rows, decision: Decision) -> HttpResponse | None:
        concerned = [row for row in rows if decision in offered(request, row)]
        if not concerned:
            self.message_user(request, "You cannot change any of the selected members in this way.", "warning")
            return None
        here = request.get_full_path()
        if CONFIRMED in request.POST:
            decide(request, decision, concerned, word(request))
            return HttpResponseRedirect(here)
        return _ask(self, request, decision, concerned, bulk_fields(request, concerned), here)


def _is_waiting_list(request: HttpRequest) -> bool:
    return request.GET.get("status__exact") == Status.REQUESTED


def _ask(
    admin: MembershipAdmin, request: HttpRequest, decision: Decision, rows: list[Membership], hidden: list[tuple[str, str]],
    cancel: str,
) -> HttpResponse:  # fmt: skip
    """The question, with the number of people, and of their labs where the decision ends those."""
    labs = running_of(rows) if decision.ends_labs else {}
    toll = Toll(sum(labs.values()), len({row.user_id for row in rows if labs.get(row.pk)}))
    whom = str(rows[0].user) if len(rows) == 1 else counted(len(rows), "person", "people")
    question = Question(
        title=f"{decision.button} {whom}?",
        lead=f"{decision.lead} This stops {toll}." if decision.ends_labs else decision.lead,
        button=decision.button,
        word="Note to them (optional)",
        typed=word(request),
        is_danger=decision.is_danger,
        hidden=hidden,
    )
    return ask(admin, request, question, [_line(row, labs.get(row.pk, 0)) for row in rows], cancel)


def _line(row: Membership, labs: int) -> tuple[str, str]:
    remark = row.reason or row.user.email
    return f"{row.user} in {row.instance}", f"{remark}, {counted(labs, 'lab', 'labs')}" if labs else remark


def _buttons(row: Membership) -> SafeString:
    """Approve posts at once; Deny asks for a word first. The list stands in a form of its own, whose token they use."""
    approve, deny = (reverse(f"admin:accounts_membership_{name}", args=[row.pk]) for name in ("approve", "deny"))
    return format_html(
        '<span class="c-buttons"><button type="submit" class="c-button c-button--main" formaction="{}">Approve</button>'
        ' <a class="c-button" href="{}">Deny</a></span>',
        approve,
        deny,
    )
