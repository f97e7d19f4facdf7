"""What pages show of many rows at once: each answer is a fixed number of queries, whatever the number of rows."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Case, Count, Min, OuterRef, QuerySet, Subquery, Sum, When

from accounts.models import User
from k8s.resources import COUNTED
from labs.models import Cluster, Instance, Quota, Scope, ServiceTemplate, State, Workload
from labs.models.workload import taken

from .admission import Meter, meters


@dataclass(frozen=True)
class GpuModel:
    """A model of GPU that a cluster has, and how many of it are not in use by labs."""

    name: str
    title: str
    count: int
    free: int


def free_gpus(clusters: Iterable[Cluster]) -> list[GpuModel]:
    """The GPUs of these clusters, model by model. `count`: on the cluster that has most, for one lab is on one cluster.

    One query; none where there are no GPUs.
    """
    having = [cluster for cluster in clusters if cluster.gpu_models]
    if not having:
        return []
    rows = Workload.objects.counted().filter(cluster__in=having, gpus__gt=0).order_by()
    used = {
        (row["cluster"], row["gpu_model"]): row["total"]
        for row in rows.values("cluster", "gpu_model").annotate(total=Sum("gpus"))
    }
    found: dict[str, GpuModel] = {}
    for cluster in having:
        for model in cluster.gpu_models:
            name, count = model["name"], int(model.get("count", 0))
            free = max(0, count - used.get((cluster.pk, name), 0))
            known = found.get(name) or GpuModel(name, model.get("title") or name, 0, 0)
            found[name] = GpuModel(name, known.title, max(known.count, count), known.free + free)
    return list(found.values())


def meters_of_person(user: User, instances: Iterable[Instance]) -> list[tuple[Instance, list[Meter]]]:
    """What the person uses in each of these instances, against their limits there. Two queries."""
    wanted = list(instances)
    quotas = {(row.instance_id, row.scope, row.user_id): row for row in Quota.objects.filter(instance__in=wanted)}
    used = usage_by("instance_id", Workload.objects.counted().filter(owner=user, instance__in=wanted))
    answer = []
    for instance in wanted:
        own = quotas.get((instance.pk, Scope.PERSON, user.pk)) or quotas.get((instance.pk, Scope.MEMBER, None))
        answer.append((instance, meters(own, used.get(instance.pk, dict.fromkeys(COUNTED, 0)))))
    return answer


def launchable_in(instances: Iterable[Instance], today: datetime.date) -> list[tuple[Instance, ServiceTemplate]]:
    """What can be launched in those of the person's instances that run today. Prefetch `services`: then no query."""
    return [
        (instance, service)
        for instance in instances
        if instance.is_running(today)
        for service in instance.services.all()
        if service.is_current
    ]


def usage_by(field: str, rows: QuerySet[Workload]) -> dict[int, dict[str, int]]:
    """Sums of what these take, as `WorkloadQuerySet.usage()`, for each instance ("instance_id") or person ("owner_id") by its key."""
    sums = rows.order_by().values(field).annotate(**{key: taken(key) for key in COUNTED})
    return {row.pop(field): row for row in sums}


def next_end(instance: Instance) -> datetime.datetime | None:
    """When the next of what runs there ends by itself: a guess of when there is room again. None while nothing runs. One query."""
    running = Workload.objects.filter(instance=instance, state=State.RUNNING)
    found: datetime.datetime | None = running.aggregate(end=Min("expires_at"))["end"]
    return found


def with_place_in_queue(rows: QuerySet[Workload]) -> QuerySet[Workload]:
    """Each row with `ahead`: how many wait before it in its instance; null where nobody does. And with `next_end` of its instance."""
    ahead = (
        Workload.objects.filter(
            instance=OuterRef("instance"), state=State.QUEUED, created_at__lt=OuterRef("created_at")
        )
        .order_by()
        .values("instance")
        .annotate(count=Count("pk"))
        .values("count")
    )
    running = Workload.objects.filter(instance=OuterRef("instance"), state=State.RUNNING).order_by("expires_at")
    ends = Case(When(state=State.QUEUED, then=Subquery(running.values("expires_at")[:1])))
    return rows.annotate(ahead=Subquery(ahead), next_end=ends)
