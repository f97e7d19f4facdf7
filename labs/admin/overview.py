"""The first page of the console: who waits, what runs and ran, how much of the limits is taken, what happened last."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Membership, Status
from accounts.services.growth import growth
from k8s.resources import COUNTED
from labs.access import Rows, person, reach, within_reach
from labs.models import EndReason, Event, Instance, Lab, Quota, Scope, State, Workload
from labs.services.admission import Meter, meters
from labs.services.overview import usage_by
from labs.services.usage import cores_by_hour, hours_until

from .charts import Chart, cores_chart, growth_chart
from .navigation import waiting_count
from .silent import silent_clusters

WAITING_SHOWN = 6
EVENTS_SHOWN = 8
INSTANCES_SHOWN = 24
RECENT = datetime.timedelta(hours=24)
NONE = {"running": 0, "starting": 0, "failed": 0, "lost": 0, "stuck": 0}
STARTING = (State.REQUESTED, State.QUEUED, State.STARTING)


@dataclass
class Card:
    """One instance at a glance."""

    instance: Instance
    is_owned: bool
    waiting: int
    members: int
    running: int
    starting: int
    failed: int
    lost: int
    stuck: int
    cores: Chart
    meters: list[Meter] = field(default_factory=list)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the template shows. The number of queries does not depend on the number of rows."""
    now = timezone.now()
    people = {
        status: Count("memberships", filter=Q(memberships__status=status))
        for status in (Status.REQUESTED, Status.APPROVED)
    }
    rows = within_reach(Instance.objects.filter(archived_at=None), request.user)
    rows = rows.annotate(waiting=people[Status.REQUESTED], approved=people[Status.APPROVED])
    instances = list(rows.order_by("-waiting", "title")[: INSTANCES_SHOWN + 1])
    cards = _cards(request, instances[:INSTANCES_SHOWN], now)
    members = within_reach(Membership.objects.filter(instance__archived_at=None), request.user)
    waiting = Membership.objects.decidable_by(person(request)).select_related("user", "instance")
    return context | {
        "cards": cards,
        "silent_clusters": silent_clusters(request, now),
        "is_administrator": reach(request).is_administrator,
        "charts": _charts(cards, members, now),
        "totals": _totals(request, members),
        "more_instances": len(instances) > INSTANCES_SHOWN,
        "waiting": waiting.order_by("requested_at")[:WAITING_SHOWN],
        "waiting_count": waiting_count(request),
        "events": within_reach(Event.objects.all(), request.user).select_related("instance", "actor").order_by("-at", "-pk")[:EVENTS_SHOWN],
    }  # fmt: skip


def _totals(request: HttpRequest, members: Rows) -> dict[str, int]:
    """Of all instances within reach, also those for which there is no card."""
    labs = _count_states(within_reach(Lab.objects.filter(instance__archived_at=None), request.user))
    return {"members": members.filter(status=Status.APPROVED).count(), **labs}


def _charts(cards: list[Card], members: Rows, now: datetime.datetime) -> list[Chart]:
    """Of all instances that have a card, together. A limit means something for one only."""
    if not cards:
        return []
    together = [sum(values) for values in zip(*(card.cores.series[0].values for card in cards), strict=True)]
    limit = cards[0].cores.limit if len(cards) == 1 else None
    people = growth_chart("growth", growth(members, today=timezone.localdate(now)))
    return [cores_chart("cores", together, hours_until(now), limit), *([people] if people else [])]


def _cards(request: HttpRequest, instances: list[Any], now: datetime.datetime) -> list[Card]:
    states = _states(instances)
    of_each = _meters(instances)
    cores, hours = cores_by_hour(instances, now=now), hours_until(now)
    return [
        Card(
            instance=row,
            is_owned=reach(request).owns(row.pk),
            waiting=row.waiting,
            members=row.approved,
            meters=of_each[row.pk],
            cores=cores_chart(f"cores-{row.pk}", cores[row.pk], hours, _limit(of_each[row.pk])),
            **states.get(row.pk, NONE),
        )
        for row in instances
    ]


def _limit(found: list[Meter]) -> float | None:
    """Of cores, if there is one."""
    return next((float(meter.limit) for meter in found if meter.key == "cpu_millis" and meter.limit), None)


def _states(instances: list[Instance]) -> dict[int, dict[str, int]]:
    rows = Lab.objects.filter(instance__in=instances).order_by().values("instance")
    counted: Any = rows.annotate(**_counts())
    return {row["instance"]: {name: row[name] for name in NONE} for row in counted}


def _count_states(rows: Rows) -> dict[str, int]:
    return {name: value or 0 for name, value in rows.order_by().aggregate(**_counts()).items()}


def _counts() -> dict[str, Count]:
    since = timezone.now() - RECENT
    return {
        "running": Count("pk", filter=Q(state=State.RUNNING)),
        "starting": Count("pk", filter=Q(state__in=STARTING)),
        "failed": Count("pk", filter=Q(Q(ended_at=None) | Q(ended_at__gte=since), end_reason=EndReason.FAILED)),
        "stuck": Count("pk", filter=Q(state=State.STOPPING, removal__isnull=False)),
        "lost": Count("pk", filter=Q(lost_at__gte=since)),
    }


def _meters(instances: list[Instance]) -> dict[int, list[Meter]]:
    """As `admission.instance_meters`, for many at once; only what is limited."""
    quotas = {row.instance_id: row for row in Quota.objects.filter(instance__in=instances, scope=Scope.INSTANCE)}
    used = usage_by("instance_id", Workload.objects.counted().filter(instance__in=instances))
    nothing = dict.fromkeys(COUNTED, 0)
    return {
        row.pk: [meter for meter in meters(quotas.get(row.pk), used.get(row.pk, nothing)) if meter.limit]
        for row in instances
    }
