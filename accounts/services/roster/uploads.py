"""From what somebody uploads to what is written: kept, read, shown, and done when it has been confirmed as it was shown.

A large file is read by a worker, so that no page waits for it; until then the upload is WAITING. A long list that was confirmed is
written by a worker, too, and is IMPORTING meanwhile. The row says what is to be done: a task that was lost is sent again. Where the
file leaves something open, it ASKS, and is read again with what has been chosen.
"""

from __future__ import annotations

import datetime
import io
import time
import zipfile
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from accounts.models import RosterEntry, RosterUpload, UploadState, User
from accounts.models.roster import WITH_WORKER
from accounts.rules import authority, rates
from labs.errors import Refusal
from labs.models import Instance, Verb
from labs.rules import queue
from labs.rules.history import record

from . import importing, leaving, reading, returning
from .admitting import check_keeper, lock
from .choices import Choices
from .files import check

TASK = "accounts.tasks.read_roster"
#: How long a preview can be confirmed.
KEPT = datetime.timedelta(hours=2)
#: Bytes, unpacked, up to which a list is read while the page waits: half a second of work. A worker reads what is larger.
AT_ONCE = 2**20
#: Lines up to which a list is written while the page waits: about a second of work. A worker writes what is longer.
SHORT = 1000
#: A worker that has not been heard of for so long has lost its task; so often it is sent anew.
PATIENCE = datetime.timedelta(minutes=2)
MOST_ATTEMPTS = 3
#: Uploads of one person and instance that are kept before they are confirmed.
MOST_KEPT = 5
#: Seconds between two notes of how far a worker is.
PACE = 1.0
#: Entries by which it is seen which notes the roster has.
WITH_NOTES = 200
#: Of what a list did, what its line of the history tells.
RECORDED = ("new", "changed", "unchanged", "wrong", "missing", "reinstated")
FAULT = "Something went wrong while reading this list. Save it as CSV and upload that, or paste its rows."
NOT_WRITTEN = "Something went wrong while importing this list, and nothing was saved. Try again, or import it in parts."
EXPIRED = "This preview is no longer available. Please upload the file again."


def keep(
    *, instance: Instance, actor: User, now: datetime.datetime, content: bytes | None = None, text: str = "",
    file_name: str = "", suspend_missing: bool = False, choices: Choices | None = None,
) -> RosterUpload:  # fmt: skip
    """Keep a file or pasted lines, read them, and compare them with the roster. Nothing of the roster changes.

    Raises Refusal for what cannot be read at all; what is wrong with single lines is told in the preview. A large file is only kept:
    `work_off` reads it, and tells what cannot be read in `problem`.
    """
    _check(instance, actor)
    most = settings.ROSTER_MAX_MB * 2**20
    if len(content or b"") > most or len(text) > most:
        raise too_large()
    rates.spend(actor, "upload", now=now)
    forget_old(now)
    upload = RosterUpload(
        instance=instance,
        user=actor,
        file_name="".join(sign for sign in file_name if sign.isprintable())[-120:],
        created_at=now,
        expires_at=now + KEPT,
        source=text.encode(errors="replace") if content is None else content,
        state=UploadState.WAITING,
        choices=(choices or Choices()).pack(),
        suspend_missing=suspend_missing,
    )
    if is_large(bytes(upload.source)):
        check(bytes(upload.source))
        _hand_over(upload, now)
        upload.save(force_insert=True)
    else:
        _read(upload, now)
        upload.save(force_insert=True)
    _forget_earlier(upload)
    return upload


