"""Everybody of an instance, for those who run it: the list, invitations, and tables to take away."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe

from accounts.admin.decisions import REMOVE, Decision, offered
from accounts.models import Membership, User
from accounts.rules import authority
from accounts.services import invitations, people
from accounts.services.membership import approve_many
from accounts.services.roster import leaving
from accounts.services.roster.admitting import OWNERS_ONLY
from labs.errors import Refusal
from labs.models import Instance
from labs.services import export
from labs.services.classes import sections_of

from .scope import for_staff

ON_A_PAGE = 50


@require_safe
@for_staff
def index(request: HttpRequest, instance: Instance) -> HttpResponse:
    wish = people.Wish(
        search=request.GET.get("q", "").strip()[:100],
        section=request.GET.get("section", "")[:60],
        state=request.GET.get("state", "") if request.GET.get("state") in people.STATES else "",
    )
    number = int(text) if (text := request.GET.get("page", "")).isdecimal() and len(text) < 7 else 1
    total, shown = people.page(instance, wish, start=(max(number, 1) - 1) * ON_A_PAGE, size=ON_A_PAGE)
    counts, ways = people.counts(instance), _ways(request, instance, shown)
    chosen = {"q": wish.search, "section": wish.section, "state": wish.state}
    context = {
        "instance": instance, "here": "people", "people": shown, "total": total, "counts": counts, "wish": wish,
        "everybody": sum(counts.values()), "states": people.STATES, "sections": sections_of(instance),
        "page": Paginator(range(total), ON_A_PAGE).get_page(number),
        "query": urlencode({key: value for key, value in chosen.items() if value}),
        "can_tick": any(person.can_be_taken_off for person in shown),
        "ways": ways, "can_approve": any(person.state == "waiting" and ways.get(person.key) for person in shown),
        "keeps_roster": authority.can_keep_roster(request.user, instance), "owners_only": OWNERS_ONLY,
        "gives_roles": authority.can_give_roles(request.user, instance),
    }  # fmt: skip
    return render(request, "people/index.html", context)


def _ways(request: HttpRequest, instance: Instance, shown: list[people.Person]) -> dict[int | None, list[Decision]]:
    """What may be decided about each membership: as on the console's own lists, where it is asked and done. No query a row."""
    ways: dict[int | None, list[Decision]] = {}
    for person in shown:
        if person.membership:
            person.membership.instance = instance
            ways[person.key] = [way for way in offered(request, person.membership) if way is not REMOVE]
    return ways


@require_POST
@for_staff
def change(request: HttpRequest, instance: Instance) -> HttpResponse:
    """Invite, take off the roster, or approve: those that are ticked, or all."""
    told: dict[str, Any] = {"instance": instance, "actor": cast(User, request.user), "now": timezone.now()}
    picked = _keys(request, "entry")
    what = request.POST.get("do")
    try:
        if what == "invite-all":
            _told(request, invitations.invite(**told), "invited by e-mail")
        elif what == "invite":
            _told(request, invitations.invite(entries=picked, **told), "invited by e-mail")
        elif what == "take-off":
            _told(request, leaving.take_off(picked, **told), "removed from the roster")
        elif what == "approve":
            rows = Membership.objects.waiting().filter(instance=instance, pk__in=_keys(request, "member"))
            _told(request, len(approve_many(rows, actor=told["actor"], now=told["now"])), "approved")
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect(_back(request, instance))


def _keys(request: HttpRequest, name: str) -> list[int]:
    """The rows that are ticked."""
    return [int(key) for key in request.POST.getlist(name) if key.isdecimal() and len(key) < 19]


def _told(request: HttpRequest, count: int, done: str) -> None:
    if count:
        messages.success(request, f"{count:,} {'person' if count == 1 else 'people'} {done}.")
    else:
        messages.info(request, "Nothing has changed. First select people who have not joined yet.")


def _back(request: HttpRequest, instance: Instance) -> str:
    """The list, as it was looked at."""
    page = reverse("people", args=[instance.slug])
    query = request.POST.get("query", "")[:300]
    return f"{page}?{query}" if query and query.isprintable() else page


@require_safe
@for_staff
def roster_csv(request: HttpRequest, instance: Instance) -> StreamingHttpResponse:
    return export.csv_response(f"{instance.slug}-roster", *people.roster_table(instance))


@require_safe
@for_staff
def roster_xlsx(request: HttpRequest, instance: Instance) -> HttpResponse:
    return export.xlsx_response(f"{instance.slug}-roster", *people.roster_table(instance))


@require_safe
@for_staff
def members_csv(request: HttpRequest, instance: Instance) -> StreamingHttpResponse:
    return export.csv_response(f"{instance.slug}-members", *people.members_table(instance))
