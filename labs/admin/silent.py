"""Clusters that do not answer, for the first page of the console."""

from __future__ import annotations

import datetime
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest

from labs.access import reach, within_reach
from labs.models import Cluster, Instance, State


def silent_clusters(request: HttpRequest, now: datetime.datetime) -> list[Any]:
    """Those of the person's instances, or all for a site administrator, each with `live`, its labs within reach. One query."""
    rows, live = Cluster.objects.all(), ~Q(workloads__state=State.ENDED)
    if not reach(request).is_administrator:
        mine = within_reach(Instance.objects.filter(archived_at=None), request.user)
        rows = rows.filter(pk__in=mine.values("clusters"))
        live &= Q(workloads__instance__in=mine)
    counted = rows.annotate(live=Count("workloads", filter=live & Q(workloads__isnull=False), distinct=True))
    return [row for row in counted.order_by("rank", "title") if row.is_silent(now)]
