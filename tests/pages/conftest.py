"""An instance that offers JupyterLab, its people, and a browser for each of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client

from accounts.models import Role, User
from labs.models import Scope, ServiceTemplate
from tests.factories import InstanceFactory, MembershipFactory, QuotaFactory, UserFactory


@pytest.fixture
def world(db: None) -> SimpleNamespace:
    """`member`, `staff` and `owner` of `instance`, and a `stranger`; 4 cores, 8 GiB, 2 labs and a day for each member."""
    template = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    instance = InstanceFactory(slug="physics", title="Physics", services=[template])
    people = {role.value: MembershipFactory(instance=instance, role=role).user for role in Role}
    limits = {"cpu_millis": 4000, "memory_mib": 8192, "gpus": 1, "running": 2, "lifetime_minutes": 1440}
    QuotaFactory(instance=instance, scope=Scope.MEMBER, **limits)
    QuotaFactory(instance=instance, scope=Scope.INSTANCE, cpu_millis=32_000, memory_mib=65_536, gpus=4, running=20)
    return SimpleNamespace(
        instance=instance, template=template, stranger=UserFactory(), launch="/i/physics/launch/jupyterlab/", **people
    )


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    """A client of this person."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make
