"""Limits in the console: on the page of an instance, and in a list of their own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from accounts.models import Membership, User
from accounts.rules import authority
from k8s.resources import BY_KEY, KEYS, RESOURCES, Resource
from labs.access import Rows, may, person, reach
from labs.models import Instance, Quota, Scope
from labs.services.limits import remove_limits, set_limits

from .quantities import scaled_formfield
from .scoped import ReachableFilter, ScopedAdmin, ScopedInline

#: Personal limits that one form holds. A row has ten fields, and Django refuses a form of more than a thousand.
MOST_IN_FORM = 60
#: What Django calls the third table of limits in the form of an instance.
PERSONAL = "quotas-3"
#: The same for reading, in the units of people.
SHOWN = tuple(f"shown_{key}" for key in KEYS)


def with_address(user: User | None) -> str:
    """The name with the address: two people may have the same name."""
    if user is None:
        return ""
    return f"{user.name} ({user.email})" if user.name else user.email


def _column(resource: Resource) -> Any:
    @admin.display(description=resource.title, ordering=resource.key)
    def shown(self: Any, row: Quota) -> str:
        return resource.text(getattr(row, resource.key))

    return shown


class InWords:
    """Columns of a limit for reading, one for each resource (SHOWN)."""


for _resource in RESOURCES:
    setattr(InWords, f"shown_{_resource.key}", _column(_resource))


class FriendlyFields:
    """Cores, GiB and hours in the place of the row's numbers."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = scaled_formfield(db_field) or super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if field and (resource := BY_KEY.get(db_field.name)):
            if resource.factor == 1:
                field.label, field.help_text = resource.head, resource.help_text
            field.widget.attrs.setdefault("placeholder", "no limit")
        return field


class QuotaForm(forms.ModelForm):
    """A row whose scope may be fixed by where it stands."""

    scope_here: Scope | None = None
    #: Whose own row is for reading only.
    viewer_pk: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.scope_here:
            self.instance.scope = self.scope_here
        user = self.fields.get("user")
        if self.instance.pk and isinstance(user, forms.ModelChoiceField):
            user.disabled = True
            # With every member as a choice in every row, a course of 200 would be a page of 40 000 choices.
            user.choices = [(self.instance.user_id, with_address(self.instance.user))]
        if self.viewer_pk and self.instance.pk and self.instance.user_id == self.viewer_pk:
            for field in self.fields.values():
                field.disabled = True

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        instance, user = data.get("instance") or getattr(self.instance, "instance", None), data.get("user")
        if not instance or not user or self.instance.pk:
            return data
        if not Membership.objects.filter(instance=instance, user=user).exists():
            self.add_error("user", f"{user} is not a member of {instance}.")
        elif Quota.objects.filter(instance=instance, user=user, scope=Scope.PERSON).exists():
            self.add_error("user", f"{user} already has personal limits.")
        return data


class PersonalForm(QuotaForm):
    scope_here = Scope.PERSON

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "user" in self.fields:
            self.fields["user"].required = True


class MemberForm(QuotaForm):
    scope_here = Scope.MEMBER


class WholeForm(QuotaForm):
    scope_here = Scope.INSTANCE


class LimitsInline(FriendlyFields, InWords, ScopedInline):
    """Limits on the page of their instance; changed by its owners."""

    model = Quota
    scope: Scope
    max_num: int | None = 1
    empty_value_display = "no limit"

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).filter(scope=self.scope).select_related("user", "instance")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if self.has_change_permission(request, obj):
            return (*(("user",) if self.scope == Scope.PERSON else ()), *KEYS)
        return (*(("person",) if self.scope == Scope.PERSON else ()), *SHOWN)

    @admin.display(description="Person")
    def person(self, row: Quota) -> str:
        return with_address(row.user)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if self.has_change_permission(request, obj) else self.get_fields(request, obj)

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """One empty row where there is none yet; more by the link under them."""
        if self.max_num != 1 or not self.has_change_permission(request, obj):
            return 0
        return 0 if obj and Quota.objects.filter(instance=obj, scope=self.scope).exists() else 1

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).enters

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return isinstance(obj, Instance) and may(request, authority.can_change_limits, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)


