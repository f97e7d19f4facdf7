"""What is left of an archived instance on its clusters: kept for as long as the instance says, then removed with its namespace."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from labs.models import Cluster, Instance, Verb, Workload
from labs.rules.history import record
from labs.rules.queue import MOST_QUEUED, enqueue

from . import clusters


def over(now: datetime.datetime) -> QuerySet[Instance]:
    """Archived instances whose files are not kept any longer, in which everything has ended, and of which something may be left.

    A day has 24 hours here. Which have passed is asked of the few rows themselves: date arithmetic differs between data bases.
    """
    live = Workload.objects.live().values("instance")
    rows = Instance.objects.filter(archived_at__isnull=False, removed_at=None).exclude(pk__in=live)
    return rows.filter(pk__in=[row.pk for row in rows if row.kept_until and row.kept_until <= now])


def remind(now: datetime.datetime) -> None:
    """Have their namespaces removed, or looked after until they have gone."""
    for pk in over(now).values_list("pk", flat=True)[:MOST_QUEUED]:
        enqueue("reconcile_instance", pk)


def remove(instance: Instance, *, now: datetime.datetime) -> bool:
    """Delete its namespace on each cluster on which it may have one. True: nothing was left any more, and that is noted.

    A cluster takes a while to remove a namespace, so this is called again until it is not there. Raises k8s.errors.Error.
    """
    left: list[Cluster] = []

    def delete(cluster: Cluster) -> None:
        if clusters.working_client(cluster).delete("Namespace", instance.namespace):
            left.append(cluster)

    clusters.on_each(_used_by(instance), delete)
    return not left and _note(instance.pk, now)


def _used_by(instance: Instance) -> QuerySet[Cluster]:
    """Those that it names, and those that it has left."""
    ran = Workload.objects.filter(instance=instance).values("cluster")
    return Cluster.objects.filter(Q(places__instance=instance) | Q(pk__in=ran)).distinct()


@transaction.atomic
def _note(pk: Any, now: datetime.datetime) -> bool:
    if not Instance.objects.filter(pk=pk, removed_at=None).update(removed_at=now):
        return False
    instance = Instance.objects.get(pk=pk)
    record(
        Verb.INSTANCE_CHANGED, instance, actor=None, now=now, instance=instance, after={"files": "removed"},
        reason="It is archived, and the time for which its files are stored is over.",
    )  # fmt: skip
    return True
