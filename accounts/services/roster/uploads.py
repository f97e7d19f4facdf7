"""From what somebody uploads to what is written: kept, read, shown, and done when it has been confirmed as it was shown.

A large file is read by a worker, so that no page waits for it; until then the upload is WAITING. Where the file leaves something open,
it ASKS, and is read again with what has been chosen.
"""

from __future__ import annotations

import datetime
import io
import time
import zipfile
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import RosterEntry, RosterUpload, UploadState, User
from accounts.services import authority, rates
from labs.errors import Refusal
from labs.models import Instance, Verb
from labs.services import queue
from labs.services.history import record

from . import importing, leaving, reading, returning
from .admitting import check_keeper, lock
from .choices import Choices
from .files import check

#: How long a preview can be confirmed.
KEPT = datetime.timedelta(hours=2)
#: Bytes, unpacked, up to which a list is read while the page waits: half a second of work. A worker reads what is larger.
AT_ONCE = 2**20
#: Uploads of one person and instance that are kept before they are confirmed.
MOST_KEPT = 5
#: Seconds between two notes of how far a worker is.
PACE = 1.0
#: Entries by which it is seen which notes the roster has.
WITH_NOTES = 200
#: Of what a list did, what its line of the history tells.
RECORDED = ("new", "changed", "unchanged", "wrong", "missing", "reinstated")
FAULT = "Something went wrong while this list was read. Save it as CSV and upload that, or paste its lines."
EXPIRED = "This preview is no longer there. Please upload the file again."


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
        upload.save(force_insert=True)
        queue.enqueue("accounts.tasks.read_roster", upload.pk)
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
        f"The file is too large: at most {settings.ROSTER_MAX_MB} MiB are read. Leave out columns that are not needed.",
        code="too-large",
    )


def work_off(pk: Any, *, now: datetime.datetime) -> bool:
    """Read a list that was kept for the worker. May run twice; what was chosen meanwhile has a task of its own."""
    upload = RosterUpload.objects.select_related("user", "instance").filter(pk=pk, state=UploadState.WAITING).first()
    if upload is None:
        return False
    chosen, noted = upload.choices, time.monotonic()

    def progress(rows: int) -> None:
        nonlocal noted
        if time.monotonic() - noted > PACE:
            noted = time.monotonic()
            RosterUpload.objects.filter(pk=pk).update(progress=rows)

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
        raise Refusal("This list has been imported already. Upload it again to change something.", code="applied")
    upload.choices, upload.suspend_missing = choices.after(upload.table).pack(), suspend_missing
    upload.state, upload.problem, upload.progress = UploadState.WAITING, "", 0
    if is_large(bytes(upload.source)):
        queue.enqueue("accounts.tasks.read_roster", upload.pk)
    else:
        try:
            _read(upload, now)
        except Refusal as refusal:
            _refused(upload, refusal)
    upload.save()


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
    if upload.state != UploadState.READY:
        raise Refusal("This list cannot be imported yet: choose first how it is to be read.", code="asks")
    outcome = _run(upload, locked, actor, now, write=True)
    counts = _counts(outcome)
    if outcome.hash.hexdigest() != upload.digest:
        raise Refusal("The roster has changed since this preview was made. Please look at it again.", code="stale")
    if any(counts[kind] for kind in ("new", "changed", "missing", "reinstated")):
        record(
            Verb.ROSTER_IMPORTED, upload, actor=actor, now=now, instance=locked,
            after={name: counts[name] for name in RECORDED if counts[name] or name != "reinstated"},
        )  # fmt: skip
    upload.preview = {**upload.preview, "counts": counts}
    upload.table = {"used": upload.table["used"]}
    upload.applied_at, upload.lines, upload.source = now, b"", b""
    upload.save(update_fields=["preview", "table", "applied_at", "lines", "source"])
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
        pk=upload.pk
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
    return {"missing": 0, "reinstated": 0, **outcome.counts, "let_in": outcome.let_in}
