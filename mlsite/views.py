"""The pages of the site itself."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, HttpResponseServerError, JsonResponse
from django.shortcuts import render
from django.template.loader import get_template
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Membership, User
from accounts.services.situation import Seat, Standing, sentence
from labs.models import Instance, Lab, ServiceTemplate
from labs.views import cards
from mlsite import __version__


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What this is, for a visitor; one's instances and labs, for who is signed in."""
    if request.user.is_authenticated:
        return render(request, "home_member.html", _for(request.user))
    return render(request, "home.html", {"instances": Instance.objects.visible_to(request.user)})


def _for(user: User) -> dict[str, Any]:
    mine = Prefetch("memberships", Membership.objects.filter(user=user).select_related("decided_by"), to_attr="mine")
    offers = Prefetch("services", ServiceTemplate.objects.filter(is_current=True), to_attr="offers")
    visible = list(Instance.objects.visible_to(user).prefetch_related(mine, offers))
    today = timezone.localdate()
    joined = [row for row in visible if row.mine]
    seats = [Seat(row, row.mine[0], bool(row.offers)) for row in joined]
    launchable = [seat.instance for seat in seats if seat.standing(today) == Standing.READY]
    running = cards.of_person(user, timezone.now())
    recent = (
        Lab.objects.visible_to(user).filter(owner=user).order_by("-created_at").values_list("instance_id", flat=True)
    )
    latest = recent.first()
    # The one thing that most people come for: a lab where they had the last one.
    first = next((row for row in launchable if row.pk == latest), launchable[0] if launchable else None)
    return {
        "joined": joined,
        "next_step": sentence(user, seats, today=today, is_any_listed=any(row.is_public for row in visible)),
        "others": [row for row in visible if not row.mine and row.is_public and not row.archived_at],
        "launchable": launchable,
        "first": first,
        "cards": running,
        # Somebody whose other address is confirmed has been asked already.
        "unconfirmed": "" if EmailAddress.objects.filter(user=user, verified=True).exists() else user.email,
    }


def server_error(request: HttpRequest) -> HttpResponse:
    """The page for faults of ours: no data base, no session, and no context processor, any of which may be the fault."""
    page = get_template("500.html").render({"contact": settings.CONTACT})
    return HttpResponseServerError(page)


@require_safe
def about(request: HttpRequest) -> HttpResponse:
    return render(request, "about.html", {"version": __version__})


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """For load balancers and probes: 200 while the data base answers, 503 when it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "database": "is not responding"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})
