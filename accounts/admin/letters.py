"""Letters in the console: written by an owner, looked at once more with the number of people, then sent."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.models import Letter, MailState
from accounts.services import letters
from accounts.services.letters import EVERYBODY, MANAGERS, SECTION
from labs.access import Rows, person, reach
from labs.admin.confirm import CONFIRMED, Question, ask
from labs.admin.pills import when
from labs.admin.scoped import ReachableFilter
from labs.errors import Refusal
from labs.models import Instance

from .owned import OwnersOnly

#: Chosen members that an address of ours carries.
MOST_CHOSEN = 200


class LetterForm(forms.Form):
    """What an owner types. `to`: one of the audiences of the instance."""

    to = forms.ChoiceField(label="To", widget=forms.Select(attrs={"class": "c-input"}))
    subject = forms.CharField(
        max_length=letters.LONGEST_SUBJECT, widget=forms.TextInput(attrs={"class": "c-input", "autocomplete": "off"})
    )
    text = forms.CharField(
        label="Message", max_length=letters.LONGEST_TEXT, widget=forms.Textarea(attrs={"class": "c-input", "rows": 12}),
        help_text="Plain text. A blank line starts a new paragraph. Web addresses become links.",
    )  # fmt: skip
    #: Memberships, when the letter goes to some that were chosen.
    chosen = forms.RegexField(r"^(\d{1,9}(,\d{1,9})*)?$", required=False, widget=forms.HiddenInput())
    #: The same letter, however often the button is pressed.
    letter = forms.UUIDField(widget=forms.HiddenInput())

    def __init__(self, instance: Instance, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = letters.sections(instance)
        choices = [(EVERYBODY, f"Everyone in {instance}"), (MANAGERS, "Owners and staff")]
        choices += [(SECTION + section, f"Section {section}") for section in named]
        if picked := self.picked():
            choices.insert(0, ("", f"The {len(picked)} selected members"))
            self.fields["to"].required = False
        self.fields["to"].choices = choices  # type: ignore[attr-defined]

    def picked(self) -> list[int]:
        """The memberships that were chosen."""
        given = str((self.data if self.is_bound else self.initial).get("chosen") or "")
        return [int(word) for word in given.split(",") if word.isdecimal()][:MOST_CHOSEN]


@admin.register(Letter)
class LetterAdmin(OwnersOnly):
    list_display = ("subject", "instance", "audience", "author_name", "written", "outcome")
    list_select_related = ("instance",)
    plural = "Messages"
    list_filter = (("instance", ReachableFilter),)
    search_fields = ("subject", "text", "author_name")
    search_help_text = "Subject, text or sender"
    ordering = ("-created_at", "pk")
    fields = ("subject", "body", "audience", "instance", "author_name", "written", "outcome", "mails_of_it")
    actions = None

    def its_instances(self, request: HttpRequest) -> Rows:
        """Also those in which the owners let the staff write."""
        rows = Instance.objects.managed_by(person(request)).order_by("title")
        mine = reach(request)
        return rows if mine.is_administrator else rows.filter(pk__in=mine.writable)

    def is_theirs(self, request: HttpRequest, instance_id: int | None = None) -> bool:
        mine = reach(request)
        return mine.writes_any if instance_id is None else mine.writes(instance_id)

    def get_fields(self, request: HttpRequest, obj: Letter | None = None) -> tuple[str, ...]:
        """Who got which mail is for the owners."""
        sees_mails = obj is None or reach(request).owns(obj.instance_id)
        return self.fields if sees_mails else tuple(name for name in self.fields if name != "mails_of_it")

    def get_queryset(self, request: HttpRequest) -> Rows:
        states = {state: Count("mails", filter=Q(mails__state=state)) for state in MailState.values}
        return super().get_queryset(request).select_related("instance").annotate(**states)

    @admin.display(description="Message")
    def body(self, row: Letter) -> SafeString:
        return format_html('<div class="c-letter">{}</div>', row.text)

    @admin.display(description="Written", ordering="created_at")
    def written(self, row: Letter) -> SafeString:
        return when(row.created_at)

    @admin.display(description="E-mails")
    def outcome(self, row: Any) -> str:
        """How many of its mails are where: "28 sent, 2 waiting". Those that are not kept any longer are counted still."""
        counts = [(int(getattr(row, state.value)), state.label.lower()) for state in MailState]
        counts.append((row.count - sum(number for number, _ in counts), "no longer stored"))
        return ", ".join(f"{number} {word}" for number, word in counts if number > 0) or "none"

    @admin.display(description="")
    def mails_of_it(self, row: Letter) -> SafeString:
        url = reverse("admin:accounts_mail_changelist")
        return format_html('<a class="c-link" href="{}?letter__id__exact={}">Recipients</a>', url, row.pk)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).writes_any

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form; on POST the question with the number of people; on its POST the letter."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)
        instance = self.instance_asked_for(request)
        if isinstance(instance, HttpResponse):
            return instance
        first = {"chosen": request.GET.get("chosen", ""), "letter": uuid.uuid4(), "to": EVERYBODY}
        if first["chosen"]:
            first["to"] = ""
        form = LetterForm(instance, request.POST if request.method == "POST" else None, initial=first)
        if request.method == "POST" and form.is_valid():
            try:
                return self._look_or_send(request, instance, form)
            except Refusal as refusal:
                for name, sentence in (refusal.errors or {"": refusal.message}).items():
                    form.add_error(name or None, sentence)
        more = {"form": form, "instance": instance}
        return self.page(
            request, "admin/letter.html", f"Message to members of {instance}", more, 400 if form.errors else 200
        )

    def _look_or_send(self, request: HttpRequest, instance: Instance, form: LetterForm) -> HttpResponse:
        given = form.cleaned_data
        subject, text = letters.check(given["subject"], given["text"])
        if CONFIRMED in request.POST:
            letter = letters.write_letter(
                pk=given["letter"], instance=instance, subject=subject, text=text, to=given["to"], chosen=form.picked(),
                actor=person(request), now=timezone.now(),
            )  # fmt: skip
            self.message_user(request, f"Your message is being sent to {people(letter.count)}.", "success")
            return HttpResponseRedirect(reverse("admin:accounts_letter_change", args=[letter.pk]))
        reached = letters.audience(instance, given["to"], form.picked())
        hidden = [(name, str(form[name].value() or "")) for name in form.fields]
        question = Question(
            title=f"Send this message to {people(len(reached.people))}?",
            lead=f"It goes to {reached.words}. Each person gets a separate e-mail. Replies go to you at {person(request).email}.",
            button=f"Send to {people(len(reached.people))}",
            hidden=[*hidden, (CONFIRMED, "yes")],
        )
        rows = [(subject, text)]
        if left_out := reached.unreachable:
            names = ", ".join(map(str, left_out[:20])) + (", …" if len(left_out) > 20 else "")
            rows.append((f"Not sent to {people(len(left_out))}, because e-mail to them bounced", names))
        return ask(self, request, question, rows, request.get_full_path())


def write_to(request: HttpRequest, rows: Rows) -> HttpResponse | str:
    """The form of a letter to these memberships, or why there is none."""
    found = list(rows.values_list("pk", "instance_id", "status"))
    instances = {instance for _, instance, _ in found}
    if len(instances) != 1 or not reach(request).writes(next(iter(instances))):
        return "Select members of one instance in which you can send messages."
    if len(found) > MOST_CHOSEN:
        return f"Select at most {MOST_CHOSEN} members, or write to a section or to everyone."
    query = urlencode({"instance": instances.pop(), "chosen": ",".join(str(pk) for pk, _, _ in found)})
    return HttpResponseRedirect(f"{reverse('admin:accounts_letter_add')}?{query}")


def people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"
