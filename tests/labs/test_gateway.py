"""Labs behind a Gateway, on the embedded API server and on a real one that has the kinds of the Gateway API."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from k8s import policy
from k8s.checkup import Expected, examine
from k8s.client import Client
from k8s.errors import Rejected
from k8s.exposure import parent
from k8s.names import object_name
from labs.models import Cluster, Lab, State
from labs.services import clusters, sweep
from labs.services.instances import provision
from labs.services.launch import launch
from labs.services.reconcile import load, reconcile, reconcile_due
from labs.services.rendering import kinds_of, name_of, render
from labs.services.stopping import stop_all
from tests.support import gateway_api
from tests.support.kubeconfigs import named
from tests.support.stack import until

pytestmark = pytest.mark.django_db
GATEWAY = "gateways/labs"


@pytest.fixture(scope="module")
def operator(kubeconfig: str) -> Iterator[Client]:
    """A client that may do everything, of a server that knows these kinds."""
    found = Client.from_kubeconfig(kubeconfig)
    with contextlib.nullcontext() if "devcluster" in found.version() else gateway_api.installed(found):
        yield found


@pytest.fixture
def routed(world: SimpleNamespace, operator: Client, site_kubeconfig: str) -> Iterator[SimpleNamespace]:
    """The world on a cluster with a Gateway. `client` is what the site has."""
    Cluster.objects.update(
        connection="file", kubeconfig_file=named(site_kubeconfig), gateway=GATEWAY, lab_scheme="http"
    )
    world.operator, world.cluster = operator, world.instance.clusters.get()
    world.instance.slug = f"routed-{uuid4().hex[:8]}"
    world.instance.save()
    provision(world.instance)
    world.client = clusters.client(world.cluster)
    yield world
    operator.delete("Namespace", world.instance.namespace)


def launched(world: SimpleNamespace, name: str) -> Lab:
    values = {"name": name, "cpu": "0.5", "memory": "512", "lifetime": "60"}
    return launch(
        actor=world.member, instance=world.instance, template=world.template, values=values, now=timezone.now()
    )


def routes(world: SimpleNamespace) -> list[dict[str, Any]]:
    return world.operator.list("HTTPRoute", world.instance.namespace).items


def test_a_lab_behind_a_gateway_has_a_route_that_goes_with_it(routed: SimpleNamespace) -> None:
    lab = launched(routed, "routed")
    reconcile(lab.pk)
    [route] = routes(routed)
    assert route["spec"]["hostnames"] == [lab.host]
    assert kinds_of(routed.cluster) == ("Secret", "Pod", "Service", "HTTPRoute")
    routed.operator.delete("HTTPRoute", route["metadata"]["name"], routed.instance.namespace)
    sweep.compare(routed.cluster)
    reconcile(lab.pk)
    assert routes(routed), "the sweep makes it again"
    Lab.objects.filter(pk=lab.pk).update(state=State.ENDED, end_reason="user", ended_at=timezone.now())
    sweep.compare(routed.cluster)
    until(lambda: not routes(routed), 20, "the route goes with its lab")
    assert load(lab.pk).state == State.ENDED


def test_many_labs_behind_a_gateway_are_removed_together(routed: SimpleNamespace) -> None:
    routed.instance.quotas.update(cpu_millis=None, memory_mib=None, running=None)
    provision(routed.instance)
    for number in range(4):
        launched(routed, f"many-{number}")
    assert reconcile_due() == 4
    assert len(routes(routed)) == 4
    stop_all(routed.instance, now=timezone.now())
    before = routed.client.calls.copy()
    assert reconcile_due() == 4
    # Three collections, and each Secret by its name: the answer to the deletion of a collection of Secrets shows them.
    assert (routed.client.calls - before).total() == 3 + 4
    until(lambda: not routes(routed), 20, "no route is left")


def test_a_route_that_belongs_to_nothing_is_removed(routed: SimpleNamespace) -> None:
    lab = launched(routed, "orphan")
    reconcile(lab.pk)
    [route] = routes(routed)
    name = object_name("orphan", gone := uuid4())
    metadata = {
        "name": name, "namespace": routed.instance.namespace,
        "labels": {**route["metadata"]["labels"], "mlsite/workload": str(gone)},
    }  # fmt: skip
    spec = {**route["spec"], "rules": [{"backendRefs": [{"name": name, "port": 80}]}]}
    routed.operator.apply({key: route[key] for key in ("apiVersion", "kind")} | {"metadata": metadata, "spec": spec})
    sweep.compare(routed.cluster)
    until(lambda: [one["metadata"]["name"] for one in routes(routed)] == [name_of(lab)], 20, "the lab's own is left")


def test_gateway_and_issuer_are_looked_at(routed: SimpleNamespace, site_kubeconfig: str) -> None:
    listener = {"name": "labs", "port": 443, "protocol": "HTTPS", "allowedRoutes": {"namespaces": {"from": "All"}}}
    metadata = {"name": "labs", "namespace": "gateways"}
    routed.operator.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateways"}})
    routed.operator.apply(
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata,
         "spec": {"gatewayClassName": "any", "listeners": [listener]}}
    )  # fmt: skip
    expected = Expected(gateway=GATEWAY, cluster_issuer="letsencrypt")
    found = examine(Client.from_kubeconfig(Path(site_kubeconfig)), expected, now=timezone.now())
    routed.operator.delete("Gateway", "labs", "gateways")
    told = {finding.title: finding.tone for finding in found}
    assert told[f"The Gateway {GATEWAY} exists."] == "ok"
    assert told["There is no ClusterIssuer “letsencrypt”."] == "bad"


REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"hostname": "bank.example.com"}}
ATTACKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a host outside the domain": lambda spec: spec.update(hostnames=["bank.example.com"]),
    "every name of the domain": lambda spec: spec.update(hostnames=["*.example.org"]),
    "every host": lambda spec: spec.pop("hostnames"),
    "another's Service": lambda spec: spec["rules"][0]["backendRefs"][0].update(name="other-12345678"),
    "a Service of another namespace": lambda spec: spec["rules"][0]["backendRefs"][0].update(namespace="default"),
    "people sent elsewhere": lambda spec: spec["rules"][0].update(filters=[REDIRECT]),
}


@pytest.mark.k8s
@pytest.mark.parametrize("kubeconfig", ["real"], indirect=True)
def test_a_route_to_elsewhere_is_refused_by_the_site_and_by_the_cluster(routed: SimpleNamespace) -> None:
    lab = launched(routed, "crafted")
    route = next(item for item in render(lab) if item["kind"] == "HTTPRoute")
    routed.client.apply(route)
    names = {"namespace": routed.instance.namespace, "name": name_of(lab), "labels": route["metadata"]["labels"]}
    for attack, change in ATTACKS.items():
        crafted = copy.deepcopy(route)
        change(crafted["spec"])
        with pytest.raises(Rejected) as refusal:
            routed.client.apply(crafted)
        assert "ValidatingAdmissionPolicy 'mlsite-routes'" in refusal.value.message, attack
        with pytest.raises(policy.PolicyError):
            policy.check(
                [crafted], **names, allowed_kinds={"HTTPRoute"}, service_account="lab", images=set(), host=lab.host,
                gateway=parent(GATEWAY), secrets=set(),
            )  # fmt: skip
