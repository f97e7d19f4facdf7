"""On which clusters an instance runs, and in which order: a choice of the people who run the site."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django.db import transaction

from accounts.models import User
from k8s.resources import COUNTED
from labs.errors import Refusal
from labs.models import Instance, InstanceCluster, Verb, Workload
from labs.rules.history import record


@transaction.atomic
def set_places(
    instance: Instance,
    *,
    changed: Iterable[InstanceCluster],
    removed: Iterable[InstanceCluster],
    actor: User,
    now: datetime.datetime,
) -> bool:
    """Write and remove these with an Event; what is there on each cluster follows. False: nothing changed.

    A cluster on which something of the instance still runs cannot be taken away. What stands in the instance's namespace on a
    cluster that is taken away is left there: it may be data. Raises Refusal and ValidationError.
    """
    if not actor.is_superuser:
        raise Refusal("Only site administrators can choose the clusters of an instance.", code="forbidden")
    Instance.objects.select_for_update().get(pk=instance.pk)
    before = _told(instance)
    for place in removed:
        if Workload.objects.live().filter(instance=instance, cluster=place.cluster_id).exists():
            raise Refusal(
                f"Labs of {instance} are still running on {place.cluster}. Wait until they have ended.", code="in-use"
            )
        place.delete()
    for place in changed:
        place.instance = instance
        place.full_clean()
        place.save()
    after = _told(instance)
    if before == after:
        return False
    record(
        Verb.INSTANCE_CHANGED, instance, actor=actor, now=now, instance=instance,
        before={"clusters": before} if before else {}, after={"clusters": after},
    )  # fmt: skip
    return True


def _told(instance: Instance) -> list[str]:
    lines = []
    for place in InstanceCluster.objects.filter(instance=instance).select_related("cluster"):
        limits = [f"{name} {value}" for name in COUNTED if (value := getattr(place, name)) is not None]
        lines.append(f"{place.cluster}{' (at most ' + ', '.join(limits) + ')' if limits else ''}")
    return lines
