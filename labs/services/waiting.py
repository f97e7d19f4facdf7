"""What waits: for room, in the queue of its instance, first come, first served; or for its first answer."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from accounts.models import User
from k8s.resources import COUNTED
from labs.errors import Refusal
from labs.models import ClassSeat, Cluster, Host, Instance, InstanceCluster, State, Workload
from labs.models.bulk import lock_in_order
from labs.rules.queue import enqueue

from .admission import Ask, ask_of, limits_of_each
from .names import take
from .overview import usage_by
from .placement import Known, count, place, places
from .refusals import over
from .transition import move_many

#: As many are accepted in one transaction.
AT_ONCE = 100


def start_deadline(now: datetime.datetime) -> datetime.datetime:
    """When a workload that has not answered is given up."""
    return now + datetime.timedelta(minutes=settings.START_DEADLINE_MINUTES)


def promote_queued(instance_pk: Any, *, now: datetime.datetime) -> int:
    """Accept what waits, each in its turn, as far as there is room; returns how many.

    Who does not fit into what is free holds nobody up who does: it may be a GPU that they wait for, or all that there is. The number
    of queries does not grow with the queue, and after AT_ONCE another task goes on, so that no launch waits long for the lock.
    """
    with transaction.atomic():
        instance = Instance.objects.select_for_update(no_key=True).filter(pk=instance_pk).first()
        if not instance:
            return 0
        lock_in_order(_waiting(instance))
        turns = Turns(instance, now)
        chosen: dict[Cluster, list[Workload]] = defaultdict(list)
        for row, cluster in islice(turns, AT_ONCE):
            chosen[cluster].append(row)
        if sum(map(len, chosen.values())) == AT_ONCE:
            enqueue("promote_queued", instance.pk)
        deadline = start_deadline(now)
        return sum(
            len(move_many(rows, State.REQUESTED, now=now, reconcile=True, cluster=cluster, start_deadline=deadline))
            for cluster, rows in chosen.items()
        )


def check_turn(instance: Instance, found: Sequence[InstanceCluster], *, now: datetime.datetime) -> None:
    """Raise Refusal while somebody waits who fits into what is free: they come before a new launch. The instance's row is locked.

    `found`: all `places` of the instance. One query when nobody waits.
    """
    if next(iter(Turns(instance, now, found=found, take_hosts=False)), None):
        raise Refusal(
            "There is room again, but people in the queue come first. Try again in a minute, or wait in the queue.",
            code="queue-first",
        )


def check_queue(instance: Instance, owner: User, *, is_for_class: bool = False) -> None:
    """Raise Refusal when no more may wait: of the person, or in the instance. The instance's row is locked.

    Labs that are started for a class (`is_for_class`) have a bound of their own: a class larger than the queue would leave its members
    no place in it, and would itself stay half started. Each member has at most one of them for each prepared lab.
    """
    waiting = _waiting(instance).annotate(of_class=Exists(ClassSeat.objects.filter(lab=OuterRef("pk"))))
    counts = waiting.aggregate(all=Count("pk", filter=Q(of_class=is_for_class)), own=Count("pk", filter=Q(owner=owner)))
    if counts["own"] >= settings.QUEUE_PER_PERSON:
        most = settings.QUEUE_PER_PERSON
        raise over("own-queue-full", "queued", limit=most, used=counts["own"], asked=1, instance=instance)
    if is_for_class and counts["all"] >= settings.QUEUE_FOR_CLASSES:
        text = f"The queue of {instance} is full for class labs. Start the class again when it is shorter."
        raise Refusal(text, code="queue-full")
    if not is_for_class and counts["all"] >= settings.QUEUE_PER_INSTANCE:
        raise Refusal(f"The queue of {instance} is full. Please try again later.", code="queue-full")


def _waiting(instance: Instance) -> QuerySet[Any]:
    return Workload.objects.filter(instance=instance, state=State.QUEUED)


class Turns:
    """Those who wait in an instance and fit into what is free, one after the other, each with the cluster that it goes to.

    All is read at the beginning, in a fixed number of queries, and counted along from there.
    """

    def __init__(
        self, instance: Instance, now: datetime.datetime, *, found: Sequence[InstanceCluster] | None = None,
        take_hosts: bool = True,
    ) -> None:  # fmt: skip
        self._instance, self._now, self._takes_hosts = instance, now, take_hosts
        rows = _waiting(instance).select_related("owner").order_by("created_at", "pk")
        self._rows: list[Workload] = list(rows[: settings.QUEUE_PER_INSTANCE + settings.QUEUE_FOR_CLASSES])
        for row in self._rows:
            row.instance = instance
        if not self._rows:
            return
        self._found, self._known = places(instance) if found is None else found, Known()
        self._limits = limits_of_each(instance, {row.owner for row in self._rows})
        self._used = usage_by("owner_id", Workload.objects.counted().filter(instance=instance))
        self._whole = {key: sum(used[key] for used in self._used.values()) for key in COUNTED}
        hosts = {item.cluster.host(row.name) for item in self._found for row in self._rows}
        self._owners = dict(Host.objects.filter(name__in=hosts).values_list("name", "owner"))
        self._domains = list(Cluster.objects.order_by().values_list("lab_domain", flat=True))
        self._names = _names(self._rows, self._found)

    def __iter__(self) -> Iterator[tuple[Workload, Cluster]]:
        refused = NoRoom()
        for row in self._rows:
            ask = ask_of(row.amounts)
            if refused.covers(row, ask):
                continue
            without = self._taken(row)
            try:
                cluster = self._room(row, ask, without)
            except Refusal as refusal:
                if not without:  # Else it says nothing of others, who have other names.
                    refused.add(row, ask, is_personal=refusal.code == "over-own-limit")
                continue
            if not self._take(row, cluster):
                continue  # Somebody of another instance was faster. Next time another cluster is looked for.
            for used in (self._used_by(row), self._whole):
                used |= {key: used[key] + ask[key] for key in COUNTED}
            count(self._known, cluster, ask, gpu_model=row.gpu_model)
            yield row, cluster

    def _used_by(self, row: Workload) -> dict[str, int]:
        return self._used.setdefault(row.owner_id, dict.fromkeys(COUNTED, 0))

    def _room(self, row: Workload, ask: Ask, without: Collection[int]) -> Cluster:
        self._limits[row.owner_id].check_beside(ask, self._used_by(row), self._whole)
        return place(self._found, ask, now=self._now, gpu_model=row.gpu_model, without=without, known=self._known)

    def _taken(self, row: Workload) -> set[int]:
        """Keys of the clusters on which another lab has its name, or its host belongs to somebody else or is a domain of labs."""
        return {
            item.cluster_id
            for item in self._found
            if self._names[row.name, item.cluster_id] - {row.pk}
            or any(f".{domain}".endswith(f".{item.cluster.host(row.name)}") for domain in self._domains)
            or self._owners.get(item.cluster.host(row.name), row.owner_id) != row.owner_id
        }

    def _take(self, row: Workload, cluster: Cluster) -> bool:
        host = cluster.host(row.name)
        return not self._takes_hosts or host in self._owners or take(host, row.owner, now=self._now)


class NoRoom:
    """What had no room in this round: who asks for the same has none either, without another look. A class asks for the same."""

    def __init__(self) -> None:
        self._asks: set[tuple[int | None, str, tuple[int, ...]]] = set()

    def covers(self, row: Workload, ask: Ask) -> bool:
        # Larger ones are looked at: to compare each with all others would cost more where all differ.
        amounts = tuple(ask.values())
        return not self._asks.isdisjoint(((None, row.gpu_model, amounts), (row.owner_id, row.gpu_model, amounts)))

    def add(self, row: Workload, ask: Ask, *, is_personal: bool) -> None:
        """`is_personal`: by the limits of its owner, which are nobody else's."""
        self._asks.add((row.owner_id if is_personal else None, row.gpu_model, tuple(ask.values())))


def _names(rows: Sequence[Workload], found: Sequence[InstanceCluster]) -> dict[tuple[str, int], set[Any]]:
    """The labs that have one of these rows' names, by name and cluster. One query."""
    live = Workload.objects.live().filter(
        cluster__in=[item.cluster_id for item in found], name__in={row.name for row in rows}
    )
    labs: dict[tuple[str, int], set[Any]] = defaultdict(set)
    for pk, name, cluster in live.values_list("pk", "name", "cluster"):
        labs[name, cluster].add(pk)
    return labs
