"""Which part of the history belongs to which row of the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.db import models
from django.urls import reverse

from accounts.models import Membership, User
from labs.models import Event, Instance, Lab, Quota
from labs.models.event import Verb

from .words import change_lines

SHOWN = 12

#: The lookups by which the list of the history shows that of one row. A model that is not here has none.
LOOKUPS: dict[type[models.Model], Callable[[Any], dict[str, Any]]] = {
    Instance: lambda row: {"instance__id__exact": row.pk},
    Membership: lambda row: {"instance__id__exact": row.instance_id, "user__id__exact": row.user_id},
    Lab: lambda row: {"workload__id__exact": row.pk},
    Quota: lambda row: {
        "instance__id__exact": row.instance_id,
        "verb__exact": Verb.LIMITS_CHANGED,
        **({"user__id__exact": row.user_id} if row.user_id else {}),
    },
    User: lambda row: {"user__id__exact": row.pk},
}


def history_of(row: Any, most: int = SHOWN) -> list[tuple[Event, list[tuple[str, str, str]]]] | None:
    """The last events of a row that is within reach, the newest first, each with what it changed (name, before, after).

    None for a row of a kind that has no history. One query.
    """
    lookups = LOOKUPS.get(type(row))
    if lookups is None:
        return None
    found = Event.objects.filter(**lookups(row)).select_related("actor", "instance")
    if isinstance(row, Quota) and not row.user_id:
        found = found.filter(user=None)
    return [(event, change_lines(event)) for event in found.order_by("-at", "-pk")[:most]]


def history_link(row: Any) -> str:
    """The whole of it, in the list of the history; empty for a row of a kind that has none."""
    lookups = LOOKUPS.get(type(row))
    return f"{reverse('admin:labs_event_changelist')}?{urlencode(lookups(row))}" if lookups else ""
