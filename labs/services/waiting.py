"""What waits: for room, in the queue of its instance, first come, first served; or for its first answer."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction

from labs.errors import Refusal
from labs.models import Cluster, Instance, InstanceCluster, State, Workload

from .admission import Ask, limits_of
from .placement import place, places
from .transition import move

#: Refusals that do not pass when others end: those behind do not wait for them.
HOPELESS = ("too-large", "name")


def start_deadline(now: datetime.datetime) -> datetime.datetime:
    """When a workload that has not answered is given up."""
    return now + datetime.timedelta(minutes=settings.START_DEADLINE_MINUTES)


def promote_queued(instance_pk: Any, *, now: datetime.datetime) -> int:
    """Accept what waits, in its order, as far as there is room; returns how many. The first that has to wait for
    others holds its place."""
    promoted = 0
    with transaction.atomic():
        instance = Instance.objects.select_for_update(no_key=True).filter(pk=instance_pk).first()
        rows = (
            Workload.objects.filter(instance=instance, state=State.QUEUED)
            .select_related("instance", "owner")
            .order_by("created_at")
        )
        found = places(instance) if instance else []
        full_for: set[int] = set()
        for row in rows if instance else ():
            if row.owner_id in full_for:
                continue
            ask, limits = Ask(row.cpu_millis, row.memory_mib, row.gpus), limits_of(row.instance, row.owner)
            try:
                limits.check_room(ask)
                cluster = _place(row, found, ask, now)
            except Refusal as refusal:
                if refusal.code == "over-own-limit":
                    # Their own limit holds them back, not the instance's: those behind need not wait for it.
                    full_for.add(row.owner_id)
                elif refusal.code not in HOPELESS and limits.fits_at_all(ask):
                    break
                continue
            deadline = start_deadline(now)
            promoted += move(row, State.REQUESTED, now=now, reconcile=True, cluster=cluster, start_deadline=deadline)
    return promoted


def _place(row: Workload, found: Sequence[InstanceCluster], ask: Ask, now: datetime.datetime) -> Cluster:
    """Its own cluster or another with room, on which its name is free. Raises Refusal."""
    others = Workload.objects.live().filter(name=row.name).exclude(pk=row.pk)
    taken = set(others.values_list("cluster", flat=True))
    return place(found, ask, now=now, gpu_model=row.gpu_model, without=taken)


def position(workload: Workload) -> int:
    """Its place in the queue of its instance, from 1."""
    ahead = Workload.objects.filter(
        instance=workload.instance_id, state=State.QUEUED, created_at__lt=workload.created_at
    )
    return ahead.count() + 1
