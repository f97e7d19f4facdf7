"""Labs for everybody of a class: prepared, started, looked at and stopped by those who run it."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any, cast

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import RosterEntry, User
from accounts.views.scope import for_staff
from labs.errors import Refusal
from labs.forms import PreparedForm, offered
from labs.models import ClassRun, Instance, SavedLaunch, SeatState, State
from labs.models.template import ServiceKind
from labs.services import classes

RUNS_SHOWN, ROWS_SHOWN = 10, 300
#: What needs a look comes first.
ORDER = ("bad", "wait", "ok", "off")


@require_safe
@for_staff
def index(request: HttpRequest, instance: Instance) -> HttpResponse:
    waiting = Count("runs__seats", filter=Q(runs__seats__lab__state=State.QUEUED))
    saved = list(SavedLaunch.objects.filter(instance=instance).select_related("template").annotate(waiting=waiting))
    live, sections = classes.live_by_section(instance), classes.sections_of(instance)
    for row in saved:
        row.live = live[row.pk][""]  # type: ignore[attr-defined]
        row.running = row.live - row.waiting  # type: ignore[attr-defined]
        row.live_in = [(name, live[row.pk][name]) for name in sections if live[row.pk][name]]  # type: ignore[attr-defined]
    runs = ClassRun.objects.filter(instance=instance).select_related("saved", "started_by")
    context = {
        "instance": instance, "here": "classes", "saved": saved, "runs": runs[:RUNS_SHOWN],
        "sections": sections, "members": classes.members_of(instance).count(),
        "services": instance.services.filter(is_current=True, kind=ServiceKind.LAB),
    }  # fmt: skip
    return render(request, "people/classes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_staff
def prepare(request: HttpRequest, instance: Instance, service: str) -> HttpResponse:
    """The launch form without name and password, to be kept."""
    user = cast(User, request.user)
    template = get_object_or_404(instance.services.filter(is_current=True, kind=ServiceKind.LAB), slug=service)
    if request.method != "POST":
        form = PreparedForm(template, instance, user)
        form.typed = offered(form, "")
        return _form(request, form)
    form = PreparedForm(template, instance, user, request.POST.dict())
    try:
        classes.save_launch(
            instance=instance, template=template, title=form.typed.get("title", ""), values=form.values(), actor=user,
            now=timezone.now(),
        )  # fmt: skip
    except Refusal as refusal:
        form.refuse(refusal)
        return _form(request, form, refusal)
    messages.success(request, "Prepared. Start it for everyone when the class begins.")
    return redirect("classes", instance.slug)


def _form(request: HttpRequest, form: PreparedForm, refusal: Refusal | None = None) -> HttpResponse:
    context = {
        "instance": form.instance, "here": "classes", "template": form.template, "form": form, "fields": form.fields(),
        "refusal": refusal,
    }  # fmt: skip
    return render(request, "people/prepare.html", context, status=400 if refusal else 200)


def _saved(instance: Instance, pk: int) -> SavedLaunch:
    return get_object_or_404(SavedLaunch.objects.select_related("instance", "template"), instance=instance, pk=pk)


@require_POST
@for_staff
def start(request: HttpRequest, instance: Instance, pk: int) -> HttpResponse:
    saved, section = _saved(instance, pk), request.POST.get("section", "")[:60]
    try:
        run = classes.start(
            saved, section=section, wait="wait" in request.POST, actor=cast(User, request.user), now=timezone.now()
        )
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("classes", instance.slug)
    return redirect("class-run", instance.slug, run.pk)


@require_POST
@for_staff
def stop(request: HttpRequest, instance: Instance, pk: int) -> HttpResponse:
    saved, section = _saved(instance, pk), request.POST.get("section", "")[:60]
    try:
        count = classes.stop(saved, section=section, actor=cast(User, request.user), now=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, f"{count:,} {'lab is' if count == 1 else 'labs are'} being stopped.")
    return redirect("classes", instance.slug)


@require_POST
@for_staff
def remove(request: HttpRequest, instance: Instance, pk: int) -> HttpResponse:
    try:
        classes.remove_saved(_saved(instance, pk), actor=cast(User, request.user), now=timezone.now())
    except Refusal as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, "Removed. Running labs are not affected.")
    return redirect("classes", instance.slug)


@require_safe
@for_staff
def run(request: HttpRequest, instance: Instance, pk: uuid.UUID) -> HttpResponse:
    """What became of each member's; asks again by itself while something changes."""
    found = get_object_or_404(ClassRun.objects.select_related("saved", "started_by"), instance=instance, pk=pk)
    seats = list(found.seats.select_related("user", "lab").order_by("user__name", "user__email"))
    names = dict(RosterEntry.objects.filter(instance=instance, user__isnull=False).values_list("user", "section"))
    rows = [{"seat": seat, "section": names.get(seat.user_id, ""), "why": seat.reason, **_told(seat)} for seat in seats]
    told = Counter((str(row["kind"]), str(row["word"]).lower()) for row in rows)
    rows.sort(key=lambda row: ORDER.index(row["tone"]))
    context = {
        "instance": instance, "here": "classes", "run": found, "rows": rows[:ROWS_SHOWN], "more": max(0, len(rows) - ROWS_SHOWN),
        "tally": [(count, *key) for key, count in told.most_common()],
        "is_changing": not found.finished_at or any(row["tone"] == "wait" for row in rows),
    }  # fmt: skip
    page = "people/run_part.html" if request.headers.get("HX-Request") else "people/run.html"
    return render(request, page, context)


def _told(seat: Any) -> dict[str, str]:
    """One seat in a word: what was done at the start, and what the lab is now."""
    lab = seat.lab
    if seat.state == SeatState.PENDING:
        return {"kind": "pending", "tone": "wait", "word": "Not started yet"}
    if seat.state == SeatState.REFUSED:
        return {"kind": "refused", "tone": "bad", "word": "Not started"}
    if seat.state == SeatState.HAS_ONE:
        return {"kind": "has-one", "tone": "off", "word": "Already had one"}
    if lab is None:
        return {"kind": "ended", "tone": "off", "word": "Ended"}
    if lab.state == State.RUNNING:
        return {"kind": "running", "tone": "ok", "word": "Running"}
    if lab.state == State.QUEUED:
        return {"kind": "queued", "tone": "wait", "word": "Queued"}
    if lab.state == State.ENDED:
        failed = lab.end_reason == "failed"
        return {
            "kind": "failed" if failed else "ended",
            "tone": "bad" if failed else "off",
            "word": "Failed" if failed else "Ended",
        }
    if lab.state == State.STOPPING:
        return {"kind": "ended", "tone": "wait", "word": "Stopping"}
    return {"kind": "starting", "tone": "wait", "word": "Starting"}
