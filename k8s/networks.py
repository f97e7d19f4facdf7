"""Pure: addresses of a cluster's own that look like the internet. Labs must not reach machines, pods or API servers by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

from k8s.instance_objects import PRIVATE_V4, PRIVATE_V6

Network = IPv4Network | IPv6Network
#: IPv4 as some programs write it in IPv6: an API server refuses these in a policy, and no packet carries them.
_MAPPED = IPv6Network("::ffff:0:0/96")
_LEFT_OUT = [ip_network(text) for text in (*PRIVATE_V4, *PRIVATE_V6)]


def of_machines(nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Their addresses, and the ranges from which their pods get theirs, as far as these are public."""
    return _public(text for node in nodes for text in _texts(node))


def of_pods(pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """The public addresses of pods that have one of their own."""
    apart = [pod for pod in pods if not (pod.get("spec") or {}).get("hostNetwork")]
    return _public(str(one.get("ip")) for pod in apart for one in (pod.get("status") or {}).get("podIPs") or [])


def of_endpoints(slices: Iterable[Mapping[str, Any]]) -> list[str]:
    """The public addresses behind a Service, from its EndpointSlices."""
    ends = [end for one in slices for end in one.get("endpoints") or []]
    return _public(str(address) for end in ends for address in end.get("addresses") or [])


def beyond(networks: Iterable[str], known: Iterable[str]) -> list[str]:
    """Those of these networks that lie in none that is known."""
    others = [ip_network(text, strict=False) for text in known]
    return [text for text in networks if not _in_one(ip_network(text), others)]


def _texts(node: Mapping[str, Any]) -> Iterable[str]:
    spec = node.get("spec") or {}
    yield from (str(one.get("address")) for one in (node.get("status") or {}).get("addresses") or [])
    yield from map(str, spec.get("podCIDRs") or [spec.get("podCIDR")])


def _public(texts: Iterable[str]) -> list[str]:
    """What can be read of these as networks and would be taken for the internet, in as few networks as say the same."""
    found: set[Network] = set()
    for text in texts:
        with suppress(ValueError):  # a host name
            network = ip_network(text, strict=False)
            if network.prefixlen and not _in_one(network, [*_LEFT_OUT, _MAPPED]):
                found.add(network)
    four = collapse_addresses(one for one in found if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in found if isinstance(one, IPv6Network))
    return [str(network) for network in (*four, *six)]


def _in_one(network: Network, others: Iterable[Network]) -> bool:
    return any(other.version == network.version and network.subnet_of(other) for other in others)  # type: ignore[arg-type]
