"""What labs reach and who reaches labs, by packets: the site's policies under a real plugin, on a machine made of namespaces.

Each question is asked twice, when the policies of the instances have been taken away and when the site has put them there: what is
closed by them is open without. By IPv4: kube-router 2.1.0 does not keep policies of IPv6 (cloudnativelabs/kube-router#1653).
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.conf import settings

from k8s.client import Client
from k8s.instance_objects import instance_objects
from tests.security.town import Town, prove, see
from tests.support import network_plugin
from tests.support.answers import Answers
from tests.support.controlplane import ControlPlane
from tests.support.machine import Machine

pytestmark = [pytest.mark.k8s, pytest.mark.slow]

LAB_PORT = 8888
PUBLIC = {
    "a public address": "8.8.8.8",
    "the last before 172.16.0.0/12": "172.15.255.255",
    "the first after 172.16.0.0/12": "172.32.0.1",
    "the last before 100.64.0.0/10": "100.63.255.255",
    "the first after 192.168.0.0/16": "192.169.0.1",
}
PRIVATE = {
    "in 10.0.0.0/8": "10.200.0.1",
    "in 172.16.0.0/12": "172.31.255.254",
    "in 192.168.0.0/16": "192.168.7.7",
    "in 100.64.0.0/10": "100.64.0.1",
    "in 198.18.0.0/15": "198.19.0.1",
    "in 240.0.0.0/4": "240.0.0.1",
    "the Service of the API server": "10.96.0.1",
    "metadata of most clouds": "169.254.169.254",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Oracle": "192.0.0.192",
    "the wire server of Azure": "168.63.129.16",
}
#: Public ones that the cluster's row names, and that of the API server.
NAMED = {"a named network": "9.9.9.9", "a named address": "208.67.222.222"}
API_SERVER = "1.1.1.1"


@pytest.fixture(scope="module")
def machine(control_plane: ControlPlane) -> Iterator[Machine]:
    """A node on which a real plugin sees to the policies."""
    if why := network_plugin.missing():
        pytest.skip(why)
    with Machine() as made, network_plugin.running(control_plane, made):
        yield made


@pytest.fixture
def town(machine: Machine, control_plane: ControlPlane, held: SimpleNamespace) -> Iterator[Town]:
    with Answers() as answers, Town(control_plane, machine, answers, held) as made:
        made.world(*PUBLIC.values(), *PRIVATE.values(), *NAMED.values(), API_SERVER)
        yield made


def test_a_lab_reaches_the_clusters_dns_and_public_addresses_and_nothing_else(town: Town) -> None:
    passed = {
        **town.of("the cluster's DNS", town.lab, town.dns, 53, "udp"),
        **town.of("the cluster's DNS", town.lab, town.dns, 53),
        **town.out(town.lab, PUBLIC),
        **town.out(town.lab, PUBLIC, "udp"),
    }
    stopped = {
        **town.of("another port of the cluster's DNS", town.lab, town.dns, 9153),
        **town.of("a lab of the same instance", town.lab, town.neighbour, LAB_PORT),
        **town.of("a lab of the same instance", town.lab, town.neighbour, 9999, "udp"),
        **town.of("a lab of another instance", town.lab, town.foreign, LAB_PORT),
        **town.of("the ingress controller", town.lab, town.ingress, 443),
        **town.of("a pod of another namespace", town.lab, town.stranger, 53),
        **town.of("a pod of another namespace", town.lab, town.stranger, 53, "udp"),
        **town.of("its machine", town.lab, town.machine, 10250),
        **town.of("its machine", town.lab, town.machine, 53, "udp"),
        **town.out(town.lab, PRIVATE),
        **town.out(town.lab, PRIVATE, "udp"),
    }
    prove(town, passed=passed, stopped=stopped, by=town.protect)


def test_the_ingress_controller_reaches_a_lab_at_its_port_and_nobody_else_does(town: Town) -> None:
    passed = {
        **town.of("from the ingress controller", town.ingress, town.lab, LAB_PORT),
        **town.of("from its machine, as probes come", town.machine, town.lab, LAB_PORT),
    }
    stopped = {
        **town.of("from the ingress controller", town.ingress, town.lab, 9999),
        **town.of("from the ingress controller", town.ingress, town.lab, LAB_PORT, "udp"),
        **town.of("from a lab of the same instance", town.neighbour, town.lab, LAB_PORT),
        **town.of("from a lab of another instance", town.foreign, town.lab, LAB_PORT),
        **town.of("from the cluster's DNS", town.dns, town.lab, LAB_PORT),
        **town.of("from a pod of another namespace labelled as the ingress", town.stranger, town.lab, LAB_PORT),
        **town.of("from outside the cluster", town.outside, town.lab, LAB_PORT),
    }
    prove(town, passed=passed, stopped=stopped, by=town.protect)


def test_a_lab_that_uses_no_internet_reaches_the_clusters_dns_alone(town: Town) -> None:
    passed = town.of("the cluster's DNS", town.lab, town.dns, 53, "udp")
    stopped = {**town.out(town.lab, PUBLIC), **town.out(town.lab, PRIVATE)}

    def protect() -> None:
        instance = town.held.instance
        for obj in instance_objects(
            name=instance.slug,
            namespace=instance.namespace,
            site=settings.SITE_IDENTITY,
            quota={},
            ingress_namespace_labels={"kubernetes.io/metadata.name": town.cluster.ingress_namespace},
            lab_uses_internet=False,
        ):
            if obj["kind"] == "NetworkPolicy":
                town.held.site.apply(obj)

    prove(town, passed=passed, stopped=stopped, by=protect)
    town.protect()
    public = town.out(town.lab, PUBLIC)
    see(public, dict.fromkeys(public, True))


def test_a_lab_reaches_neither_networks_named_at_the_cluster_nor_a_public_api_server(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "server", API_SERVER)  # where its kubeconfig would say it is
    town.cluster.forbidden_networks = ["9.9.9.0/24", "208.67.222.222/32"]
    town.cluster.save()
    stopped = town.out(town.lab, {**NAMED, "the API server": API_SERVER})
    prove(town, passed=town.out(town.lab, PUBLIC), stopped=stopped, by=town.protect)


def test_an_ingress_on_its_machines_network_is_let_in_by_the_address_from_which_it_asks(town: Town) -> None:
    """Such a pod is none to a policy, whatever its namespace. From another machine it asks with that one's address among pods."""
    ingress = town.another_machine("10.244.200.0")
    asked = town.of("an ingress of another machine", ingress, town.lab, LAB_PORT)
    others = {
        **town.of("another port", ingress, town.lab, 9999),
        **town.of("from a lab of the same instance", town.neighbour, town.lab, LAB_PORT),
    }
    prove(town, passed={}, stopped={**asked, **others}, by=town.protect)
    town.cluster.ingress_networks = [ingress.address]
    town.cluster.save()
    town.protect()
    see({**asked, **others}, dict.fromkeys(asked, True) | dict.fromkeys(others, False))


def test_a_name_server_on_the_machines_network_is_asked_at_the_address_that_is_named(town: Town) -> None:
    """NodeLocal DNSCache is none to a policy either; the address that it has by default is named by default."""
    usual, other = town.machine_also_at("169.254.20.10"), town.machine_also_at("169.254.30.10")
    passed = {**town.of("the cache", town.lab, usual, 53, "udp"), **town.of("the cache", town.lab, usual, 53)}
    later = town.of("a cache elsewhere", town.lab, other, 53, "udp")
    stopped = town.of("another port of the cache", town.lab, usual, 9253)
    prove(town, passed=passed, stopped={**stopped, **later}, by=town.protect)
    town.cluster.name_servers = [other.address]
    town.cluster.save()
    town.protect()
    see({**passed, **stopped, **later}, dict.fromkeys({**passed, **stopped}, False) | dict.fromkeys(later, True))
