"""The minute sweep of labs: ends what is over, sends again what was lost, and removes what has no row.

Costs five lists a cluster, and one call for each workload that has just ended. Secrets are not listed: the site has no right to
read any. They are known by what they own.
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

from k8s import diagnosis, labels
from k8s.client import Client
from k8s.errors import Error, Unavailable
from k8s.names import is_name_for
from labs.models import Cluster, EndReason, Instance, State, Workload
from labs.models.reconciled import due
from labs.models.workload import WANTED_STATES
from labs.rules.queue import MOST_QUEUED, enqueue, remind, ring

from . import classes, clusters, ending, hearing, loss, retention
from .instances import end_what_is_over
from .objects import remove_secrets
from .reconcile import finish, forget_applied
from .rendering import kinds_of
from .stopping import end_many, fail
from .waiting import promote_queued

log = logging.getLogger(__name__)
SETTLED = Q(observed_generation__gte=F("generation"))
#: A worker that hung may make the Secret of a workload after its end: longer than a claim with the last call's retries.
LATE = datetime.timedelta(minutes=3)
#: What one workload has on the cluster: kind → its metadata.
Found = dict[str, dict[str, Any]]


def sweep(now: datetime.datetime) -> None:
    """One pass over what runs and where it runs."""
    each_alone(
        lambda: end_due(now),
        lambda: end_what_is_over(now),
        lambda: ending.tell(now),
        lambda: promote_all(now),
        lambda: send_again(now),
        lambda: classes.remind(now),
        lambda: retention.remind(now),
        *(partial(_visit_or_tell, cluster, now) for cluster in Cluster.objects.all()),
    )


def each_alone(*parts: Callable[[], Any]) -> None:
    """Call these parts of a sweep. An odd row or a silent cluster does not keep the others from theirs: what goes wrong is logged."""
    for part in parts:
        try:
            part()
        except Error as error:
            log.warning("sweep: %s", error)
        except Exception:
            log.exception("sweep: a part failed")


def _visit_or_tell(cluster: Cluster, now: datetime.datetime) -> None:
    known = cluster.problem
    try:
        visit(cluster, now)
    except Error as error:
        if error.message != known:  # The same each minute is no news.
            log.warning("sweep: cluster %s: %s", cluster.slug, error)


def visit(cluster: Cluster, now: datetime.datetime) -> None:
    """All that a cluster is asked each minute. Raises k8s.errors.Error when it does not answer, and notes that."""
    try:
        client = clusters.client(cluster)
        if cluster.problem:
            client.greet()  # One that was silent is asked once, so that it does not hold up the others.
        compare(cluster)
        remove_late(cluster, now)
        hearing.heard(cluster.pk, now=timezone.now(), version=client.version())
        hearing.look(cluster, client)
    except Unavailable as error:
        hearing.silent(cluster.pk, error.message)
        raise


def end_due(now: datetime.datetime) -> int:
    """End what has expired, and give up what has not answered before its start deadline."""
    ended = 0
    by_reason: dict[EndReason, list[Workload]] = defaultdict(list)
    for row in Workload.objects.expired(now).select_related("instance", "owner"):
        by_reason[EndReason.INSTANCE_OVER if row.ends_with_instance else EndReason.EXPIRED].append(row)
    for reason, rows in by_reason.items():
        ended += len(end_many(rows, reason, now=now))
    # A start is not given up for a cluster that is silent: it may have come far, and goes on when the cluster is back.
    for row in Workload.objects.overdue(now).filter(cluster__problem="").select_related("instance", "owner"):
        ended += fail(row, _given_up(row.diagnosis), now=now)
    return ended


TOO_SLOW = {
    "cause": "start-deadline",
    "title": "The lab did not start in time",
    "text": "The start was cancelled because the lab was not ready after {minutes} minutes.",
    "next_step": "Launch it again. If that does not help, tell the course staff.",
    "fatal": True,
}
TOO_SLOW["text"] = str(TOO_SLOW["text"]).format(minutes=settings.START_DEADLINE_MINUTES)


def _given_up(last: dict[str, Any] | None) -> dict[str, Any]:
    """Why it ended, with what held it up at last: that said to wait, which is over."""
    if last is None:
        return TOO_SLOW
    text = f"{TOO_SLOW['text']} Last known cause: {last['title']}. {last['text']}"
    return {**last, "title": TOO_SLOW["title"], "text": text, "next_step": TOO_SLOW["next_step"], "fatal": True}


def promote_all(now: datetime.datetime) -> None:
    """Look at every queue."""
    for pk in Workload.objects.filter(state=State.QUEUED).values_list("instance", flat=True).distinct():
        promote_queued(pk, now=now)


def send_again(now: datetime.datetime) -> None:
    """Queue the work on rows whose newest generation is not done and which nobody is at."""
    remind(now)
    for pk in Instance.objects.filter(due(now)).order_by("due_at").values_list("pk", flat=True)[:MOST_QUEUED]:
        enqueue("reconcile_instance", pk)


def compare(cluster: Cluster) -> None:
    """Hold what is on the cluster against the rows. Raises k8s.errors.Error when it does not answer."""
    # Rows that were settled before the lists must be in them; rows are read again after, so that what is listed has its row by
    # then. A generation that came meanwhile may not be in the lists yet.
    settled = Workload.objects.live().filter(SETTLED, cluster=cluster, claim=None)
    generations = dict(settled.values_list("pk", "generation"))
    client = clusters.client(cluster)
    seen = seen_kinds(cluster)
    found = list_ours(client, seen)
    rows = {row.pk: row for row in Workload.objects.live().filter(cluster=cluster).select_related("instance", "owner")}
    # Two rows of clusters may lead to the same one, by two ways to its labs.
    elsewhere = set(Workload.objects.live().filter(pk__in=found.keys() - rows.keys()).values_list("pk", flat=True))
    for pk in found.keys() - rows.keys() - elsewhere:
        remove(client, found[pk])
    for pk, row in rows.items():
        if generations.get(pk) == row.generation:
            _compare_one(client, row, found.get(pk, {}), seen)


def _compare_one(client: Client, row: Workload, objects: Found, seen: tuple[str, ...]) -> None:
    if row.state == State.STOPPING:
        left = {kind: item for kind, item in objects.items() if "deletionTimestamp" not in item}
        if not objects:
            finish([row])
        elif left:
            remove(client, left)  # Made after its Secret was deleted, or no garbage collector took it.
    elif row.state in WANTED_STATES and (set(objects) != set(seen) or _is_of_the_past(row, objects)):
        if "Pod" not in objects:
            loss.note({row: diagnosis.loss(None)}, now=timezone.now())
            return
        forget_applied(row, pod_is_gone=False)
        ring([row.pk])


def _is_of_the_past(row: Workload, objects: Found) -> bool:
    """Whether this is not what was last made for the row: the cluster was set back to a backup of before that."""
    owners = {owner["uid"] for item in objects.values() for owner in item.get("ownerReferences", [])}
    expires = str(int(row.expires_at.timestamp())) if row.expires_at else None
    return owners != {row.owner_uid} or expires not in (None, objects["Pod"]["labels"].get(labels.EXPIRES))


def seen_kinds(cluster: Cluster) -> tuple[str, ...]:
    """What can be seen of a workload: the Secret that owns it is named by each."""
    return tuple(kind for kind in kinds_of(cluster) if kind != "Secret")


def list_ours(client: Client, kinds: tuple[str, ...]) -> dict[UUID, Found]:
    """Everything with our labels, in a namespace and under a name of ours, by the workload that it names.

    Labels alone do not make an object ours: who copies a manifest into another namespace copies them too.
    """
    namespaces = {instance.namespace for instance in Instance.objects.only("slug")}
    found: dict[UUID, Found] = defaultdict(dict)
    for kind in kinds:
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
    remove_secrets(clusters.client(cluster), ended)
