"""An instance on its clusters: namespace, limits, isolation; and its changes by people."""

from __future__ import annotations

import datetime
import re
from functools import partial
from itertools import chain, count
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from accounts.models import User
from accounts.rules import authority
from k8s import registry
from k8s.instance_objects import instance_objects
from k8s.resources import KEYS
from labs.errors import Refusal, Unconfirmed
from labs.models import Cluster, EndReason, Instance, InstanceCluster, Quota, Scope, Verb
from labs.models.reconciled import changed
from labs.models.template import ServiceKind
from labs.rules.history import record
from labs.rules.queue import enqueue

from . import clusters, retention, toll
from .claims import run_claimed
from .extension import move_ends
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
    "staff_may_write",
    "is_public",
    "starts_on",
    "ends_on",
    "keep_days",
)


def reconcile_instance(pk: Any) -> bool:
    """Make the clusters agree with the instance's row and limits. False: somebody else is at it."""
    return run_claimed(Instance, pk, _make_so, load=lambda: Instance.objects.get(pk=pk))


def _make_so(instance: Instance) -> None:
    if instance.removed_at:
        return
    if instance in retention.over(timezone.now()):
        retention.remove(instance, now=timezone.now())
    else:
        provision(instance)


def provision(instance: Instance) -> None:
    """Apply the namespace and all that stands in it on each of its clusters. Raises k8s.errors.Error of the first that failed."""
    clusters.on_each(instance.clusters.order_by("places__rank", "places__pk"), partial(provision_on, instance))


def provision_on(instance: Instance, cluster: Cluster) -> None:
    """Apply the namespace and all that stands in it before the first workload. Shrinking a limit ends nothing."""
    client = clusters.working_client(cluster)
    login = clusters.registry_login(cluster)
    for manifest in instance_objects(
        name=instance.slug,
        namespace=instance.namespace,
        site=settings.SITE_IDENTITY,
        quota=_limits_on(instance, cluster),
        ingress_namespace_labels={"kubernetes.io/metadata.name": cluster.ingress_namespace},
        disk_gib=disk_gib(),
        has_spark=instance.services.filter(kind=ServiceKind.SPARK).exists(),
        registry_login=login,
        forbidden_networks=[*clusters.forbidden_networks(cluster, client.server), *clusters.own_networks(client)],
        ingress_networks=cluster.ingress_networks,
        name_servers=clusters.name_servers(cluster, client),
    ):
        client.apply(manifest)
    if not login:
        client.delete("Secret", registry.SECRET, instance.namespace)  # One that was taken back does not stay there.


def disk_gib() -> int:
    """What a lab may write to the disk of its machine, in GiB: home, scratch, and one for logs and what it installs."""
    return int(settings.HOME_GIB + settings.SCRATCH_GIB + 1)


def _limits_on(instance: Instance, cluster: Cluster) -> dict[str, int | None]:
    """Of the whole instance, or of its place on this cluster where that is less: the API server holds launches to the same."""
    whole = Quota.objects.filter(instance=instance, scope=Scope.INSTANCE).first()
    place = InstanceCluster.objects.filter(instance=instance, cluster=cluster).first()
    limits: dict[str, int | None] = {}
    for key in KEYS:
        set_ones = [value for one in (whole, place) if (value := getattr(one, key, None)) is not None]
        limits[key] = min(set_ones, default=None)
    return limits


def touch(instance_pk: Any) -> None:
    """The cluster must learn of a change: a new generation, and the task that carries it out."""
    Instance.objects.filter(pk=instance_pk).update(**changed())
    enqueue("reconcile_instance", instance_pk)


@transaction.atomic
def save_instance(
    instance: Instance, *, actor: User, now: datetime.datetime, is_confirmed: bool = False
) -> Instance:  # fmt: skip
    """Write a new or changed instance with its Event. Only site administrators make one, or change its slug.

    A last day that has passed ends what runs, at once. Raises Refusal, and Unconfirmed where a new last day would end labs of
    people, unless `is_confirmed`.
    """
    old = Instance.objects.select_for_update(no_key=True).filter(pk=instance.pk).first() if instance.pk else None
    allowed = authority.can_change_instance(actor, instance) if old else actor.is_superuser
    if old and not actor.is_superuser and old.slug != instance.slug:
        allowed = False
    if not allowed:
        raise Refusal("You do not have permission to change this instance.", code="forbidden")
    before = _told(old) if old else {}
    instance.full_clean(exclude=["services"])
    if old and not is_confirmed and (consequence := toll.of_change(old, instance, now=now)):
        raise Unconfirmed(consequence)
    instance.save(update_fields=FIELDS if old else None)
    after = _told(instance)
    changed = [name for name in FIELDS if before.get(name) != after[name]]
    if "ends_on" in changed and old:
        move_ends(instance)
    if changed:
        record(
            Verb.INSTANCE_CHANGED, instance, actor=actor, now=now, instance=instance,
            before={name: before[name] for name in changed if name in before}, after={name: after[name] for name in changed},
        )  # fmt: skip
    if old and toll.is_over(instance, now):
        stop_all(instance, actor=actor, now=now, end_reason=EndReason.INSTANCE_OVER)
    return instance


def free_slug(title: str) -> str:
    """A slug from a title that no instance has: small letters, digits and hyphens; from "2026 Übungen" comes "course-2026-ubungen"."""
    longest = Instance._meta.get_field("slug").max_length or 40
    base = re.sub(r"-+", "-", slugify(title).replace("_", "-")).strip("-") or "course"
    if not base[0].isalpha():
        base = f"course-{base}"
    taken = set(Instance.objects.values_list("slug", flat=True))
    stem = base[: longest - 5].strip("-")
    candidates = chain([base[:longest].strip("-")], (f"{stem}-{number}" for number in count(2)))
    return next(slug for slug in candidates if slug not in taken)


def _told(instance: Instance) -> dict[str, str]:
    values = {name: getattr(instance, name) for name in FIELDS}
    return {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in values.items()}


@transaction.atomic
def archive(instance: Instance, *, actor: User, now: datetime.datetime) -> bool:
    """End the instance: what runs ends, nothing can be launched, and what is stored goes when its time is over.

    False: it was archived already. Raises Refusal.
    """
    if not authority.can_change_instance(actor, instance):
        raise Refusal("You do not have permission to archive this instance.", code="forbidden")
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