class WholeInline(LimitsInline):
    scope = Scope.INSTANCE
    form = WholeForm
    verbose_name = verbose_name_plural = "Limits of the whole instance"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return isinstance(obj, Instance) and may(request, authority.can_change_instance_limits, obj)


class MemberInline(LimitsInline):
    scope = Scope.MEMBER
    form = MemberForm
    verbose_name = verbose_name_plural = "Limits of each member"


class PersonalInline(LimitsInline):
    scope = Scope.PERSON
    form = PersonalForm
    max_num = None
    verbose_name = "person"
    verbose_name_plural = "Personal limits, which replace those of each member"

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        field = formset.form.base_fields.get("user")
        formset.form.viewer_pk = None if reach(request).is_administrator else request.user.pk
        if field is not None:
            people = [
                (row.user_id, with_address(row.user)) for row in _members(obj) if row.user_id != formset.form.viewer_pk
            ]
            # One query for the choices of all rows: each row's own field would ask again.
            field.choices = [("", "Choose a person"), *people]
            _start_from_default(formset.form, obj)
        return formset


def personal_limits(instance: Instance) -> int:
    """How many people have limits of their own there."""
    return Quota.objects.filter(instance=instance, scope=Scope.PERSON).count()


def fits_in_form(request: HttpRequest, instance: Instance) -> bool:
    """Whether the personal limits stand in the form of their instance; else a list of their own has them. A form that was sent with
    them is read with them, however many there are by now.
    """
    if request.method == "POST":
        return f"{PERSONAL}-TOTAL_FORMS" in request.POST
    return personal_limits(instance) <= MOST_IN_FORM


def _start_from_default(form: Any, instance: Instance) -> None:
    """A new row begins as what everybody has. It replaces that as a whole, so one left empty would be without any limit."""
    default = Quota.objects.filter(instance=instance, scope=Scope.MEMBER).first()
    for name in KEYS:
        form.base_fields[name].initial = getattr(default, name, None)


def _members(instance: Instance) -> Rows:
    return Membership.objects.filter(instance=instance).select_related("user").order_by("user__name", "user__email")


def save_limits(request: HttpRequest, formset: Any) -> None:
    """What the inlines carry, through the services."""
    now = timezone.now()
    rows = formset.save(commit=False)
    for row in formset.deleted_objects:
        remove_limits(row, actor=person(request), now=now)
    for row in rows:
        set_limits(row, actor=person(request), now=now)


@admin.register(Quota)
class QuotaAdmin(FriendlyFields, InWords, ScopedAdmin):
    list_display = ("instance", "whose", *SHOWN)
    list_select_related = ("instance", "user")
    list_filter = (("instance", ReachableFilter), ("scope", ChoicesDropdownFilter))
    search_fields = ("instance__title", "user__name", "user__email")
    search_help_text = "Instance or person"
    ordering = ("instance__title", "scope", "user__name")
    form = QuotaForm

    @admin.display(description="For", ordering="scope")
    def whose(self, row: Quota) -> str:
        return with_address(row.user) if row.scope == Scope.PERSON else row.get_scope_display()

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).select_related("instance", "user")

    def get_fields(self, request: HttpRequest, obj: Quota | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("instance", "scope", "user", *KEYS)
        return ("instance", "whose", *(KEYS if self.has_change_permission(request, obj) else SHOWN))

    def get_readonly_fields(self, request: HttpRequest, obj: Quota | None = None) -> tuple[str, ...]:
        return () if obj is None else ("instance", "whose", *SHOWN)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "scope" and not reach(request).is_administrator:
            kwargs["choices"] = [choice for choice in Scope.choices if choice[0] != Scope.INSTANCE]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> Rows:
        """One sets limits in the instances that one owns."""
        rows = super().get_field_queryset(db, db_field, request)
        if db_field.name == "instance" and not reach(request).is_administrator:
            return rows.filter(pk__in=reach(request).owned)
        return rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).owns_any

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not isinstance(obj, Quota):
            return reach(request).owns_any
        return may(request, authority.can_change_quota, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Quota, form: Any, change: bool) -> None:
        set_limits(obj, actor=person(request), now=timezone.now())

    def delete_model(self, request: HttpRequest, obj: Quota) -> None:
        remove_limits(obj, actor=person(request), now=timezone.now())
