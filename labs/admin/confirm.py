"""One page between a button and what it does: who is concerned, a word to them, and the button again. Changes are by POST."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from labs.models import Instance

#: Set by the confirmation page of a bulk action.
CONFIRMED = "confirmed"
#: Sent by a button that wants the question first, with the word that was typed beside it.
ASK = "ask"
#: The rows that were asked about, in one field: a form of more than a thousand fields is refused by Django.
KEYS = "keys"
#: The button of the confirmation page of a form that leads back to the form, with nothing saved and nothing lost.
AGAIN = "_again"

NOT_TYPED = ("csrfmiddlewaretoken", CONFIRMED, AGAIN)


@dataclass(frozen=True)
class Question:
    """What is asked before it is done."""

    title: str
    lead: str
    button: str
    #: Label of the field for a word; empty: none is asked for.
    word: str = ""
    #: What stands in that field already.
    typed: str = ""
    is_danger: bool = False
    hidden: list[tuple[str, str]] = field(default_factory=list)
    #: Whether a form was sent that can be gone back to, with all that was typed (`AGAIN`).
    is_of_form: bool = False


def ask(
    admin: Any, request: HttpRequest, question: Question, rows: Iterable[tuple[str, str]], cancel: str
) -> HttpResponse:
    """The confirmation page. `rows`: what is concerned, each with a remark; `cancel`: where the other button leads."""
    request.console_title = admin.plural  # type: ignore[attr-defined]
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": question.title,
        "question": question,
        "rows": list(rows),
        "cancel": cancel,
    }
    return TemplateResponse(request, "admin/confirm.html", context)


def bulk_fields(request: HttpRequest, rows: Iterable[Any]) -> list[tuple[str, str]]:
    """What the confirmation page of a bulk action sends again: the very rows that it showed, whatever matches by then."""
    return [
        ("action", request.POST.get("action", "")),
        (CONFIRMED, "yes"),
        (KEYS, ",".join(str(row.pk) for row in rows)),
    ]


def form_fields(request: HttpRequest) -> list[tuple[str, str]]:
    """What the confirmation page of a form sends again: the whole of it, and the yes."""
    kept = [(name, value) for name, values in request.POST.lists() for value in values if name not in NOT_TYPED]
    return [*kept, (CONFIRMED, "yes")]


def unpack_keys(request: HttpRequest) -> None:
    """Turn what `bulk_fields` has sent back into what Django's admin reads: the keys of the chosen rows, and no others."""
    if KEYS in request.POST:
        data = request.POST.copy()
        data.setlist(ACTION_CHECKBOX_NAME, [key for key in data.pop(KEYS)[-1].split(",") if key])
        data.pop("select_across", None)
        request.POST = data  # type: ignore[assignment]


def named(names: Sequence[str], most: int = 8) -> str:
    """A list in a sentence, cut short: "a, b, c and 197 more"."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def word(request: HttpRequest) -> str:
    return request.POST.get("word", "").strip()[:500]


def came_from(request: HttpRequest) -> str:
    """On which other page the button stood: "overview", "people", or "" for the list itself."""
    place = (request.POST if request.method == "POST" else request.GET).get("from", "")
    return place if place in ("overview", "people") else ""


def way_back(request: HttpRequest, instance: Instance, otherwise: str) -> str:
    """Where the button stood; `instance`: whose list of people that may be."""
    place = came_from(request)
    if place == "people":
        return reverse("people", args=[instance.slug])
    return reverse("admin:index") if place == "overview" else otherwise
