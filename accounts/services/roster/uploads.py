"""From what somebody uploads to what is written: read, kept, shown, and done when it has been confirmed as it was shown."""

from __future__ import annotations

import datetime
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import RosterUpload, User
from accounts.services import rates
from labs.errors import Refusal
from labs.models import Instance, Verb
from labs.services.history import record

from . import columns as columns_of
from . import importing, leaving
from .admitting import check_keeper, lock
from .columns import Columns
from .files import Row, rows_of_text, rows_of_upload
from .lines import Line, read

#: How long a preview can be confirmed.
KEPT = datetime.timedelta(hours=2)
CHUNK = 1 << 16


def keep(
    *, instance: Instance, actor: User, now: datetime.datetime, content: bytes | None = None, text: str = "",
    file_name: str = "", suspend_missing: bool = False,
) -> RosterUpload:  # fmt: skip
    """Read a file or pasted lines, compare them with the roster, and keep both for the page. Nothing of the roster changes.

    Raises Refusal for what cannot be read at all; what is wrong with single lines is told in the preview.
    """
    _check(instance, actor)
    most = settings.ROSTER_MAX_MB * 2**20
    if len(content or b"") > most or len(text) > most:
        raise too_large()
    rates.spend(actor, "upload", now=now)
    rows = rows_of_upload(content, file_name) if content is not None else rows_of_text(text)
    packed, columns = _pack(rows)
    forget_old(now)
    upload = RosterUpload(
        instance=instance,
        user=actor,
        file_name="".join(sign for sign in file_name if sign.isprintable())[-120:],
        created_at=now,
        expires_at=now + KEPT,
        lines=packed,
        note_heads=list(columns.notes.values()),
        columns=columns.in_words,
        has_head=columns.has_head,
        suspend_missing=suspend_missing,
    )
    _look(upload, _run(upload, instance, actor, now, write=False))
    upload.save(force_insert=True)
    return upload


def too_large() -> Refusal:
    return Refusal(
        f"The file is too large: at most {settings.ROSTER_MAX_MB} MiB are read. Leave out columns that are not needed.",
        code="too-large",
    )


def find(pk: Any, *, instance: Instance, actor: User, now: datetime.datetime) -> RosterUpload | None:
    """What the person uploaded here, unless that is too long ago; without its lines."""
    rows = RosterUpload.objects.filter(pk=pk, instance=instance, user=actor)
    return rows.filter(expires_at__gt=now).defer("lines").first()


@transaction.atomic
def confirm(pk: Any, *, instance: Instance, actor: User, now: datetime.datetime) -> dict[str, Any]:
    """Do what the preview showed, all or nothing; returns its counts. A second time it does nothing, and returns the same.

    Raises Refusal: "expired", or "stale" when it would no longer do the same (the upload then has a new preview, see `renew`).
    """
    locked = lock(instance.pk)
    _check(locked, actor)
    rows = RosterUpload.objects.select_for_update().filter(pk=pk, instance=locked, user=actor, expires_at__gt=now)
    upload = rows.first()
    if upload is None:
        raise Refusal("This preview is no longer there. Please upload the file again.", code="expired")
    if upload.applied_at:
        return dict(upload.preview["counts"])
    outcome = _run(upload, locked, actor, now, write=True)
    counts = _counts(outcome)
    if outcome.hash.hexdigest() != upload.digest:
        raise Refusal("The roster has changed since this preview was made. Please look at it again.", code="stale")
    if any(counts[kind] for kind in ("new", "changed", "missing")):
        record(
            Verb.ROSTER_IMPORTED, upload, actor=actor, now=now, instance=locked,
            after={name: counts[name] for name in ("new", "changed", "unchanged", "wrong", "missing")},
        )  # fmt: skip
    upload.preview = {**upload.preview, "counts": counts}
    upload.applied_at, upload.lines = now, b""
    upload.save(update_fields=["preview", "applied_at", "lines"])
    return counts


def renew(upload: RosterUpload, *, instance: Instance, actor: User, now: datetime.datetime) -> None:
    """Make the preview anew, as things stand now."""
    _check(instance, actor)
    _look(upload, _run(upload, instance, actor, now, write=False))
    upload.save(update_fields=["preview", "digest"])


def forget_old(now: datetime.datetime) -> int:
    """Uploads whose time is over hold people's data for nothing."""
    return RosterUpload.objects.filter(expires_at__lte=now).delete()[0]


def _check(instance: Instance, actor: User) -> None:
    check_keeper(actor, instance)
    if instance.archived_at:
        raise Refusal(f"{instance} is archived.", code="archived")


def _run(
    upload: RosterUpload, instance: Instance, actor: User, now: datetime.datetime, *, write: bool
) -> importing.Outcome:
    outcome = importing.run(
        instance, _unpack(upload.lines), note_heads=upload.note_heads, actor=actor, now=now, write=write
    )
    if upload.suspend_missing and not outcome.unread:
        leaving.leave_out(instance, outcome, actor=actor, now=now, write=write)
    return outcome


def _look(upload: RosterUpload, outcome: importing.Outcome) -> None:
    upload.preview = {"counts": _counts(outcome), "samples": outcome.samples, "unread": outcome.unread}
    upload.digest = outcome.hash.hexdigest()


def _counts(outcome: importing.Outcome) -> dict[str, int]:
    return {"missing": 0, **outcome.counts, "let_in": outcome.let_in}


# Lines, kept small --------------------------------------------------------------------------------------------------------


def _pack(rows: Iterator[Row]) -> tuple[bytes, Columns]:
    """Each line read, as JSON, compressed on its way: never are all of them held at once."""
    first = next(rows, None)
    if first is None:
        raise Refusal("There is nothing in it.", code="empty")
    columns = columns_of.understand(first.cells)
    squeeze, made, count = zlib.compressobj(1), [], 0
    for row in rows if columns.has_head else _again(first, rows):
        count += 1
        if count > settings.ROSTER_MAX_LINES:
            raise Refusal(
                f"There are more than {settings.ROSTER_MAX_LINES:,} people in it. Please upload it in parts.",
                code="lines",
            )
        packed = json.dumps(read(row.number, row.cells, columns).pack(), ensure_ascii=False, separators=(",", ":"))
        made.append(squeeze.compress(packed.encode() + b"\n"))
    if not count:
        raise Refusal("There is only the line with the names of the columns, and nobody below it.", code="empty")
    return b"".join((*made, squeeze.flush())), columns


def _again(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _unpack(packed: bytes | memoryview) -> Iterator[Line]:
    for text in _texts(bytes(packed)):
        yield Line.unpack(json.loads(text))


def _texts(packed: bytes) -> Iterable[bytes]:
    stretch, rest = zlib.decompressobj(), b""
    for start in range(0, len(packed), CHUNK):
        rest += stretch.decompress(packed[start : start + CHUNK])
        *whole, rest = rest.split(b"\n")
        yield from whole
