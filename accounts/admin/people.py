"""Everybody with an account: for site administrators. Nothing of a password is shown or set here."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.enums import ActionVariant

from accounts.forms import AddressField
from accounts.models import User
from accounts.services import sign_in, standing
from labs.access import person
from labs.admin.confirm import CONFIRMED, Question, ask
from labs.admin.pills import when
from labs.admin.scoped import AdministratorsOnly
from labs.errors import Refusal
from labs.services.toll import counted

UNLINK = Question(
    title="Unlink these sign-ins?",
    lead="Do this if a person's provider now identifies them differently. They are signed out everywhere. The next person who "
    "signs in with a provider that confirms this account's address gets the account, so first verify who is asking.",
    button="Unlink",
    is_danger=True,
)


class AdministratorFilter(admin.BooleanFieldListFilter):
    """In the words of the form, not in Django's "superuser status"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "site administrator"


@admin.register(User)
class UserAdmin(AdministratorsOnly):
    list_display = ("email", "name", "affiliation", "is_active", "administers", "registered", "came_last")
    list_filter = ("is_active", ("is_superuser", AdministratorFilter))
    search_fields = ("email", "name", "affiliation")
    search_help_text = "E-mail, name or affiliation"
    ordering = ("email",)
    actions_detail = ("unlink",)
    readonly_fields = ("registered", "came_last")
    fieldsets = (
        (None, {"fields": ("email", "name", "affiliation")}),
        ("Access", {"fields": ("is_active", "is_superuser", "registered", "came_last")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "fields": ("email", "name", "affiliation"),
                "description": "They set their own password with “Forgot your password?” on the sign-in page.",
            },
        ),
    )

    @admin.display(description="Administrator", ordering="is_superuser")
    def administers(self, row: User) -> str:
        return "yes" if row.is_superuser else ""

    @admin.display(description="Registered", ordering="created_at")
    def registered(self, row: User) -> SafeString:
        return format_html('<span class="c-when">{}</span>', f"{timezone.localtime(row.created_at):%-d %b %Y}")

    @admin.display(description="Last sign-in", ordering="last_login")
    def came_last(self, row: User) -> SafeString | str:
        return when(row.last_login) if row.last_login else "never"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "email":
            kwargs["form_class"] = AddressField
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name == "is_superuser":
            field.label = "Site administrator"
            field.help_text = "Can see and change everything in every instance."
        if field and db_field.name == "name":
            # The model's own help speaks to the person themselves.
            field.help_text = ""
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """The address is the identity, and nobody locks themselves out."""
        fixed = ("email",) if obj else ()
        own = ("is_active", "is_superuser") if obj and obj.pk == request.user.pk else ()
        return (*self.readonly_fields, *fixed, *own)

    @action(description="Unlink sign-ins", url_path="unlink", permissions=["change"], variant=ActionVariant.DANGER)
    def unlink(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks, POST does: for somebody whom their provider knows by another subject now."""
        row = self.object_or_404(request, object_id)
        here = reverse("admin:accounts_user_change", args=[row.pk])
        if request.method != "POST":
            found = SocialAccount.objects.filter(user=row).order_by("pk")
            return ask(self, request, UNLINK, [(sign_in.subject(one), when(one.last_login)) for one in found], here)
        try:
            count = sign_in.release(row, actor=person(request), now=timezone.now())
        except Refusal as refusal:
            self.message_user(request, refusal.message, "error")
        else:
            text = (
                f"Unlinked {counted(count, 'sign-in', 'sign-ins')} of {row}."
                if count
                else f"{row} has no linked sign-ins."
            )
            self.message_user(request, text, "success" if count else "info")
        return HttpResponseRedirect(here)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        standing.save_person(obj, actor=person(request), now=timezone.now(), is_confirmed=CONFIRMED in request.POST)
