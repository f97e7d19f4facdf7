"""An instance on its clusters: namespace, limits, isolation; and its changes by people."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import authority
from k8s.errors import Error
from k8s.instance_objects import instance_objects
from labs.errors import Refusal
from labs.models import Cluster, EndReason, Instance, Quota, Scope, Verb, Workload
from labs.models.reconciled import changed

from . import clusters
from .claims import run_claimed
from .history import record
from .stopping import stop_all

#: What a change of an instance is told with in the history.
FIELDS = (
    "slug",
    "title",
    "kind",
    "summary",
    "about",
    "footer",
    "accent",
    "policy",
    "email_domains",
    "staff_may_approve",
    "is_public",
    "starts_on",
    "ends_on",
)


def reconcile_instance(pk: Any) -> bool:
    """Make the clusters agree with the instance's row and limits. False: somebody else is at it."""
    return run_claimed(Instance, pk, _make_so, load=lambda: Instance.objects.get(pk=pk))


def _make_so(instance: Instance) -> None:
    if instance.archived_at and not Workload.objects.live().filter(instance=instance).exists():
        _on_each(instance, lambda cluster: clusters.working_client(cluster).delete("Namespace", instance.namespace))
    else:
        provision(instance)


def provision(instance: Instance) -> None:
    """Apply the namespace and all that stands in it on each of its clusters. Raises k8s.errors.Error of the first that failed."""
    _on_each(instance, partial(provision_on, instance))


def _on_each(instance: Instance, act: Callable[[Cluster], object]) -> None:
    """One silent cluster does not keep the others from theirs; the error comes after, so that it is tried again."""
    failed: Error | None = None
    for cluster in instance.clusters.order_by("places__rank", "places__pk"):
        try:
            act(cluster)
        except Error as error:
            failed = failed or error
    if failed:
        raise failed


def provision_on(instance: Instance, cluster: Cluster) -> None:
    """Apply the namespace and all that stands in it before the first workload. Shrinking a limit ends nothing."""
    client = clusters.working_client(cluster)
    quota = Quota.objects.filter(instance=instance, scope=Scope.INSTANCE).first()
    limits = {key: getattr(quota, key, None) for key in ("cpu_millis", "memory_mib", "gpus", "storage_gib")}
    for manifest in instance_objects(
        name=instance.slug,
        namespace=instance.namespace,
        site=settings.SITE_IDENTITY,
        quota={**limits, "pods": getattr(quota, "running", None)},
        ingress_namespace_labels={"kubernetes.io/metadata.name": cluster.ingress_namespace},
    ):
        client.apply(manifest)


def touch(instance_pk: Any) -> None:
    """The cluster must learn of a change: a new generation, and the task that carries it out."""
    from .queue import enqueue

    Instance.objects.filter(pk=instance_pk).update(**changed())
    enqueue("reconcile_instance", instance_pk)


@transaction.atomic
def save_instance(instance: Instance, *, actor: User, now: datetime.datetime) -> Instance:
    """Write a new or changed instance with its Event. Only site administrators make one, or change its slug. Raises Refusal."""
    old = Instance.objects.select_for_update(no_key=True).filter(pk=instance.pk).first() if instance.pk else None
    allowed = authority.can_change_instance(actor, instance) if old else actor.is_superuser
    if old and not actor.is_superuser and old.slug != instance.slug:
        allowed = False
    if not allowed:
        raise Refusal("You may not change this instance.", code="forbidden")
    before = _told(old) if old else {}
    instance.full_clean(exclude=["services"])
    instance.save(update_fields=FIELDS if old else None)
    after = _told(instance)
    changed = [name for name in FIELDS if before.get(name) != after[name]]
    if changed:
        record(
            Verb.INSTANCE_CHANGED, instance, actor=actor, now=now, instance=instance,
            before={name: before[name] for name in changed if name in before}, after={name: after[name] for name in changed},
        )  # fmt: skip
    return instance


def _told(instance: Instance) -> dict[str, str]:
    values = {name: getattr(instance, name) for name in FIELDS}
    return {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in values.items()}


@transaction.atomic
def archive(instance: Instance, *, actor: User, now: datetime.datetime) -> bool:
    """End the instance: what runs ends, nothing can be launched, and the namespace goes when all have ended."""
    if not authority.can_change_instance(actor, instance):
        raise Refusal("You may not archive this instance.", code="forbidden")
    if not Instance.objects.filter(pk=instance.pk, archived_at=None).update(archived_at=now):
        return False
    record(
        Verb.INSTANCE_ARCHIVED, instance, actor=actor, now=now, instance=instance,
        before={"archived_at": None}, after={"archived_at": now.isoformat()},
    )  # fmt: skip
    stop_all(instance, actor=actor, now=now, end_reason=EndReason.INSTANCE_OVER)
    touch(instance.pk)
    return True


def end_what_is_over(now: datetime.datetime) -> int:
    """End what runs in instances whose last day has passed."""
    over = Instance.objects.filter(ends_on__lt=timezone.localdate(now), archived_at=None)
    return sum(stop_all(instance, now=now, end_reason=EndReason.INSTANCE_OVER) for instance in over)
