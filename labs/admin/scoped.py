"""What every page of the console is built on: own instances only, in lists, forms, choices, filters and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone
from django.utils.text import capfirst
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import RelatedDropdownFilter

from labs.access import Rows, reach, within_reach
from labs.errors import Refusal, Unconfirmed
from labs.models import Instance

from .confirm import AGAIN, Question, ask, form_fields, unpack_keys
from .dates import day_field
from .exports import TABLES
from .history import history_link, history_of

#: Lookups of a date that take a number.
PARTS_OF_TIME = {
    "year",
    "iso_year",
    "month",
    "day",
    "week",
    "week_day",
    "iso_week_day",
    "quarter",
    "hour",
    "minute",
    "second",
}


class Scoped:
    """Mixin of model admins and inlines. Django's permission tables are not asked: the person's instances are.

    Read-only unless a class says otherwise.
    """

    def get_queryset(self, request: HttpRequest) -> Rows:
        return within_reach(super().get_queryset(request), request.user)  # type: ignore[misc]

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> Rows:
        """The choices of a foreign key."""
        related = db_field.remote_field.model
        return within_reach(related._default_manager.all(), request.user)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Days by the browser's calendar, and no buttons beside a choice that open another form in a window of its own."""
        if field := day_field(db_field):
            return field
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if field and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).enters and (obj is None or _is_within(request, obj))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _is_within(request: HttpRequest, obj: Any) -> bool:
    """Whether a loaded object belongs to what the person runs; the last look, after the query has been scoped."""
    if reach(request).is_administrator or isinstance(obj, str):
        return reach(request).enters
    holder = obj.instance_id if hasattr(obj, "instance_id") else obj.pk
    return reach(request).manages(holder)


#: On the form to which one goes back from the question.
NOTHING_SAVED = "Nothing has been saved yet. Make your changes and save again."


def _with_errors(form: Any, sentences: list[str]) -> Any:
    """The form class, refused with these sentences: what was typed stays in it."""

    class WithErrors(form):
        def clean(self) -> Any:
            data = super().clean()
            for sentence in sentences:
                self.add_error(None, sentence)
            return data

    return WithErrors


class ScopedInline(Scoped, TabularInline):
    extra = 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """The head of a column names its fields to the eye only; each says it itself, too."""
        formset = super().get_formset(request, obj, **kwargs)
        for name, field in formset.form.base_fields.items():
            field.widget.attrs.setdefault("aria-label", capfirst(field.label or name))
        return formset