def is_large(content: bytes) -> bool:
    """Whether it takes long to read, by what it unfolds to."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return sum(part.file_size for part in archive.infolist()) > AT_ONCE
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError):
        return len(content) > AT_ONCE


def too_large() -> Refusal:
    return Refusal(
        f"The file is too large: the limit is {settings.ROSTER_MAX_MB} MiB. Remove columns that you don't need.",
        code="too-large",
    )


def work_off(pk: Any, *, now: datetime.datetime) -> bool:
    """Read or write a list that was kept for the worker. May run twice; what was chosen meanwhile has a task of its own."""
    upload = RosterUpload.objects.select_related("user", "instance").filter(pk=pk, state__in=WITH_WORKER).first()
    if upload is None:
        return False
    if upload.state == UploadState.IMPORTING:
        return _import(upload, now)
    chosen, begun, noted = upload.choices, time.monotonic(), time.monotonic()

    def progress(rows: int) -> None:
        nonlocal noted
        if time.monotonic() - noted > PACE:
            noted = time.monotonic()
            due = now + datetime.timedelta(seconds=noted - begun) + PATIENCE
            RosterUpload.objects.filter(pk=pk).update(progress=rows, due_at=due)

    try:
        _check(upload.instance, upload.user)
        _read(upload, now, progress)
    except Refusal as refusal:
        _refused(upload, refusal)
    except Exception:
        # A fault of ours: it goes to the log, and the page must not wait for ever.
        RosterUpload.objects.filter(pk=pk, state=UploadState.WAITING).update(state=UploadState.REFUSED, problem=FAULT)
        raise
    with transaction.atomic():
        latest = RosterUpload.objects.select_for_update().filter(pk=pk).first()
        if latest is None or latest.state != UploadState.WAITING or latest.choices != chosen:
            return False
        upload.suspend_missing = latest.suspend_missing
        upload.save()
    return True


def send_again(now: datetime.datetime) -> int:
    """Send the tasks anew of which nothing has been heard; returns how many. Whatever ends a worker each time is given up."""
    rows = RosterUpload.objects.filter(state__in=WITH_WORKER, expires_at__gt=now)
    rows = rows.filter(Q(due_at=None) | Q(due_at__lte=now))
    over = rows.filter(attempts__gte=MOST_ATTEMPTS)
    over.filter(state=UploadState.WAITING).update(state=UploadState.REFUSED, problem=FAULT)
    over.filter(state=UploadState.IMPORTING).update(state=UploadState.READY, problem=NOT_WRITTEN)
    lost = list(rows.values_list("pk", flat=True))
    rows.filter(pk__in=lost).update(due_at=now + PATIENCE, attempts=F("attempts") + 1)
    for pk in lost:
        queue.enqueue(TASK, pk)
    return len(lost)


def _hand_over(upload: RosterUpload, now: datetime.datetime) -> None:
    """To a worker, once the row has been saved."""
    upload.due_at, upload.attempts = now + PATIENCE, 1
    queue.enqueue(TASK, upload.pk)


def find(pk: Any, *, instance: Instance, actor: User, now: datetime.datetime) -> RosterUpload | None:
    """What the person uploaded here, unless that is too long ago; without its file and lines."""
    rows = RosterUpload.objects.filter(pk=pk, instance=instance, user=actor)
    return rows.filter(expires_at__gt=now).defer("lines", "source").first()


@transaction.atomic
def choose(
    pk: Any, choices: Choices, *, suspend_missing: bool, instance: Instance, actor: User, now: datetime.datetime
) -> None:
    """Read the list again with what somebody has chosen. Raises Refusal when it is no longer there, or imported already."""
    _check(instance, actor)
    upload = _locked(pk, instance, actor, now)
    if upload.applied_at:
        raise Refusal("This list has already been imported. To change something, upload it again.", code="applied")
    upload.choices, upload.suspend_missing = choices.after(upload.table).pack(), suspend_missing
    if upload.state == UploadState.IMPORTING:
        raise Refusal("This list is being imported. To change something, upload it again.", code="applied")
    upload.state, upload.problem, upload.progress = UploadState.WAITING, "", 0
    if is_large(bytes(upload.source)):
        _hand_over(upload, now)
    else:
        try:
            _read(upload, now)
        except Refusal as refusal:
            _refused(upload, refusal)
    upload.save()


@transaction.atomic
def hand_over(pk: Any, *, instance: Instance, actor: User, now: datetime.datetime) -> bool:
    """Have a worker do what the preview showed, where that takes longer than a page should. False: call `confirm`. Raises Refusal."""
    _check(instance, actor)
    upload = _locked(pk, instance, actor, now)
    if upload.state == UploadState.IMPORTING:
        return True
    lines = sum(number for kind, number in upload.preview.get("counts", {}).items() if kind != "let_in")
    if upload.applied_at or upload.state != UploadState.READY or lines <= SHORT:
        return False
    upload.state, upload.problem = UploadState.IMPORTING, ""
    _hand_over(upload, now)
    upload.save(update_fields=["state", "problem", "due_at", "attempts"])
    return True


def _import(upload: RosterUpload, now: datetime.datetime) -> bool:
    """What a worker does of a list that was handed over. When it cannot be, the page of the preview says why."""
    still = RosterUpload.objects.filter(pk=upload.pk, state=UploadState.IMPORTING)
    try:
        confirm(upload.pk, instance=upload.instance, actor=upload.user, now=now)
    except Refusal as refusal:
        if refusal.code == "stale":
            renew(upload, instance=upload.instance, actor=upload.user, now=now)
        still.update(state=UploadState.READY, problem=refusal.message)
        return False
    except Exception:
        still.update(state=UploadState.READY, problem=NOT_WRITTEN)
        raise
    return True


@transaction.atomic
def confirm(pk: Any, *, instance: Instance, actor: User, now: datetime.datetime) -> dict[str, Any]:
    """Do what the preview showed, all or nothing; returns its counts. A second time it does nothing, and returns the same.

    Raises Refusal: "expired", "asks" when something is still to be chosen, or "stale" when it would no longer do the same (the upload
    then has a new preview, see `renew`).
    """
    locked = lock(instance.pk)
    _check(locked, actor)
    upload = _locked(pk, locked, actor, now)
    if upload.applied_at:
        return dict(upload.preview["counts"])
    if upload.state not in (UploadState.READY, UploadState.IMPORTING):
        raise Refusal("This list cannot be imported yet: first choose how it should be read.", code="asks")
    outcome = _run(upload, locked, actor, now, write=True)
    counts = _counts(outcome)
    if outcome.hash.hexdigest() != upload.digest:
        raise Refusal("The roster has changed since this preview was made. Please review it again.", code="stale")
    if any(counts.get(kind) for kind in ("new", "changed", "missing", "reinstated")):
        record(
            Verb.ROSTER_IMPORTED, upload, actor=actor, now=now, instance=locked,
            after={name: counts[name] for name in RECORDED if name in counts},
        )  # fmt: skip
    upload.preview = {**upload.preview, "counts": counts}
    upload.table = {"used": upload.table["used"]}
    upload.applied_at, upload.lines, upload.source = now, b"", b""
    upload.state, upload.problem = UploadState.READY, ""
    upload.save(update_fields=["preview", "table", "applied_at", "lines", "source", "state", "problem"])
    return counts


def renew(upload: RosterUpload, *, instance: Instance, actor: User, now: datetime.datetime) -> None:
    """Make the preview anew, as things stand now."""
    _check(instance, actor)
    _look(upload, _run(upload, instance, actor, now, write=False))
    upload.save(update_fields=["preview", "digest"])


def forget_old(now: datetime.datetime) -> int:
    """Uploads whose time is over hold people's data for nothing."""
    return RosterUpload.objects.filter(expires_at__lte=now).delete()[0]


