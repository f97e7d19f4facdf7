"""How much ran, and when: from the rows of workloads, which keep their times for ever."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

from django.db.models import Q
from django.utils import timezone

from labs.models import Instance, Workload

HOUR = datetime.timedelta(hours=1)
#: Seven days, the hour that has begun included.
WEEK_HOURS = 7 * 24


def hours_until(now: datetime.datetime, hours: int = WEEK_HOURS) -> list[datetime.datetime]:
    """The beginnings of the last `hours` hours in the site's time zone, the oldest first; the last one has not passed yet."""
    this = timezone.localtime(now).replace(minute=0, second=0, microsecond=0)
    return [timezone.localtime(this.astimezone(datetime.UTC) - HOUR * back) for back in range(hours - 1, -1, -1)]


def cores_by_hour(
    instances: Collection[Instance], *, now: datetime.datetime, hours: int = WEEK_HOURS
) -> dict[int, list[float]]:
    """Cores of running workloads, on average over each of the last hours, for each instance by its key. One query.

    A workload counts from its first answer to its end; what waited or never answered had no use of its cores.
    """
    begins = hours_until(now, hours)
    rows = Workload.objects.filter(instance__in=instances, started_at__lt=now).filter(
        Q(ended_at=None) | Q(ended_at__gt=begins[0])
    )
    found = {instance.pk: [0.0] * hours for instance in instances}
    times: Any = rows.order_by().values_list("instance_id", "started_at", "ended_at", "cpu_millis")
    for instance, started, ended, cpu_millis in times.iterator(chunk_size=1000):
        _spread(found[instance], begins[0], max(started, begins[0]), min(ended or now, now), cpu_millis / 1000)
    passed = max((now - begins[-1]) / HOUR, 1 / 3600)
    for values in found.values():
        values[-1] = values[-1] / passed
    return found


def _spread(
    values: list[float], start: datetime.datetime, begin: datetime.datetime, end: datetime.datetime, cores: float
) -> None:
    """Add `cores` to each hour after `start` by the part of it that lies between `begin` and `end`."""
    at = begin
    while at < end:
        index = (at - start) // HOUR
        until = min(start + HOUR * (index + 1), end)
        values[index] += cores * ((until - at) / HOUR)
        at = until
