"""The cluster took the pod of a lab away. The lab is made again by itself, but files live as long as the pod: its people are told."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts.models import MailKind
from accounts.rules import mailing
from labs.models import Event, State, Verb, Workload
from labs.models.bulk import update_each
from labs.rules.history import line
from labs.rules.queue import ring

from . import telling
from .reconcile import forget_applied

log = logging.getLogger(__name__)


@transaction.atomic
def note(lost: Mapping[Workload, str], *, now: datetime.datetime) -> set[Any]:
    """Have the objects of these made again; returns the keys of those that have lost files, each told of once.

    `lost`: why, in one sentence, for each row whose pod is gone without our doing; rows come with `instance` and `owner`. The uid of
    the pod tells one loss from the next, whoever sees it first and however often.
    """
    had_files = {row.pk: row for row in lost if row.state == State.RUNNING and row.pod_uid}
    values = {
        row.pk: {"pod_uid": "", "lost_at": now, "lost_why": why[:200], "is_ready": False, "diagnosis": None}
        for row, why in lost.items()
        if row.pk in had_files
    }
    as_read = {pk: {"pod_uid": row.pod_uid} for pk, row in had_files.items()}
    noted = update_each(Workload, values, as_read=as_read, only={"state": (State.RUNNING,)})
    rows = [row for row in lost if row.pk in noted]
    Event.objects.bulk_create(
        line(Verb.LOST, row.name, actor=None, now=now, instance=row.instance, user=row.owner, workload=row,
             reason=f"{lost[row]} It starts again, empty.")
        for row in rows
    )  # fmt: skip
    mailing.write_many([telling.draft(MailKind.LAB_LOST, row, row.pod_uid, now=now, why=lost[row]) for row in rows])
    if rows:
        telling.of_losses(rows, now=now)
    for row in lost:
        log.warning("the pod of %s went without our doing", row.pk)
    forget_applied(*lost)
    ring([row.pk for row in lost])
    return noted
