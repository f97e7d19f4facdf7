"""What is known of a cluster from its own mouth: that it answers, or since when not; its version; its machines."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from k8s import capacity, labels, networks
from k8s.client import Client
from labs.models import Cluster, Instance, MachineSnapshot, State, Workload
from labs.rules.queue import enqueue

from .instances import touch
from .waiting import start_deadline

log = logging.getLogger(__name__)
#: Beyond this many machines the pods of others are not counted: their list would be too long for every minute.
MOST_MACHINES = 300
#: Labels of machines by which a workload may be placed, beside those of the GPU models.
PLACE_LABELS = ("kubernetes.io/arch", "kubernetes.io/os", "topology.kubernetes.io/zone")
#: Writes no more often than this, when nothing else is new.
_NEWS = datetime.timedelta(seconds=10)


def heard(cluster_pk: int, *, now: datetime.datetime, version: str = "") -> None:
    """It answered. When it had not before, what waits for it is sent at once, and gets its time to start anew."""
    news: dict[str, Any] = {"last_seen_at": now, "problem": ""} | ({"version": version[:40]} if version else {})
    was_silent = Cluster.objects.filter(pk=cluster_pk).exclude(problem="")
    with transaction.atomic():
        if was_silent.update(**news):
            log.warning("cluster %s answers again", _slug(cluster_pk))
            waiting = Workload.objects.filter(cluster=cluster_pk, state__in=(State.REQUESTED, State.STARTING))
            waiting.update(start_deadline=start_deadline(now))
            enqueue("cluster_back", cluster_pk)
            return
    is_news = Q(last_seen_at=None) | Q(last_seen_at__lt=now - _NEWS) | ~Q(version=news.get("version", F("version")))
    Cluster.objects.filter(is_news, pk=cluster_pk).update(**news)


def silent(cluster_pk: int, problem: str) -> None:
    """It did not answer. `last_seen_at` stays: since when nothing can be said of what runs there."""
    text = problem or "The cluster is not responding."
    if Cluster.objects.filter(pk=cluster_pk, problem="").update(problem=text[:2000]):
        log.warning("cluster %s is silent: %s", _slug(cluster_pk), text)
    else:
        Cluster.objects.filter(pk=cluster_pk).exclude(problem=text[:2000]).update(problem=text[:2000])


def _slug(cluster_pk: int) -> str:
    return Cluster.objects.filter(pk=cluster_pk).values_list("slug", flat=True).first() or str(cluster_pk)


def look(cluster: Cluster, client: Client) -> None:
    """Keep what its machines have and what is asked of them: two lists. Raises k8s.errors.Error.

    When a machine with a public address is new, the instances there are provisioned again, so that labs do not reach it.
    """
    nodes = client.list("Node").items
    pods = []
    if len(nodes) <= MOST_MACHINES:
        pods = client.list("Pod", fields="status.phase!=Succeeded,status.phase!=Failed").items
    ours = [pod for pod in pods if _is_ours(pod)]
    mine = {machine["name"]: machine["requested"] for machine in capacity.machines(nodes, ours)}
    kept = {*PLACE_LABELS, *(label for model in cluster.gpu_models for label in model.get("node_labels", {}))}
    machines = [
        {
            **machine,
            "labels": {key: value for key, value in machine["labels"].items() if key in kept},
            "ours": mine.get(machine["name"], {}),
        }
        for machine in capacity.machines(nodes, pods)
    ]
    before = MachineSnapshot.objects.filter(cluster=cluster).first()
    public = networks.of_machines(nodes)
    if networks.beyond(public, before.networks if before else []):
        changed(cluster.pk)
    MachineSnapshot.objects.update_or_create(
        cluster=cluster, defaults={"at": timezone.now(), "machines": machines, "networks": public}
    )


def _is_ours(pod: dict[str, Any]) -> bool:
    found = pod["metadata"].get("labels") or {}
    return found.get(labels.SITE) == settings.SITE_IDENTITY and labels.WORKLOAD in found


def changed(cluster_pk: int) -> None:
    """Its row was changed: what stands on it for each of its instances may have to be another."""
    for pk in Instance.objects.filter(clusters=cluster_pk).values_list("pk", flat=True):
        touch(pk)
