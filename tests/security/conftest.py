"""The people and instances of the console's tests, for attacks on the site; an instance on a real cluster, for attacks through it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from accounts.models import User
from k8s.client import Client
from labs.models import Cluster, Scope, ServiceTemplate
from labs.services import clusters
from labs.services.instances import provision
from tests.console.conftest import world as world
from tests.console.conftest import world_of_module as world_of_module
from tests.factories import ClusterFactory, InstanceFactory, MembershipFactory, QuotaFactory
from tests.support.kubeconfigs import named


@pytest.fixture
def held(db: None, real_kubeconfig: str, site_account: Path) -> Iterator[SimpleNamespace]:
    """An instance on a real cluster. `site` is a client of the site's own account, `operator` may do everything."""
    cluster = ClusterFactory(connection="file", kubeconfig_file=named(site_account))
    found = instance_on(cluster)
    operator = Client.from_kubeconfig(real_kubeconfig)
    yield SimpleNamespace(**vars(found), site=clusters.client(cluster), operator=operator)
    operator.delete("Namespace", found.instance.namespace)


def instance_on(cluster: Cluster) -> SimpleNamespace:
    """A new instance with a member, provisioned there."""
    template = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    instance = InstanceFactory(slug=f"held-{uuid4().hex[:8]}", clusters=[cluster], services=[template])
    QuotaFactory(instance=instance, scope=Scope.INSTANCE, cpu_millis=4_000, memory_mib=8192, gpus=0, running=5)
    member: User = MembershipFactory(instance=instance).user
    provision(instance)
    return SimpleNamespace(instance=instance, template=template, member=member)
