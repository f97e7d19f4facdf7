"""Importing a list of people: uploaded or pasted, looked at, and confirmed."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import RosterUpload, User
from accounts.services import authority
from accounts.services.roster import uploads
from accounts.services.roster.admitting import OWNERS_ONLY
from labs.errors import Refusal
from labs.models import Instance

from .scope import for_staff

#: In the order in which the preview shows them: what needs a look first.
KINDS = {
    "wrong": ("Wrong", "Left out of the import. Mend them in your list and upload it again, or leave them."),
    "missing": ("No longer on the list", "They lose access, and what they run is stopped."),
    "new": ("New", "They are put on the roster. You invite them in the next step."),
    "changed": ("Changed", ""),
    "unchanged": ("Unchanged", ""),
}


@require_http_methods(["GET", "HEAD", "POST"])
@for_staff
def upload(request: HttpRequest, instance: Instance) -> HttpResponse:
    user = cast(User, request.user)
    context: dict[str, object] = {
        "instance": instance, "here": "import", "gives_limits": authority.can_change_limits(user, instance),
        "keeps_roster": authority.can_keep_roster(user, instance), "owners_only": OWNERS_ONLY,
        "text": request.POST.get("text", ""), "suspend": "suspend_missing" in request.POST,
    }  # fmt: skip
    if request.method != "POST":
        return render(request, "people/import.html", context)
    try:
        kept = _keep(request, instance, user)
    except Refusal as refusal:
        return render(request, "people/import.html", context | {"refusal": refusal}, status=400)
    return redirect("roster-preview", instance.slug, kept.pk)


def _keep(request: HttpRequest, instance: Instance, user: User) -> RosterUpload:
    file, text = request.FILES.get("file"), request.POST.get("text", "")
    if getattr(request, "upload_too_large", False):
        raise uploads.too_large()
    if not file and not text.strip():
        raise Refusal("Choose a file, or paste some lines.", code="empty")
    return uploads.keep(
        instance=instance, actor=user, now=timezone.now(), content=file.read() if file else None, text=text,
        file_name=file.name or "" if file else "", suspend_missing="suspend_missing" in request.POST,
    )  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@for_staff
def preview(request: HttpRequest, instance: Instance, pk: uuid.UUID) -> HttpResponse:
    user, now = cast(User, request.user), timezone.now()
    found = uploads.find(pk, instance=instance, actor=user, now=now)
    if found is None:
        raise Http404
    if request.method != "POST":
        return render(request, "people/preview.html", _preview(instance, found))
    try:
        counts = uploads.confirm(pk, instance=instance, actor=user, now=now)
    except Refusal as refusal:
        if refusal.code == "stale":
            uploads.renew(found, instance=instance, actor=user, now=now)
        messages.error(request, refusal.message)
        return redirect("roster-preview", instance.slug, pk)
    messages.success(request, _done(counts))
    return redirect("people", instance.slug)


def _preview(instance: Instance, found: RosterUpload) -> dict[str, object]:
    counts, samples = found.preview["counts"], found.preview["samples"]
    kinds = [
        {"key": key, "title": title, "text": text, "count": counts.get(key, 0), "lines": samples.get(key, [])}
        for key, (title, text) in KINDS.items()
    ]
    todo = counts["new"] + counts["changed"]
    return {
        "instance": instance, "here": "import", "upload": found, "kinds": [kind for kind in kinds if kind["count"]],
        "counts": counts, "todo": todo, "does_something": bool(todo or counts["missing"]),
        "unread": found.preview["unread"] if found.suspend_missing else 0,
    }  # fmt: skip


def _done(counts: dict[str, int]) -> str:
    words = {"new": "new", "changed": "changed", "missing": "no longer on the list"}
    parts = [f"{counts[key]:,} {word}" for key, word in words.items() if counts[key]]
    let_in = f" {counts['let_in']:,} of them had an account already and can start at once." if counts["let_in"] else ""
    return f"Imported: {', '.join(parts)}.{let_in}" if parts else "The list changed nothing."
