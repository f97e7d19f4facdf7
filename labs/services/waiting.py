"""What waits: for room, in the queue of its instance, first come, first served; or for its first answer."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction

from labs.errors import Refusal
from labs.models import Host, Instance, InstanceCluster, State, Workload
from labs.models.bulk import lock_in_order
from labs.models.quota import COUNTED

from .admission import Ask, limits_of
from .names import take
from .placement import place, places
from .transition import move


def start_deadline(now: datetime.datetime) -> datetime.datetime:
    """When a workload that has not answered is given up."""
    return now + datetime.timedelta(minutes=settings.START_DEADLINE_MINUTES)


def promote_queued(instance_pk: Any, *, now: datetime.datetime) -> int:
    """Accept what waits, each in its turn, as far as there is room; returns how many.

    Who does not fit into what is free holds nobody up who does: it may be a GPU that they wait for, or all that there is.
    """
    promoted = 0
    with transaction.atomic():
        instance = Instance.objects.select_for_update(no_key=True).filter(pk=instance_pk).first()
        if not instance:
            return 0
        waiting = Workload.objects.filter(instance=instance, state=State.QUEUED)
        lock_in_order(waiting)
        found, refused = places(instance), Refused()
        for row in waiting.select_related("instance", "owner").order_by("created_at"):
            ask = Ask(row.cpu_millis, row.memory_mib, row.gpus)
            if refused.covers(row, ask):
                continue
            taken: set[int] = set()
            try:
                limits_of(row.instance, row.owner).check_room(ask)
                taken = _taken(row, found)
                cluster = place(found, ask, now=now, gpu_model=row.gpu_model, without=taken)
            except Refusal as refusal:
                if not taken:  # Else it says nothing of others, who have other names.
                    refused.add(row, ask, is_personal=refusal.code == "over-own-limit")
                continue
            if not take(cluster.host(row.name), row.owner, now=now):
                continue  # Somebody of another instance was faster. Next time another cluster is looked for.
            deadline = start_deadline(now)
            promoted += move(row, State.REQUESTED, now=now, reconcile=True, cluster=cluster, start_deadline=deadline)
    return promoted


class Refused:
    """What had no room in this round: who asks for as much has none either, without another look."""

    def __init__(self) -> None:
        self._asks: list[tuple[int | None, str, Ask]] = []

    def covers(self, row: Workload, ask: Ask) -> bool:
        return any(
            owner in (None, row.owner_id) and model == row.gpu_model and _is_as_large(ask, small)
            for owner, model, small in self._asks
        )

    def add(self, row: Workload, ask: Ask, *, is_personal: bool) -> None:
        """`is_personal`: by the limits of its owner, which are nobody else's."""
        self._asks.append((row.owner_id if is_personal else None, row.gpu_model, ask))


def _is_as_large(ask: Ask, small: Ask) -> bool:
    return all(getattr(ask, key) >= getattr(small, key) for key in COUNTED)


def _taken(row: Workload, found: Sequence[InstanceCluster]) -> set[int]:
    """Keys of the clusters on which another lab has its name, or its host belongs to somebody else."""
    others = Workload.objects.live().filter(name=row.name).exclude(pk=row.pk)
    hosts = {item.cluster.host(row.name): item.cluster_id for item in found}
    foreign = Host.objects.filter(name__in=hosts).exclude(owner=row.owner_id)
    return {
        *others.values_list("cluster", flat=True),
        *(hosts[host] for host in foreign.values_list("name", flat=True)),
    }


def position(workload: Workload) -> int:
    """Its place in the queue of its instance, from 1."""
    ahead = Workload.objects.filter(
        instance=workload.instance_id, state=State.QUEUED, created_at__lt=workload.created_at
    )
    return ahead.count() + 1