def _forget_earlier(upload: RosterUpload) -> None:
    """Of lists that somebody uploads again and again, the latest are enough."""
    rows = RosterUpload.objects.filter(instance=upload.instance, user=upload.user, applied_at=None).exclude(
        Q(pk=upload.pk) | Q(state=UploadState.IMPORTING)
    )
    old = list(rows.order_by("-created_at").values_list("pk", flat=True)[MOST_KEPT - 1 :])
    RosterUpload.objects.filter(pk__in=old).delete()


def _locked(pk: Any, instance: Instance, actor: User, now: datetime.datetime) -> RosterUpload:
    rows = RosterUpload.objects.select_for_update().filter(pk=pk, instance=instance, user=actor, expires_at__gt=now)
    upload = rows.first()
    if upload is None:
        raise Refusal(EXPIRED, code="expired")
    return upload


def _check(instance: Instance, actor: User) -> None:
    check_keeper(actor, instance)
    if instance.archived_at:
        raise Refusal(f"{instance} is archived.", code="archived")


def _read(upload: RosterUpload, now: datetime.datetime, progress: reading.Progress | None = None) -> None:
    """Fill in all that comes of the file and the choices. Raises Refusal."""
    instance, actor = upload.instance, upload.user
    found = reading.read(
        bytes(upload.source), Choices.unpack(upload.choices), kept=_heads_of_notes(instance), progress=progress,
        gives_roles=authority.can_give_roles(actor, instance),
    )  # fmt: skip
    upload.lines, upload.note_heads, upload.table = found.lines, found.note_heads, found.table
    upload.state, upload.problem = (UploadState.ASKS if found.question else UploadState.READY), found.question
    if not found.question:
        _look(upload, _run(upload, instance, actor, now, write=False))


def _refused(upload: RosterUpload, refusal: Refusal) -> None:
    """Where there was something to choose before, it can be chosen otherwise."""
    upload.state = UploadState.ASKS if upload.table else UploadState.REFUSED
    upload.problem = refusal.message


def _heads_of_notes(instance: Instance) -> set[str]:
    rows = RosterEntry.objects.filter(instance=instance).exclude(notes={}).order_by("-pk")
    return {head for notes in rows.values_list("notes", flat=True)[:WITH_NOTES] for head in notes}


def _run(
    upload: RosterUpload, instance: Instance, actor: User, now: datetime.datetime, *, write: bool
) -> importing.Outcome:
    outcome = importing.run(
        instance, reading.unpack(upload.lines), note_heads=upload.note_heads, actor=actor, now=now, write=write
    )
    if upload.suspend_missing and not outcome.unread:
        leaving.leave_out(instance, outcome, actor=actor, now=now, write=write)
    if upload.choices.get("reinstate"):
        returning.let_back(instance, outcome, actor=actor, now=now, write=write)
    return outcome


def _look(upload: RosterUpload, outcome: importing.Outcome) -> None:
    upload.preview = {
        "counts": _counts(outcome), "samples": outcome.samples, "unread": outcome.unread, "shut_out": outcome.shut_out,
        "invite": outcome.invite,
    }  # fmt: skip
    upload.digest = outcome.hash.hexdigest()


def _counts(outcome: importing.Outcome) -> dict[str, int]:
    return {"missing": 0, **outcome.counts, "let_in": outcome.let_in}
