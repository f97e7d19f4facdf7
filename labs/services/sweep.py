"""The minute sweep: ends what is over, sends again what was lost, and removes what has no row.

Costs three lists a cluster, and one call for each namespace in which something has just ended. Secrets are not listed: the
site has no right to read any. They are known by what they own.
"""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone
from django_q.models import OrmQ

from k8s import labels
from k8s.client import Client
from k8s.errors import Error
from k8s.names import is_name_for
from labs.models import Cluster, EndReason, Instance, State, Workload
from labs.models.workload import WANTED_STATES

from . import clusters
from .claims import free
from .instances import end_what_is_over
from .queue import enqueue
from .reconcile import finish, forget_applied
from .rendering import WORKLOAD_KINDS
from .stopping import end, fail
from .waiting import promote_queued

log = logging.getLogger(__name__)
#: While a cluster is silent, its work is sent again every minute; the queue must not grow with that.
MOST_QUEUED = 1000
#: What can be seen of a workload: the Secret that owns it is named by each.
SEEN_KINDS = tuple(kind for kind in WORKLOAD_KINDS if kind != "Secret")
#: A worker that hung may make the Secret of a workload after its end: longer than a claim with the last call's retries.
LATE = datetime.timedelta(minutes=3)
#: Workloads that one selector names: a longer address would be refused.
MOST_NAMED = 50
#: What one workload has on the cluster: kind → its metadata.
Found = dict[str, dict[str, Any]]


def sweep(now: datetime.datetime) -> None:
    """One pass. Every part stands alone: an odd row or a silent cluster does not keep the others from theirs."""
    parts: list[Callable[[], Any]] = [
        lambda: end_due(now),
        lambda: end_what_is_over(now),
        lambda: promote_all(now),
        lambda: send_again(now),
        *(partial(compare, cluster) for cluster in Cluster.objects.all()),
        *(partial(remove_late, cluster, now) for cluster in Cluster.objects.all()),
    ]
    for part in parts:
        try:
            part()
        except Error as error:
            log.warning("sweep: %s", error)
        except Exception:
            log.exception("sweep: a part failed")


def end_due(now: datetime.datetime) -> int:
    """End what has expired, and give up what has not answered before its start deadline."""
    ended = 0
    for row in Workload.objects.expired(now).select_related("instance", "owner"):
        ended += end(row, EndReason.EXPIRED, now=now)
    for row in Workload.objects.overdue(now).select_related("instance", "owner"):
        ended += fail(row, row.diagnosis or TOO_SLOW, now=now)
    return ended


TOO_SLOW = {
    "cause": "start-deadline",
    "title": "It did not start in time.",
    "text": "It was given up, because it had not answered after {minutes} minutes.",
    "next_step": "Launch it again. If that does not help, tell the course staff.",
    "fatal": True,
}
TOO_SLOW["text"] = str(TOO_SLOW["text"]).format(minutes=settings.START_DEADLINE_MINUTES)


def promote_all(now: datetime.datetime) -> None:
    """Look at every queue."""
    for pk in Workload.objects.filter(state=State.QUEUED).values_list("instance", flat=True).distinct():
        promote_queued(pk, now=now)


def send_again(now: datetime.datetime) -> None:
    """Queue the work on rows whose newest generation is not done and which nobody is at."""
    room = max(0, MOST_QUEUED - OrmQ.objects.count())
    unsettled = free(now) & ~_settled()
    rows = Workload.objects.live().exclude(state=State.QUEUED).filter(unsettled).order_by("created_at")
    for pk in rows.values_list("pk", flat=True)[:room]:
        enqueue("reconcile_workload", pk)
    for pk in Instance.objects.filter(unsettled).values_list("pk", flat=True)[:room]:
        enqueue("reconcile_instance", pk)


def _settled() -> Q:
    return Q(observed_generation__gte=F("generation"))


def compare(cluster: Cluster) -> None:
    """Hold what is on the cluster against the rows. Raises k8s.errors.Error when it does not answer."""
    # Rows that were settled before the lists must be in them; rows are read again after, so that what is listed has its row by then.
    settled = set(Workload.objects.live().filter(_settled(), cluster=cluster, claim=None).values_list("pk", flat=True))
    client = clusters.client(cluster)
    found = list_ours(client)
    rows = {row.pk: row for row in Workload.objects.live().filter(cluster=cluster).select_related("instance", "owner")}
    for pk, objects in found.items():
        if pk not in rows:
            remove(client, objects)
    for pk in settled & rows.keys():
        _compare_one(client, rows[pk], found.get(pk, {}))
    Cluster.objects.filter(pk=cluster.pk).update(last_seen_at=timezone.now())


def _compare_one(client: Client, row: Workload, objects: Found) -> None:
    if row.state == State.STOPPING:
        left = {kind: item for kind, item in objects.items() if "deletionTimestamp" not in item}
        if not objects:
            finish(row)
        elif left:
            remove(client, left)  # Made after its Secret was deleted, or no garbage collector took it.
    elif row.state in WANTED_STATES and set(objects) != set(SEEN_KINDS):
        forget_applied(row)
        enqueue("reconcile_workload", row.pk)


def list_ours(client: Client) -> dict[UUID, Found]:
    """Everything with our labels, in a namespace and under a name of ours, by the workload that it names.

    Labels alone do not make an object ours: who copies a manifest into another namespace copies them too.
    """
    namespaces = {instance.namespace for instance in Instance.objects.only("slug")}
    found: dict[UUID, Found] = defaultdict(dict)
    for kind in SEEN_KINDS:
        for item in client.list(kind, labels=labels.selector(settings.SITE_IDENTITY), metadata_only=True).items:
            try:
                pk = UUID(item["metadata"]["labels"][labels.WORKLOAD])
            except ValueError:
                continue  # Somebody's hand-made label: not ours.
            if item["metadata"]["namespace"] in namespaces and is_name_for(item["metadata"]["name"], pk):
                found[pk][kind] = item["metadata"]
    return found


def remove(client: Client, objects: Found) -> None:
    """Delete objects of ours and the Secret that owns them, each by its uid, so that nothing else of the same name is meant."""
    owners = {
        (owner["name"], item["namespace"], owner["uid"])
        for item in objects.values()
        for owner in item.get("ownerReferences", [])
        if owner["kind"] == "Secret" and owner["name"] == item["name"]
    }
    seen = {(kind, item["name"], item["namespace"], item["uid"]) for kind, item in objects.items()}
    for kind, name, namespace, uid in [*(("Secret", *owner) for owner in owners), *seen]:
        log.warning("removing %s %s/%s, which belongs to nothing that runs", kind, namespace, name)
        client.delete(kind, name, namespace, uid=uid)


def remove_late(cluster: Cluster, now: datetime.datetime) -> None:
    """Delete the Secrets of what has just ended, should a worker have made one since. Raises k8s.errors.Error."""
    ended = Workload.objects.ended().filter(cluster=cluster, ended_at__gt=now - LATE).select_related("instance")
    by_namespace: dict[str, list[str]] = defaultdict(list)
    for row in ended:
        by_namespace[row.instance.namespace].append(str(row.pk))
    client = clusters.client(cluster)
    ours = labels.selector(settings.SITE_IDENTITY)
    for namespace, keys in by_namespace.items():
        for start in range(0, len(keys), MOST_NAMED):
            named = ",".join(keys[start : start + MOST_NAMED])
            client.delete_selected("Secret", namespace, labels=f"{ours},{labels.WORKLOAD} in ({named})")
