"""A person's labs: those that run, and the history."""

from __future__ import annotations

import datetime
from typing import cast

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Membership, User
from accounts.services.situation import Seat, sentence
from labs.models import Instance, Lab
from labs.services.overview import launchable_in, meters_of_person

from . import cards

ON_A_PAGE, RECENT = 25, 6


@login_required
@require_safe
@never_cache
def labs(request: HttpRequest) -> HttpResponse:
    user, now = cast(User, request.user), timezone.now()
    shown = cards.of_person(user, now)
    ended = Lab.objects.visible_to(user).filter(owner=user).ended().select_related(*cards.RELATED)
    recent = ended.exclude(pk__in=[card.lab.pk for card in shown]).order_by("-ended_at")[:RECENT]
    member_of = Instance.objects.of_member(user).filter(archived_at=None).prefetch_related("services")
    context = {
        "cards": shown,
        "rate": cards.rate(shown),
        "recent": recent,
        "meters": meters_of_person(user, member_of),
        "instances": member_of,
        "offers": launchable_in(member_of, timezone.localdate(now)),
        "next_step": "" if shown else _next_step(user, timezone.localdate(now)),
    }
    return render(request, "labs/labs.html", context)


def _next_step(user: User, today: datetime.date) -> str:
    """What the person can do whose list is empty. Two queries."""
    offered = Instance.services.through.objects.filter(instance=OuterRef("instance"), servicetemplate__is_current=True)
    mine = Membership.objects.filter(user=user).select_related("instance").annotate(offers=Exists(offered))
    seats = [Seat(row.instance, row, row.offers) for row in mine.order_by("instance__title")]
    return sentence(user, seats, today=today, is_any_listed=Instance.objects.public().exists())


@login_required
@require_safe
@never_cache
def changes(request: HttpRequest) -> HttpResponse:
    """The cards that are not as the page has them (`s`: what it has); 204 when all are."""
    user, now = cast(User, request.user), timezone.now()
    has = {text[:12]: text[12:] for text in request.GET.getlist("s")}
    found = cards.of_poll(user, now)
    changed = [card for card in found if has.get(card.key) != card.digest and (card.key in has or card.lab.is_live)]
    rate = cards.rate(found)
    if not changed and request.GET.get("rate") == str(rate):
        return HttpResponse(status=204)
    context = {
        "cards": [(card, card.key in has) for card in changed],
        "rate": rate,
        "meters": meters_of_person(user, Instance.objects.of_member(user).filter(archived_at=None)),
    }
    return render(request, "labs/changes.html", context)


@login_required
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    ended = Lab.objects.visible_to(user).filter(owner=user).ended().select_related(*cards.RELATED)
    page = Paginator(ended.order_by("-ended_at", "-created_at"), ON_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "labs/history.html", {"page": page})
