"""What the queue runs. Primary keys in, services called; every task may run twice or at the same time."""

import logging

from django.utils import timezone

from accounts.services import sweep as people
from k8s.errors import Error

from .models import Cluster
from .services import classes, hearing, instances, reconcile, sweep, waiting

log = logging.getLogger(__name__)


def reconcile_workloads() -> int:
    """Make the clusters agree with all workloads that are due; what a cluster does not answer is tried again later."""
    return reconcile.reconcile_due()


def reconcile_instance(pk: str) -> bool:
    """Make the cluster agree with an instance."""
    try:
        return instances.reconcile_instance(pk)
    except Error as error:
        log.warning("instance %s waits for its cluster: %s", pk, error)
        return False


def promote_queued(instance_pk: str) -> int:
    """Accept what waits in the instance, as far as there is room."""
    return waiting.promote_queued(instance_pk, now=timezone.now())


def work_off_class(pk: str) -> int:
    """Start what is still to be started of a class."""
    return classes.work_off(pk)


def cluster_changed(pk: str) -> None:
    """Ask a new or changed cluster how it is, and bring its instances there."""
    hearing.changed(int(pk))
    cluster_back(pk)


def cluster_back(pk: str) -> None:
    """Hold what is on a cluster that answers again against the rows, and send what waited for it."""
    for cluster in Cluster.objects.filter(pk=pk):
        try:
            sweep.visit(cluster, timezone.now())
        except Error as error:
            log.warning("cluster %s: %s", cluster.slug, error)
    sweep.send_again(timezone.now())


def run_sweep() -> None:
    """The minute sweep of both apps, called by the schedule. That of people goes first: a cluster that is silent does not hold it up."""
    now = timezone.now()
    people.sweep(now)
    sweep.sweep(now)
