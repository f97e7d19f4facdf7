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
from accounts.rules import authority
from k8s.resources import duration
from labs.errors import Refusal
from labs.forms import PLAIN, minutes_of
from labs.models import Event, Lab
from labs.services import logs
from labs.services.extension import extend as extend_lab
from labs.services.extension import room_minutes
from labs.services.overview import with_place_in_queue
from labs.services.secrets import has_token, reveal_token
from labs.services.stopping import stop as stop_lab

from . import cards

#: Minutes that one click gives, or what there is left to give.
A_CLICK = 60


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
    return _page(request, find(request, pk))


def _page(request: HttpRequest, row: Lab, *, refused: dict[str, str] | None = None) -> HttpResponse:
    """The page of the lab. `refused`: what was typed for more time, and why it was not given."""
    user = cast(User, request.user)
    card = cards.one(row, user, timezone.now())
    context = {
        **_live(card),
        "instance": row.instance,
        "has_token": card.is_mine and row.is_live and has_token(row),
        "history": Event.objects.visible_to(user).filter(workload=row).select_related("actor")[:30],
        "refused": refused,
    }
    return render(request, "labs/lab.html", context, status=400 if refused else 200)


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
    room = room_minutes(card.lab) if card.can_extend else 0
    return {"card": card, "lab": card.lab, "room": room, "click": min(room, A_CLICK)}


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
@never_cache
def extend(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """More time; what cannot be given is answered by the lab's page, with what was typed."""
    row = find(request, pk)
    more, unit = request.POST.get("more", "")[:20], request.POST.get("more_unit", "minutes")
    minutes = minutes_of(more, unit)
    try:
        if not PLAIN.fullmatch(minutes) or not minutes.isdecimal():
            raise Refusal("Please enter the extra time as a plain number, such as 2.", code="invalid")
        extend_lab(row, actor=cast(User, request.user), minutes=int(minutes), now=timezone.now())
    except Refusal as refusal:
        return _page(request, row, refused={"more": more, "unit": unit, "why": refusal.message})
    messages.success(request, f"{row.name} has been extended by {duration(int(minutes))}.")
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
    """The end of the log, when somebody asks for it; `follow`: again every few seconds; `download`: more of it, as a file."""
    row = find(request, pk)
    is_file = "download" in request.GET
    found: logs.Log | None = None
    context: dict[str, object]
    try:
        found = logs.tail(row, lines=logs.LINES_OF_FILE if is_file else logs.LINES)
        context = {"log": found, "follow": "follow" in request.GET and row.can_stop}
    except Refusal as refusal:
        context = {"problem": refusal.message}
    if is_file and found:
        name = f'attachment; filename="{row.name}.log"'
        return HttpResponse(found.text, content_type="text/plain; charset=utf-8", headers={"Content-Disposition": name})
    context["is_mine"] = row.owner == request.user
    whole = "labs/log_part.html" if request.headers.get("HX-Request") else "labs/log.html"
    return render(request, whole, {"lab": row, "instance": row.instance, "now": timezone.now(), **context})


def _back(request: HttpRequest, row: Lab) -> HttpResponse:
    return redirect("labs") if request.POST.get("back") == "list" else redirect(row)
