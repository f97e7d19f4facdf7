"""The first page of the console: who waits, what runs, how much of the limits is taken, what happened last."""

from __future__ import annotations

import datetime
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Membership
from labs.models import EndReason, Event, Instance, Lab, Quota, Scope, State, Workload
from labs.models.quota import COUNTED
from labs.services.admission import UNITS, Meter

from .access import Rows, reach, within_reach
from .navigation import waiting_count

WAITING_SHOWN = 20
EVENTS_SHOWN = 8
INSTANCES_SHOWN = 24
RECENT = datetime.timedelta(hours=24)
NONE = {"running": 0, "starting": 0, "failed": 0}
STARTING = (State.REQUESTED, State.QUEUED, State.STARTING)


@dataclass
class Card:
    """One instance at a glance."""

    instance: Instance
    is_owned: bool
    waiting: int
    running: int
    starting: int
    failed: int
    meters: list[Meter] = field(default_factory=list)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the template shows. The number of queries does not depend on the number of rows."""
    rows = within_reach(Instance.objects.filter(archived_at=None), request.user)
    rows = rows.annotate(waiting=Count("memberships", filter=Q(memberships__status="requested")))
    instances = list(rows.order_by("-waiting", "title")[:INSTANCES_SHOWN])
    waiting = Membership.objects.decidable_by(request.user).select_related("user", "instance")
    return context | {
        "cards": _cards(request, instances),
        "more_instances": len(instances) == INSTANCES_SHOWN,
        "waiting": waiting.order_by("requested_at")[:WAITING_SHOWN],
        "waiting_count": waiting_count(request),
        "events": within_reach(Event.objects.all(), request.user).select_related("instance", "actor").order_by("-at", "-pk")[:EVENTS_SHOWN],
    }  # fmt: skip


def _cards(request: HttpRequest, instances: list[Any]) -> list[Card]:
    states = _states(instances)
    meters = _meters(instances)
    return [
        Card(
            instance=row,
            is_owned=reach(request).owns(row.pk),
            waiting=row.waiting,
            meters=meters[row.pk],
            **states.get(row.pk, NONE),
        )
        for row in instances
    ]


def _states(instances: list[Instance]) -> dict[int, dict[str, int]]:
    since = timezone.now() - RECENT
    counted: Any = (
        Lab.objects.filter(instance__in=instances)
        .order_by()
        .values("instance")
        .annotate(
            running=Count("pk", filter=Q(state=State.RUNNING)),
            starting=Count("pk", filter=Q(state__in=STARTING)),
            failed=Count("pk", filter=Q(end_reason=EndReason.FAILED, created_at__gte=since)),
        )
    )
    return {row["instance"]: {name: row[name] for name in NONE} for row in counted}


def _meters(instances: list[Instance]) -> dict[int, list[Meter]]:
    """As `admission.instance_meters`, for many at once; only what is limited."""
    quotas = {row.instance_id: row for row in Quota.objects.filter(instance__in=instances, scope=Scope.INSTANCE)}
    sums = _workloads(instances).annotate(
        cpu_millis=Sum("cpu_millis"), memory_mib=Sum("memory_mib"), gpus=Sum("gpus"), running=Count("pk")
    )
    used = {row["instance"]: row for row in sums}
    meters: dict[int, list[Meter]] = defaultdict(list)
    for instance in instances:
        for key in COUNTED:
            limit = getattr(quotas.get(instance.pk), key, None)
            if limit:
                factor, unit, label = UNITS[key]
                taken = Decimal(used.get(instance.pk, {}).get(key) or 0) / factor
                meters[instance.pk].append(Meter(key, label, taken, Decimal(limit) / factor, Decimal(0), unit))
    return meters


def _workloads(instances: list[Instance]) -> Rows:
    return Workload.objects.counted().filter(instance__in=instances).order_by().values("instance")
