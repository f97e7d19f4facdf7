"""How many people asked and were let in, day by day."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate

from accounts.models import Membership

#: Points of a plot: more cannot be told apart.
MOST_POINTS = 60


@dataclass(frozen=True)
class Point:
    """How many there were at the end of a day."""

    day: datetime.date
    #: Everybody who has asked or was added, whatever became of it.
    registered: int
    #: Those of today's approved people who had been approved by then.
    approved: int


def growth(rows: QuerySet[Membership], *, today: datetime.date) -> list[Point]:
    """From the first request until today, at most MOST_POINTS points, evenly spaced, today's the last. Two queries."""
    registered = _by_day(rows, "requested_at")
    approved = _by_day(rows.filter(status="approved", decided_at__isnull=False), "decided_at")
    if not registered:
        return []
    first = min(*registered, *approved, today)
    span = (today - first).days
    step = max(1, -(-(span + 1) // MOST_POINTS))
    days = sorted(today - datetime.timedelta(days=back) for back in range(0, span + 1, step))
    return [Point(day, _until(registered, day), _until(approved, day)) for day in days]


def _by_day(rows: QuerySet[Membership], field: str) -> dict[datetime.date, int]:
    counted: Any = rows.order_by().annotate(day=TruncDate(field)).values("day").annotate(count=Count("pk"))
    return {row["day"]: row["count"] for row in counted}


def _until(counts: dict[datetime.date, int], day: datetime.date) -> int:
    return sum(count for when, count in counts.items() if when <= day)
