"""An instance's page, its colours, and asking for access."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Membership, Status, User
from accounts.roles import OUT
from accounts.rules import authority
from accounts.rules.identity import verified_addresses
from accounts.services import contacts
from accounts.services.entrance import entrance
from accounts.services.membership import leave as leave_instance
from accounts.services.membership import note_seen, request_access
from labs.colours import DARK_GROUND, LIGHT_GROUND, ink_on, readable_on
from labs.errors import Refusal
from labs.models import Event, Instance, Lab
from labs.services import admission

from . import cards


@require_safe
def instance(request: HttpRequest, slug: str) -> HttpResponse:
    row = get_object_or_404(Instance.objects.visible_to(request.user), slug=slug)
    today = timezone.localdate()
    context = {
        "instance": row,
        "owners": contacts.owners(row),
        "services": row.services.filter(is_current=True),
        "is_running": row.is_running(today),
        "not_yet": bool(row.starts_on and row.starts_on > today),
    }
    if request.user.is_authenticated:
        context |= _for(request.user, row)
    return render(request, "labs/instance.html", context)


def _for(user: User, row: Instance) -> dict[str, object]:
    """What a person who is signed in sees beside."""
    now = timezone.now()
    waiting = Membership.objects.managed_by(user).waiting().filter(instance=row)
    mine = Lab.objects.visible_to(user).filter(owner=user, instance=row).live().select_related(*cards.RELATED)
    context: dict[str, object] = {
        "membership": Membership.objects.filter(user=user, instance=row).select_related("decided_by").first(),
        "can_launch": authority.can_launch(user, row),
        "runs_it": authority.can_see_console(user, row),
        "decides": authority.can_decide_requests(user, row),
        "my_history": Event.objects.of_membership(user, row)[:20],
    }
    if not context["membership"] or context["membership"].status == Status.REQUESTED:  # type: ignore[attr-defined]
        context |= {"entrance": entrance(user, row, now=now), "addresses": sorted(verified_addresses(user))}
    if context["can_launch"]:
        context |= {"meters": admission.member_meters(row, user), "cards": [cards.one(lab, user, now) for lab in mine]}
    if context["runs_it"]:
        context |= {"waiting": waiting.count(), "whole": admission.instance_meters(row)}
    return context


@login_required
@require_POST
def ask(request: HttpRequest, slug: str) -> HttpResponse:
    user = cast(User, request.user)
    row = get_object_or_404(Instance.objects.visible_to(user), slug=slug)
    try:
        made = request_access(user=user, instance=row, reason=request.POST.get("reason", ""), now=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.message)
    else:
        if made.status in OUT:
            messages.error(request, "The owners have already decided about your access. Please contact them.")
        else:
            messages.success(request, _welcome(made, row))
    return redirect(row)


def _welcome(made: Membership, row: Instance) -> str:
    if made.status != Status.APPROVED:
        return "Your request is waiting for the owners. You will get an e-mail when they have decided."
    if row.starts_on and row.starts_on > timezone.localdate():
        return f"You have joined. You can launch labs from {row.starts_on:%-d %B %Y}."
    return "You have joined. You can launch a lab now."


@login_required
@require_POST
def leave(request: HttpRequest, slug: str) -> HttpResponse:
    """Go, or take the request back; to where the person can still be."""
    user = cast(User, request.user)
    row = get_object_or_404(Instance.objects.visible_to(user), slug=slug)
    try:
        was = leave_instance(user=user, instance=row, now=timezone.now())
        if was == Status.APPROVED:
            messages.success(request, f"You have left {row}. Your labs there are being stopped.")
        elif was:
            messages.success(request, "Your request has been withdrawn.")
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect(row if Instance.objects.visible_to(user).filter(pk=row.pk).exists() else "home")


@login_required
@require_POST
def seen(request: HttpRequest, slug: str) -> HttpResponse:
    """The person has read that they were put in, and stays."""
    user = cast(User, request.user)
    row = get_object_or_404(Instance.objects.visible_to(user), slug=slug)
    note_seen(user=user, instance=row)
    return redirect(row)


@require_safe
@cache_control(private=True, max_age=86400)
def theme(request: HttpRequest, slug: str) -> HttpResponse:
    """The instance's accent as a style sheet, dark or light enough to be read on either theme."""
    row = get_object_or_404(Instance.objects.visible_to(request.user), slug=slug)
    light, dark = readable_on(row.accent, LIGHT_GROUND), readable_on(row.accent, DARK_GROUND)
    context = {
        "light": light, "light_ink": ink_on(light), "dark": dark, "dark_ink": ink_on(dark),
        "mark": row.accent, "mark_ink": ink_on(row.accent),
    }  # fmt: skip
    return render(request, "labs/theme.css", context, content_type="text/css; charset=utf-8")
