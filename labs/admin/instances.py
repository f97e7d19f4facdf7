"""Instances in the console: made by site administrators, kept by their owners."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminColorInputWidget,
    UnfoldAdminTextInputWidget,
)

from accounts.models import Membership, Status
from accounts.rules import authority
from accounts.services.founding import name_owner
from labs.access import Rows, may, person, reach
from labs.models import Instance, InstanceCluster, Lab, Scope, ServiceTemplate
from labs.models.instance import Phase
from labs.models.template import ServiceKind
from labs.services.instances import archive, free_slug, save_instance
from labs.services.limits import set_first_limits
from labs.services.offering import offer
from labs.services.readiness import checklist
from labs.services.toll import counted, running

from .confirm import CONFIRMED, Question, ask
from .domains import DomainsField
from .instance_charts import instance_charts
from .limits import MOST_IN_FORM, MemberInline, PersonalInline, WholeInline, fits_in_form, personal_limits, save_limits
from .pills import pill
from .places import PlacesInline, save_places
from .scoped import ScopedAdmin

PAGES = ("title", "kind", "summary", "about", "footer", "accent")
ACCESS = (
    "policy",
    "email_domains",
    "staff_may_approve",
    "staff_may_write",
    "is_public",
    "starts_on",
    "ends_on",
    "keep_days",
)


class InstanceForm(forms.ModelForm):
    email_domains = DomainsField()

    class Meta:
        help_texts = {"staff_may_approve": "Otherwise, only owners can approve, deny, import rosters and invite."}
        widgets = {"accent": UnfoldAdminColorInputWidget(), "services": UnfoldAdminCheckboxSelectMultipleWidget()}


class NewInstanceForm(InstanceForm):
    """Nothing that a new instance needs is left out: what is not asked for is filled in."""

    owner_email = forms.EmailField(
        label="E-mail of the first owner",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "email", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Owners approve members and set limits. If this is the confirmed address of an account, its owner becomes an owner "
        "right away. Otherwise, an invitation is sent to the address.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False
        self.fields["slug"].help_text = (
            "Used in web addresses and as the name of the namespace. It cannot be changed later. Leave empty to derive it from "
            "the title."
        )
        current = ServiceTemplate.objects.filter(is_current=True)
        services = self.fields["services"]
        services.queryset = current  # type: ignore[attr-defined]
        services.initial = [row.pk for row in current.filter(kind=ServiceKind.LAB)]

    def clean_slug(self) -> str:
        return str(self.cleaned_data.get("slug") or "") or free_slug(str(self.cleaned_data.get("title") or ""))


@admin.register(Instance)
class InstanceAdmin(ScopedAdmin):
    list_display = (
        "title",
        "kind",
        "standing",
        "members_approved",
        "labs_live",
        "starts_on",
        "ends_on",
        "clusters_shown",
    )
    list_filter = (("kind", ChoicesDropdownFilter), ("policy", ChoicesDropdownFilter))
    search_fields = ("title", "slug", "summary")
    ordering = ("title",)
    date_hierarchy = None
    actions_detail = ("archive",)
    warn_unsaved_form = True

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, tuple[str, ...]]:
        return {} if obj else {"slug": ("title",)}

    # What is shown ---------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> Rows:
        live = Lab.objects.live().filter(instance=OuterRef("pk")).order_by().values("instance")
        approved = Count("memberships", filter=Q(memberships__status=Status.APPROVED))
        return (
            super()
            .get_queryset(request)
            .prefetch_related("places__cluster")
            .annotate(approved=approved, live=Coalesce(Subquery(live.annotate(n=Count("pk")).values("n")), 0))
        )

    @admin.display(description="State")
    def standing(self, row: Instance) -> SafeString:
        if row.archived_at:
            return pill("Archived", "off")
        phase = row.phase(timezone.localdate())
        return pill(str(phase.label), "ok" if phase == Phase.RUNNING else "off")

    @admin.display(description="Members", ordering="approved")
    def members_approved(self, row: Any) -> int:
        return int(row.approved)

    @admin.display(description="Current labs", ordering="live")
    def labs_live(self, row: Any) -> int:
        return int(row.live)

    @admin.display(description="Clusters")
    def clusters_shown(self, row: Instance) -> str:
        return ", ".join(str(place.cluster) for place in row.places.all())

    @admin.display(description="Domains", empty_value="none")
    def domains_shown(self, row: Instance) -> str | None:
        return ", ".join(row.email_domains) or None

    @admin.display(description="Namespace")
    def namespace_shown(self, row: Instance) -> str:
        return row.namespace

    @admin.display(description="Cluster problem")
    def trouble(self, row: Instance) -> str:
        return row.problem

    def get_fieldsets(self, request: HttpRequest, obj: Instance | None = None) -> Any:
        if obj is None:
            return (
                (None, {"fields": ("title", "slug", "kind", "owner_email")}),
                ("Pages", {"fields": PAGES[2:]}),
                ("Access and dates", {"fields": ACCESS}),
                ("Services", {"fields": ("services",)}),
            )
        # unfold writes JSON that cannot be changed with inline styles, which the policy forbids.
        reads = not self.has_change_permission(request, obj)
        access = tuple("domains_shown" if reads and name == "email_domains" else name for name in ACCESS)
        place = ("slug", "namespace_shown", *(() if reach(request).is_administrator else ("clusters_shown",)))
        place += ("trouble",) if obj.problem else ()
        return (
            ("Pages", {"fields": PAGES}),
            ("Access and dates", {"fields": access}),
            ("Services", {"fields": ("services",)}),
            ("Where it runs", {"fields": place}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Instance | None = None) -> tuple[str, ...]:
        """The slug names the namespace, and is never changed; the clusters are the site administrators' choice."""
        if obj is None:
            return ()
        return ("slug", "namespace_shown", "trouble", "clusters_shown", "domains_shown")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["form"] = InstanceForm if obj else NewInstanceForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_inlines(self, request: HttpRequest, obj: Any) -> tuple[type, ...]:
        places = (PlacesInline,) if reach(request).is_administrator else ()
        if obj is None:
            return places
        return (*places, WholeInline, MemberInline, *((PersonalInline,) if fits_in_form(request, obj) else ()))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, str(object_id))
        may = row and not row.archived_at and authority.can_change_instance(request.user, row)
        return super().get_actions_detail(request, object_id) if may else []

    def beside(self, request: HttpRequest, obj: Instance | None) -> dict[str, Any]:
        """With its plots, and the ways to what belongs to it."""
        if obj is None:
            return {}
        plots: dict[str, Any] = {
            "row_charts": instance_charts(obj, timezone.now()),
            "row_links": _links(obj, may_write=reach(request).writes(obj.pk)),
        }
        if not obj.archived_at and self.has_change_permission(request, obj):
            items = checklist(obj)
            plots |= {"row_checklist": items} if any(not item.is_done for item in items) else {}
        return super().beside(request, obj) | plots

    # What may be done ------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).is_administrator

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if isinstance(obj, Instance):
            return may(request, authority.can_change_instance, obj)
        return reach(request).owns_any

    def save_model(self, request: HttpRequest, obj: Instance, form: Any, change: bool) -> None:
        save_instance(obj, actor=person(request), now=timezone.now(), is_confirmed=CONFIRMED in request.POST)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        actor, now = person(request), timezone.now()
        if "services" in form.cleaned_data:
            offer(form.instance, form.cleaned_data["services"], actor=actor, now=now)
        for formset in formsets:
            (save_places if formset.model is InstanceCluster else save_limits)(request, formset)
        if not change:
            set_first_limits(form.instance, actor=actor, now=now)
            email = form.cleaned_data["owner_email"]
            if not name_owner(form.instance, email, actor=actor, now=now):
                self.message_user(request, f"An invitation is being sent to {email}.", "info")

    def response_post_save_add(self, request: HttpRequest, obj: Instance) -> HttpResponse:
        """To its own page, where the list of what is still missing stands."""
        return HttpResponseRedirect(reverse("admin:labs_instance_change", args=[obj.pk]))

    @action(description="Archive", url_path="archive")
    def archive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks, POST does."""
        row = self.object_or_404(request, object_id)
        if not authority.can_change_instance(request.user, row):
            raise PermissionDenied
        here = reverse("admin:labs_instance_change", args=[row.pk])
        if request.method == "POST":
            if archive(row, actor=person(request), now=timezone.now()):
                self.message_user(request, f"{row} has been archived. Its labs are being stopped.", "success")
            return HttpResponseRedirect(here)
        members = counted(Membership.objects.approved().filter(instance=row).count(), "member", "members")
        question = Question(
            title=f"Archive {row}?",
            lead=(
                "All its labs are stopped and the files in them are deleted. Nobody can launch labs in it any more. Everyone "
                "whose lab is stopped gets an e-mail. You cannot undo this here. {_kept(row.keep_days)}"
            ),
            button="Archive",
            is_danger=True,
        )
        return ask(self, request, question, [(str(row), f"{members}, {running(row)} running or starting")], here)


def _kept(days: int) -> str:
    if not days:
        return "Its volumes on the clusters are deleted as soon as all its labs have ended."
    return f"Its volumes on the clusters are deleted after {days} {'day' if days == 1 else 'days'}."


def _links(row: Any, *, may_write: bool) -> list[tuple[str, str]]:
    """To the lists, each with this instance's rows only, and to its page on the site."""
    letter = [("Write a message", f"{reverse('admin:accounts_letter_add')}?instance={row.pk}")] if may_write else []
    of_it = f"?instance__id__exact={row.pk}"
    count = personal_limits(row)
    address = f"{reverse('admin:labs_quota_changelist')}{of_it}&scope__exact={Scope.PERSON}"
    personal = [(f"Personal limits ({count})", address)] if count > MOST_IN_FORM else []
    return [
        (f"People ({row.approved})", reverse("people", args=[row.slug])),
        ("Import a roster", reverse("roster-import", args=[row.slug])),
        ("Class labs", reverse("classes", args=[row.slug])),
        *letter,
        (f"Labs now ({row.live})", reverse("admin:labs_lab_changelist") + of_it),
        ("Limits", reverse("admin:labs_quota_changelist") + of_it),
        *personal,
        ("History", reverse("admin:labs_event_changelist") + of_it),
        ("View on site", row.get_absolute_url()),
    ]
