"""Mails in the console: who got which, and what became of it. What they say is not shown: some hold a link for one person alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action

from accounts.models import Mail, MailState
from accounts.services.delivery import try_again
from labs.access import Rows, person, reach
from labs.admin.confirm import CONFIRMED, Question, ask, bulk_fields
from labs.admin.pills import pill, when
from labs.admin.scoped import ReachableFilter

from .owned import OwnersOnly

TONES = {MailState.WAITING: "wait", MailState.SENT: "ok", MailState.FAILED: "bad", MailState.BOUNCED: "bad"}
AGAIN = "It is sent like a new e-mail, even to addresses that bounced before."


@admin.register(Mail)
class MailAdmin(OwnersOnly):
    list_display = ("recipient", "kind", "state_pill", "send_time", "problem_shown", "instance")
    list_select_related = ("instance",)
    plural = "E-mails"
    list_filter = (("state", ChoicesDropdownFilter), ("kind", ChoicesDropdownFilter), ("instance", ReachableFilter))
    extra_lookups = ("letter__id__exact", "user__id__exact")
    search_fields = ("recipient", "user__name")
    search_help_text = "Address or name"
    ordering = ("-created_at", "pk")
    fields = (
        "recipient",
        "member",
        "kind",
        "state_pill",
        "instance",
        "send_time",
        "left",
        "back",
        "tries",
        "problem_shown",
    )
    actions = ("try_again_selected",)
    actions_detail = ("try_again",)

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).select_related("instance", "user").defer("context")

    @admin.display(description="State", ordering="state")
    def state_pill(self, row: Mail) -> SafeString:
        return pill(row.get_state_display(), TONES[MailState(row.state)])

    @admin.display(description="Person")
    def member(self, row: Mail) -> str:
        return str(row.user or "")

    @admin.display(description="Send time", ordering="created_at")
    def send_time(self, row: Mail) -> SafeString:
        return when(row.created_at)

    @admin.display(description="Sent", ordering="sent_at")
    def left(self, row: Mail) -> SafeString:
        return when(row.sent_at)

    @admin.display(description="Bounced", ordering="bounced_at")
    def back(self, row: Mail) -> SafeString:
        return when(row.bounced_at)

    @admin.display(description="Attempts")
    def tries(self, row: Mail) -> int:
        return row.attempts

    @admin.display(description="Problem", ordering="problem")
    def problem_shown(self, row: Mail) -> str:
        return row.problem

    # What may be done ------------------------------------------------------------------------------------------------

    def has_again_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The row decides: what is not within reach is missing."""
        return reach(request).enters

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if row and row.can_be_tried_again else []

    @action(description="Try again", url_path="again", permissions=["again"])
    def try_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks, POST does."""
        row = self.object_or_404(request, object_id)
        here = reverse("admin:accounts_mail_change", args=[row.pk])
        if request.method == "POST":
            self._again(request, [row])
            return HttpResponseRedirect(here)
        question = Question(title="Resend this e-mail?", lead=AGAIN, button="Resend")
        return ask(self, request, question, [_line(row)], here)

    @admin.action(description="Try again", permissions=["again"])
    def try_again_selected(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        concerned = [row for row in rows if row.can_be_tried_again]
        if not concerned:
            self.message_user(request, "None of these e-mails has failed or bounced.", "warning")
            return None
        here = request.get_full_path()
        if CONFIRMED in request.POST:
            self._again(request, concerned)
            return HttpResponseRedirect(here)
        question = Question(
            title="Resend this e-mail?" if len(concerned) == 1 else f"Resend {len(concerned)} e-mails?",
            lead=AGAIN,
            button="Resend",
            hidden=bulk_fields(request, concerned),
        )
        return ask(self, request, question, map(_line, concerned), here)

    def _again(self, request: HttpRequest, rows: list[Mail]) -> None:
        now = timezone.now()
        done = sum(try_again(row, actor=person(request), now=now) for row in rows)
        self.message_user(
            request, f"Resending {done}." if done else "Already being sent.", "success" if done else "info"
        )


def _line(row: Mail) -> tuple[str, str]:
    return str(row), row.problem
