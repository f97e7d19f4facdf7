"""A cluster's own addresses that look like the internet: found, and left out of what labs reach."""

from __future__ import annotations

from typing import Any

from k8s import networks


def node(*addresses: str, pods: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "spec": {"podCIDRs": list(pods)},
        "status": {"addresses": [{"type": "x", "address": one} for one in addresses]},
    }


def test_public_addresses_of_machines_and_ranges_of_their_pods_are_found() -> None:
    nodes = [
        node("machine-1", "10.0.0.1", "8.8.8.8", "2600:1f18::1", pods=("10.244.0.0/24", "2600:1f18:0:1::/64")),
        node("8.8.8.9", "fd00::1", "100.64.0.1", pods=("9.9.9.0/24",)),
        {"spec": {"podCIDR": "9.9.8.0/24"}, "status": {}},
        {},
    ]
    assert networks.of_machines(nodes) == ["8.8.8.8/31", "9.9.8.0/23", "2600:1f18::1/128", "2600:1f18:0:1::/64"]


def test_what_is_no_network_or_would_be_all_of_them_is_passed_over() -> None:
    odd = node("", "None", "fe80::1%eth0", "::ffff:8.8.8.8", "300.1.1.1", pods=("0.0.0.0/0", "::/0"))
    assert networks.of_machines([odd]) == []


def test_pods_on_their_machines_network_have_no_address_of_their_own() -> None:
    pods = [
        {"spec": {"hostNetwork": True}, "status": {"podIPs": [{"ip": "8.8.8.8"}]}},
        {"spec": {}, "status": {"podIPs": [{"ip": "10.1.1.1"}, {"ip": "2600:1f18:0:1::7"}]}},
        {"spec": {}, "status": {}},
    ]
    assert networks.of_pods(pods) == ["2600:1f18:0:1::7/128"]
    assert networks.beyond(networks.of_pods(pods), ["2600:1f18:0:1::/64"]) == []
    assert networks.beyond(networks.of_pods(pods), ["2600:1f18:0:2::/64"]) == ["2600:1f18:0:1::7/128"]


def test_api_servers_behind_their_service_are_found() -> None:
    slices = [{"endpoints": [{"addresses": ["8.8.4.4", "10.0.0.1"]}]}, {"endpoints": None}, {}]
    assert networks.of_endpoints(slices) == ["8.8.4.4/32"]
