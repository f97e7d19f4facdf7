"""The plots of one instance: use of its cores, and its people over time."""

from __future__ import annotations

import datetime

from django.utils import timezone

from accounts.models import Membership
from accounts.services.growth import growth
from k8s.resources import BY_KEY
from labs.models import Instance, Quota, Scope
from labs.services.usage import cores_by_hour, hours_until

from .charts import Chart, cores_chart, growth_chart


def instance_charts(instance: Instance, now: datetime.datetime) -> list[Chart]:
    """Four queries, whatever ran and whoever came."""
    whole = Quota.objects.filter(instance=instance, scope=Scope.INSTANCE).values_list("cpu_millis", flat=True).first()
    cores = cores_by_hour([instance], now=now)[instance.pk]
    limit = None if whole is None else whole / BY_KEY["cpu_millis"].factor
    people = growth_chart("growth", growth(Membership.objects.filter(instance=instance), today=timezone.localdate(now)))
    return [cores_chart("cores", cores, hours_until(now), limit), *([people] if people else [])]
