"""Importing a list of people: uploaded or pasted, looked at, and confirmed."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import RosterUpload, Status, UploadState, User
from accounts.models.roster import WITH_WORKER
from accounts.rules import authority
from accounts.services.roster import uploads
from accounts.services.roster.admitting import OWNERS_ONLY
from accounts.services.roster.choices import Choices
from k8s.resources import LISTED
from labs.errors import Refusal
from labs.models import Instance

from .scope import for_staff

#: In the order in which the preview shows them: what needs a look first.
KINDS = {
    "wrong": (
        "Wrong",
        "These rows will be skipped. Correct them in your list and upload it again, or import without them.",
    ),
    "missing": ("No longer on the list", "They lose access, and their running labs are stopped."),
    "reinstated": ("Reinstated", "They were suspended and become members again. Each of them gets an e-mail."),
    "left": (
        "Skipped because of their status",
        "According to their status, they are not in the class. You can change this under “Columns”.",
    ),
    "new": ("New", "They will be added to the roster."),
    "changed": ("Changed", ""),
    "unchanged": ("Unchanged", ""),
}
#: What becomes of somebody whom the list names, by where they stand (`importing.Standings`).
STANDINGS = {
    Status.APPROVED: "Already a member",
    Status.REQUESTED: "Has requested access: will be approved",
    Status.SUSPENDED: "Suspended: no access",
    Status.DENIED: "Not approved: no access",
    "waits": "Waiting for approval",
    "gone": "Has left: may request access again",
    "account": "Has an account: gets access immediately",
}
#: The same where they are to be let in again.
IS_REINSTATED = "Suspended: see “Reinstated”"
#: What a column can be, in the order of the form.
USES = {
    "": "not used", "email": "e-mail", "name": "name", "given": "first name", "family": "last name", "section": "section",
    "role": "role", "status": "status", "note": "store as a note",
}  # fmt: skip
LIMIT_USES = {item.name: f"limit: {item.with_unit(item.small_title)}" for item in LISTED}


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
        raise Refusal("Choose a file or paste a list.", code="empty")
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
    if request.method == "POST":
        return _choose(request, instance, found) if "choose" in request.POST else _confirm(request, instance, found)
    if found.state in WITH_WORKER:
        page = "people/reading_part.html" if request.headers.get("HX-Request") else "people/reading.html"
        return render(request, page, {"instance": instance, "here": "import", "upload": found})
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Refresh": "true"})  # It has been read: the page shows what came of it.
    return render(request, "people/preview.html", _preview(instance, found, user))


def _confirm(request: HttpRequest, instance: Instance, found: RosterUpload) -> HttpResponse:
    user, now = cast(User, request.user), timezone.now()
    try:
        if uploads.hand_over(found.pk, instance=instance, actor=user, now=now):
            return redirect("roster-preview", instance.slug, found.pk)
        counts = uploads.confirm(found.pk, instance=instance, actor=user, now=now)
    except Refusal as refusal:
        if refusal.code == "stale":
            uploads.renew(found, instance=instance, actor=user, now=now)
        messages.error(request, refusal.message)
        return redirect("roster-preview", instance.slug, found.pk)
    messages.success(request, _done(counts))
    return redirect("people", instance.slug)


def _choose(request: HttpRequest, instance: Instance, found: RosterUpload) -> HttpResponse:
    """Read the list again with the columns, the sheet and so on that were chosen."""
    sent = request.POST
    choices = {key: sent.get(key, "") for key in ("sheet", "encoding", "head", "domain", "hidden", "reinstate")}
    groups = {
        group: {name.removeprefix(f"{group}-"): sent[name] for name in sent if name.startswith(f"{group}-")}
        for group in ("columns", "roles", "statuses")
    }
    chosen = {**choices, **groups}
    if sent["choose"] in ("again", "reinstate"):
        chosen = {**found.choices, **({"reinstate": "on"} if sent["choose"] == "reinstate" else {})}
    try:
        uploads.choose(
            found.pk, Choices.unpack(chosen), suspend_missing="suspend_missing" in sent, instance=instance,
            actor=cast(User, request.user), now=timezone.now(),
        )  # fmt: skip
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("roster-preview", instance.slug, found.pk)


def _preview(instance: Instance, found: RosterUpload, user: User) -> dict[str, object]:
    gives_limits = authority.can_change_limits(user, instance)
    context: dict[str, object] = {
        "instance": instance, "here": "import", "upload": found, "table": found.table, "asks": found.state == UploadState.ASKS,
        "refused": found.state == UploadState.REFUSED, "uses": USES | (LIMIT_USES if gives_limits else {}),
        "roles": ROLES if authority.can_give_roles(user, instance) else {key: ROLES[key] for key in ("", "member")},
    }  # fmt: skip
    return context if found.state != UploadState.READY else context | _what_happens(found)


#: What a role of the file can be taken as.
ROLES = {"": "not changed", "member": "member", "staff": "staff", "owner": "owner"}


def _what_happens(found: RosterUpload) -> dict[str, object]:
    told = found.preview
    counts, samples = told["counts"], told["samples"]
    standings = STANDINGS | ({Status.SUSPENDED: IS_REINSTATED} if found.choices.get("reinstate") else {})
    kinds: list[dict[str, Any]] = [
        {
            "key": key, "title": title, "text": text, "count": counts.get(key, 0),
            "lines": [{**line, "standing": standings.get(line.get("standing", ""), "")} for line in samples.get(key, [])],
        }
        for key, (title, text) in KINDS.items()
    ]  # fmt: skip
    for kind in kinds:
        if kind["key"] == "new" and told.get("invite"):
            kind["text"] = f"{kind['text']} In the next step, you can invite those who are not members yet."
        kind["has_standing"] = any(line["standing"] for line in kind["lines"])
    todo = counts["new"] + counts["changed"]
    return {
        "kinds": [kind for kind in kinds if kind["count"]], "counts": counts, "todo": todo,
        "does_something": bool(todo or counts["missing"] or counts.get("reinstated")), "shut_out": told.get("shut_out", 0),
        "unread": told["unread"] if found.suspend_missing else 0,
    }  # fmt: skip


def _done(counts: dict[str, int]) -> str:
    words = {"new": "new", "changed": "changed", "missing": "no longer on the list", "reinstated": "reinstated"}
    parts = [f"{counts[key]:,} {word}" for key, word in words.items() if counts.get(key)]
    let_in = (
        f" {counts['let_in']:,} of them already had an account and can start immediately." if counts["let_in"] else ""
    )
    return f"Imported: {', '.join(parts)}.{let_in}" if parts else "The list changed nothing."
