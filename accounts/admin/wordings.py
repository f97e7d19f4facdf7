"""An instance's own words for its mails, in the console: the site's words to begin with, a preview, and the way back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from accounts.models import MailKind, MailTemplate
from accounts.services import wording, wordings
from accounts.services.wording import Words
from labs.access import person, reach
from labs.admin.confirm import Question, ask
from labs.admin.pills import when
from labs.admin.scoped import ReachableFilter
from labs.errors import Refusal
from labs.models import Instance

from .owned import OwnersOnly, owned

#: A preview is a mail and not a page of the console: nothing is loaded, nothing runs, and only the console may frame it.
PREVIEW_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
KINDS = [kind for kind in MailKind if kind != MailKind.LETTER]


class WordsForm(forms.Form):
    subject = forms.CharField(max_length=150, widget=forms.TextInput(attrs={"class": "c-input", "autocomplete": "off"}))
    body = forms.CharField(
        label="Text", max_length=5000, widget=forms.Textarea(attrs={"class": "c-input", "rows": 14}), strip=False
    )


@admin.register(MailTemplate)
class MailTemplateAdmin(OwnersOnly):
    list_display = ("kind", "instance", "subject", "changed")
    list_select_related = ("instance",)
    plural = "E-mail texts"
    list_filter = (("kind", ChoicesDropdownFilter), ("instance", ReachableFilter))
    ordering = ("instance__title", "kind")
    actions = None

    @admin.display(description="Changed", ordering="updated_at")
    def changed(self, row: MailTemplate) -> SafeString:
        return when(row.updated_at)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).owns_any

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.preview)
        return [path("preview/", view, name="accounts_mailtemplate_preview"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """First in which instance, then which mail, then its words."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)
        instance = self.instance_asked_for(request)
        if isinstance(instance, HttpResponse):
            return instance
        wanted = request.GET.get("kind", "")
        known = {row.kind: row for row in MailTemplate.objects.filter(instance=instance)}
        if not wanted:
            remark = {kind: "customized" if kind in known else "" for kind in KINDS}
            links = [(kind.label, remark[kind], f"?instance={instance.pk}&kind={kind}") for kind in KINDS]
            return self.choose(request, f"Which e-mail text of {instance}?", links)
        if wanted not in KINDS:
            raise Http404
        if wanted in known:
            return HttpResponseRedirect(reverse("admin:accounts_mailtemplate_change", args=[known[wanted].pk]))
        words = wording.built_in(MailKind(wanted))
        return self._edit(request, MailTemplate(instance=instance, kind=wanted, subject=words.subject, body=words.body))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self._edit(request, self.object_or_404(request, object_id))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """GET asks, POST does."""
        row = self.object_or_404(request, object_id)
        if request.method == "POST":
            wordings.remove(row, actor=person(request), now=timezone.now())
            self.message_user(request, f"The e-mail “{row.get_kind_display()}” uses the default text again.", "success")
            return HttpResponseRedirect(reverse("admin:accounts_mailtemplate_changelist"))
        question = Question(
            title="Restore the default text?", lead="Your text for this e-mail will be deleted.",
            button="Restore default text", is_danger=True,
        )  # fmt: skip
        here = reverse("admin:accounts_mailtemplate_change", args=[row.pk])
        return ask(self, request, question, [(str(row), row.subject)], here)

    def _edit(self, request: HttpRequest, row: MailTemplate) -> HttpResponse:
        first = {"subject": row.subject, "body": row.body}
        form = WordsForm(request.POST if request.method == "POST" else None, initial=first)
        if request.method == "POST" and form.is_valid():
            row.subject, row.body = form.cleaned_data["subject"], form.cleaned_data["body"]
            try:
                wordings.save(row, actor=person(request), now=timezone.now())
            except Refusal as refusal:
                for name, sentence in (refusal.errors or {"": refusal.message}).items():
                    form.add_error(name or None, sentence)
            else:
                self.message_user(request, f"Saved: {row}.", "success")
                return HttpResponseRedirect(reverse("admin:accounts_mailtemplate_change", args=[row.pk]))
        more = {
            "form": form, "row": row, "offers": wording.KINDS[MailKind(row.kind)].offers,
            "preview": reverse("admin:accounts_mailtemplate_preview") + f"?instance={row.instance_id}&kind={row.kind}",
            "remove": reverse("admin:accounts_mailtemplate_delete", args=[row.pk]) if row.pk else "",
        }  # fmt: skip
        return self.page(request, "admin/wording.html", str(row), more, 400 if form.errors else 200)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """The mail with the words of the form, as it would look; nothing is kept."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        kind, wanted = request.GET.get("kind", ""), request.GET.get("instance", "")
        instance: Instance | None = (
            owned(request).filter(pk=wanted).first() if wanted.isdecimal() and len(wanted) < 10 else None
        )
        if instance is None or kind not in KINDS:
            raise Http404
        words = Words(request.POST.get("subject", "")[:150], request.POST.get("body", "")[:5000])
        try:
            mail = wordings.preview(MailKind(kind), words, instance, person(request))
        except Refusal as refusal:
            return _framed(format_html("<!doctype html><p>{}</p>", refusal.message), 400)
        head = format_html('<body><p class="foot">Subject: <b>{}</b></p>', mail.subject)
        return _framed(mail.html.replace("<body>", head, 1))


def _framed(html: str, status: int = 200) -> HttpResponse:
    response = HttpResponse(html, status=status)
    response["Content-Security-Policy"] = PREVIEW_POLICY
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response