class ScopedAdmin(Scoped, ModelAdmin):
    """A page of the console. Its rows hang on an instance (`labs.access.RULES`)."""

    is_of_console = True
    view_on_site = False
    list_per_page = 50
    list_filter_sheet = True
    compressed_fields = True
    #: What the head of the page calls the rows; empty: the model's own word.
    plural = ""
    #: Lookups beside those of the filters that a link of ours may carry.
    extra_lookups: tuple[str, ...] = ()
    list_filter: Sequence[Any] = ()
    change_form_outer_before_template = "admin/before.html"
    change_form_outer_after_template = "admin/after.html"

    def get_urls(self) -> list[Any]:
        """With the table of what the list shows, for those of `labs.admin.exports`."""
        urls: list[Any] = super().get_urls()
        if self.model in TABLES:
            name = f"{self.opts.app_label}_{self.opts.model_name}_export"
            urls.insert(0, path("export/", self.admin_site.admin_view(self.export_view), name=name))
        return urls

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only what a filter offers. Django allows every field of the row itself, which would let a hash be guessed letter by letter."""
        if lookup in self.extra_lookups:
            return True
        if lookup.rpartition("__")[2] in PARTS_OF_TIME and not _is_part_of_time(value):
            return False
        offered = {self.date_hierarchy}
        for item in self.list_filter:
            offered.add(item[0] if isinstance(item, tuple) else getattr(item, "parameter_name", item))
        return lookup.split("__")[0] in offered and super().lookup_allowed(lookup, value, request)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> NoReturn:
        """Missing and not yours: the same answer, here and on every other page of the site."""
        raise Http404

    def object_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """The object, if it is within reach."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        return obj

    def list_title(self, request: HttpRequest) -> str:
        """What the list is called, in its head and in the browser's tab."""
        return self.plural or str(capfirst(self.opts.verbose_name_plural))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        request.console_title = self.list_title(request)  # type: ignore[attr-defined]
        unpack_keys(request)
        for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.run_validators(self.opts.pk.to_python(key))
            except ValidationError:
                raise BadRequest("no key of a row") from None
        export = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_export") if self.model in TABLES else ""
        # Django's own title is "Select membership to change".
        more = {"title": request.console_title, **(extra_context or {}), "export_url": export}  # type: ignore[attr-defined]
        return super().changelist_view(request, more)

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The rows of the list with these filters and this search, all pages of it, as CSV. Scoped as the list itself is."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        asked = request.GET.copy()
        asked.pop(PAGE_VAR, None)
        request.GET = asked  # type: ignore[assignment]
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            raise BadRequest("no such filter") from None
        return TABLES[self.model].response(rows, timezone.now())

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        request.console_title = self.plural  # type: ignore[attr-defined]
        context["show_save_and_add_another"] = False
        context |= self.beside(request, kwargs.get("obj"))
        return super().render_change_form(request, context, *args, **kwargs)

    def beside(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What stands under the form of a row: its history, and more where a page has it."""
        if obj is None:
            return {}
        return {
            "row_history": history_of(obj),
            "row_history_link": history_link(obj),
            "row_history_about": isinstance(obj, Instance),
        }

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The site's own history in the place of Django's, which knows nothing of what happened outside of this console."""
        obj = self.object_or_404(request, object_id)
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        link = history_link(obj)
        if not link:
            raise Http404
        return HttpResponseRedirect(link)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, with what a service has said to it in this request."""
        form = super().get_form(request, obj, change=change, **kwargs)
        said: list[str] = getattr(request, "_console_said", [])
        return _with_errors(form, said) if said else form

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if object_id is not None:
            # Django asks for permission first, and would answer "refused" where "missing" is right.
            self.object_or_404(request, object_id)
        said: list[str] = [NOTHING_SAVED] if AGAIN in request.POST else []
        for _ in range(2):
            request._console_said = said  # type: ignore[attr-defined]
            try:
                return super().changeform_view(request, object_id, form_url, extra_context)
            except Unconfirmed as unconfirmed:
                return self._asked(request, unconfirmed)
            except ValidationError as refusal:
                said = refusal.messages
            except Refusal as refusal:
                said = [refusal.message]
        raise PermissionDenied  # A form with an error is never saved, so that no service can refuse it.

    def _asked(self, request: HttpRequest, unconfirmed: Unconfirmed) -> HttpResponse:
        """The question before a form is saved that would end other people's work."""
        question = Question(
            title="Save this change?", lead=unconfirmed.message, button="Save the change", is_danger=True,
            hidden=form_fields(request), is_of_form=True,
        )  # fmt: skip
        return ask(self, request, question, [], request.get_full_path())

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        self.object_or_404(request, object_id)
        try:
            return super().delete_view(request, object_id, extra_context)
        except Refusal as refusal:
            return self._refused(request, refusal)

    def _refused(self, request: HttpRequest, refusal: Refusal | ValidationError) -> HttpResponse:
        """A service said no, and the transaction is gone: say why, on the same page as it is now. Nothing was typed there."""
        sentences = refusal.messages if isinstance(refusal, ValidationError) else [refusal.message]
        messages.error(request, " ".join(sentences))
        return HttpResponseRedirect(request.get_full_path())


class AdministratorsOnly(ScopedAdmin):
    """A page for the people who run the site."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).is_administrator

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).is_administrator

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).is_administrator


class ReachableFilter(RelatedDropdownFilter):
    """A filter by a related row, with the choices that the person may see; left out when there is but one."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        rows = within_reach(field.remote_field.model._default_manager.all(), request.user)
        return [(row.pk, str(row)) for row in rows]


def _is_part_of_time(value: Any) -> bool:
    """Whether it can be a year, a month and so on; the data base's driver fails at larger numbers."""
    text = str(value)
    return text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= 9999 and len(text) <= 4
