"""A member in an instance that offers JupyterLab, with limits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.utils import timezone

from accounts.models import Role, Status
from labs.models import Scope, ServiceTemplate
from tests.factories import InstanceFactory, MembershipFactory, QuotaFactory, UserFactory


@pytest.fixture
def world(db: None) -> SimpleNamespace:
    """`member`, `staff` and `owner` of `instance` (room for 10 cores; 4 cores, 2 labs and a day for each member)."""
    template = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    instance = InstanceFactory()
    instance.services.set([template])
    people = {}
    for role in Role:
        people[role.value] = UserFactory()
        MembershipFactory(instance=instance, user=people[role.value], role=role, status=Status.APPROVED)
    QuotaFactory(instance=instance, scope=Scope.INSTANCE, cpu_millis=10_000, memory_mib=64 * 1024, gpus=0, running=20)
    QuotaFactory(
        instance=instance,
        scope=Scope.MEMBER,
        cpu_millis=4_000,
        memory_mib=8 * 1024,
        gpus=0,
        running=2,
        lifetime_minutes=1440,
    )
    return SimpleNamespace(instance=instance, template=template, now=timezone.now(), **people)
