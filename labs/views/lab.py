"""A lab's page, and what its owner and the staff do there."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.services import authority
from labs.errors import Refusal
from labs.forms import PLAIN, minutes_of
from labs.models import Event, Lab
from labs.services import logs
from labs.services.extension import extend as extend_lab
from labs.services.extension import room_minutes
from labs.services.launch import duration
from labs.services.overview import with_place_in_queue
from labs.services.secrets import has_token, reveal_token
from labs.services.stopping import stop as stop_lab

from . import cards


def find(request: HttpRequest, pk: uuid.UUID) -> Lab:
    """The lab, if the person may see it. "Not yours" is the same 404 as "not there"."""
    rows = with_place_in_queue(Lab.objects.visible_to(cast(User, request.user)).select_related(*cards.RELATED))
    row = cast(Lab, get_object_or_404(rows, pk=pk))
    if not authority.can_see_workload(request.user, row):
        raise Http404
    return row


@login_required
@require_safe
@never_cache
def lab(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    row = find(request, pk)
    user = cast(User, request.user)
    card = cards.one(row, user, timezone.now())
    context = {
        **_live(card),
        "instance": row.instance,
        "has_token": card.is_mine and row.is_live and has_token(row),
        "history": Event.objects.visible_to(user).filter(workload=row).select_related("actor")[:30],
    }
    return render(request, "labs/lab.html", context)


@login_required
@require_safe
@never_cache
def live(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The part of the page that changes by itself; 204 when it is as the page has it (`s`)."""
    card = cards.one(find(request, pk), cast(User, request.user), timezone.now())
    if request.GET.get("s") == card.digest:
        return HttpResponse(status=204)
    return render(request, "labs/live.html", _live(card) | {"announce": True})


def _live(card: cards.Card) -> dict[str, object]:
    return {"card": card, "lab": card.lab, "room": room_minutes(card.lab) if card.can_extend else 0}


@login_required
@require_POST
def stop(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    row = find(request, pk)
    try:
        if stop_lab(row, actor=cast(User, request.user), now=timezone.now()):
            messages.success(request, f"{row.name} is being stopped.")
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return _back(request, row)


@login_required
@require_POST
def extend(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    row = find(request, pk)
    typed = minutes_of(request.POST.get("more", ""), request.POST.get("more_unit", "minutes"))
    if not PLAIN.fullmatch(typed) or not typed.isdecimal():
        messages.error(request, "How much more? Please give a plain number.")
        return _back(request, row)
    try:
        extend_lab(row, actor=cast(User, request.user), minutes=int(typed), now=timezone.now())
        messages.success(request, f"{row.name} has {duration(int(typed))} more.")
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return _back(request, row)


@login_required
@require_POST
@never_cache
def token(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Shown in the answer to this one request, and nowhere else."""
    row = find(request, pk)
    try:
        shown = reveal_token(row, actor=cast(User, request.user), now=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect(row)
    whole = "labs/token_part.html" if request.headers.get("HX-Request") else "labs/token.html"
    return render(request, whole, {"token": shown, "lab": row, "instance": row.instance})


@login_required
@require_safe
@never_cache
def log(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The end of the log, when somebody asks for it."""
    row = find(request, pk)
    try:
        context = {"text": logs.tail(row)}
    except Refusal as refusal:
        context = {"problem": refusal.message}
    whole = "labs/log_part.html" if request.headers.get("HX-Request") else "labs/log.html"
    return render(request, whole, {"lab": row, "instance": row.instance, "now": timezone.now(), **context})


def _back(request: HttpRequest, row: Lab) -> HttpResponse:
    return redirect("labs") if request.POST.get("back") == "list" else redirect(row)
