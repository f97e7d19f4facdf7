"""What a list of the console is as a table for a spreadsheet: the columns of each, and what they need to be read at once."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import StreamingHttpResponse
from django.utils import timezone

from accounts.models import Membership, RosterEntry, Status
from k8s.resources import BY_KEY, SUMMED, Resource
from labs.access import Rows
from labs.models import Event, Lab, State, Verb
from labs.models.event import SITE_ACTOR
from labs.services.export import CHUNK, csv_response

from .words import change_words


@dataclass(frozen=True)
class Table:
    """`columns`: head and value of each; `prepare` brings along what they read of other rows, so that none asks again."""

    name: str
    columns: Mapping[str, Callable[[Any], Any]]
    prepare: Callable[[Rows], Rows]

    def response(self, rows: Rows, now: datetime.datetime) -> StreamingHttpResponse:
        """The rows, read and sent a chunk at a time."""
        found = self.prepare(rows).iterator(chunk_size=CHUNK)
        lines = ([value(row) for value in self.columns.values()] for row in found)
        return csv_response(f"{self.name}-{timezone.localdate(now)}", self.columns, lines)


def _with_section(rows: Rows) -> Rows:
    entries = RosterEntry.objects.filter(instance=OuterRef("instance"), user=OuterRef("user")).order_by()
    rows = rows.select_related("user", "instance", "decided_by").prefetch_related(None)
    return rows.annotate(section=Subquery(entries.values("section")[:1]))


def _if_approved(name: str) -> Callable[[Membership], Any]:
    return lambda row: getattr(row, name) if row.status == Status.APPROVED else None


MEMBERS: dict[str, Callable[[Any], Any]] = {
    "Name": lambda row: row.user.name,
    "E-mail": lambda row: row.shown_address,
    "Affiliation": lambda row: row.user.affiliation,
    "Instance": lambda row: row.instance.title,
    "Role": lambda row: row.get_role_display(),
    "Status": lambda row: row.get_status_display(),
    "Section": lambda row: row.section,
    "Registered": lambda row: row.user.created_at,
    "Requested": lambda row: row.requested_at,
    "Reason for request": lambda row: row.reason,
    "Authorised": lambda row: row.status == Status.APPROVED,
    "Authorised on": _if_approved("decided_at"),
    "Authorised by": _if_approved("decided_by"),
}


def _with_end(rows: Rows) -> Rows:
    """With who ended each, and what they said about it; what only waited in the queue ends in one step."""
    steps = Event.objects.filter(workload=OuterRef("pk"), verb__in=(Verb.STOPPING, Verb.ENDED)).order_by("at", "pk")
    rows = rows.select_related("owner", "instance", "template", "cluster")
    return rows.annotate(
        end_actor=Coalesce(Subquery(steps.values("actor_name")[:1]), Value("")),
        end_word=Coalesce(Subquery(steps.values("reason")[:1]), Value("")),
    )


def _hours_run(row: Lab) -> float | None:
    """From the first answer to the end, or until now; None when it never answered."""
    if row.started_at is None:
        return None
    return round(((row.ended_at or timezone.now()) - row.started_at) / datetime.timedelta(hours=1), 2)


def _core_hours(row: Lab) -> float | None:
    hours = _hours_run(row)
    return None if hours is None else round(hours * row.cpu_millis / 1000, 2)


def _amount(resource: Resource) -> Callable[[Lab], str]:
    return lambda row: resource.shown(getattr(row, resource.key))


LABS: dict[str, Callable[[Any], Any]] = {
    "Name": lambda row: row.name,
    "Owner": lambda row: row.owner.name,
    "E-mail": lambda row: row.owner.email,
    "Instance": lambda row: row.instance.title,
    "Service": lambda row: row.template.title,
    "Image": lambda row: row.image,
    "Cluster": lambda row: row.cluster.title,
    "State": lambda row: row.get_state_display(),
    **{BY_KEY[key].with_unit(BY_KEY[key].label): _amount(BY_KEY[key]) for key in SUMMED},
    "GPU model": lambda row: row.gpu_model,
    "Lifetime (hours)": _amount(BY_KEY["lifetime_minutes"]),
    "Requested": lambda row: row.created_at,
    "Started": lambda row: row.started_at,
    "Ends": lambda row: row.expires_at if row.state == State.RUNNING else None,
    "Ended": lambda row: row.ended_at,
    "End reason": lambda row: row.get_end_reason_display() if row.end_reason else "",
    "Stopped by": lambda row: "" if row.end_actor == SITE_ACTOR else row.end_actor,
    "Reason": lambda row: (row.trouble or {}).get("title") or row.end_word,
    "Lost files": lambda row: row.lost_at,
    "Ran (hours)": _hours_run,
    "Core hours": _core_hours,
}

EVENTS: dict[str, Callable[[Any], Any]] = {
    "When": lambda row: row.at,
    "Who": lambda row: row.actor_name,
    "Did": lambda row: row.get_verb_display(),
    "To": lambda row: row.subject,
    "Affected person": lambda row: row.user.email if row.user else "",
    "Instance": lambda row: row.instance.title if row.instance else "",
    "Lab": lambda row: row.workload_id,
    "Before": lambda row: change_words(row.before),
    "After": lambda row: change_words(row.after),
    "Why": lambda row: row.reason,
}

#: The lists that can be taken along.
TABLES: dict[type[models.Model], Table] = {
    Membership: Table("members", MEMBERS, _with_section),
    Lab: Table("labs", LABS, _with_end),
    Event: Table("history", EVENTS, lambda rows: rows.select_related("user", "instance")),
}
