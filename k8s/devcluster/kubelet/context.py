"""What all parts of the kubelet share."""

import errno
import hashlib
import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

from ..kubeapi import Api
from .events import Events
from .images import Images

#: What a pod's address may be: of this machine alone. A cluster takes none of the first into a Service's endpoints, so where
#: controllers are to find pods it is one of the others, which are kept for benchmarks (RFC 2544): where they are addresses of
#: the loopback interface, which they are nowhere by themselves.
NETWORK = ipaddress.IPv4Network("127.64.0.0/10")
_ALLOWED = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv4Network("198.18.0.0/15"))


def pod_network(text: str) -> ipaddress.IPv4Network:
    """A network such as "198.18.0.0/15" in which pods may have their addresses. Raises ValueError."""
    network = ipaddress.IPv4Network(text)
    if network.prefixlen > 24 or not any(network.subnet_of(allowed) for allowed in _ALLOWED):
        raise ValueError(f"pods have addresses in {' or '.join(map(str, _ALLOWED))}, in a network of 256 at least")
    return network


class Addresses:
    """One a pod, in a network of loopback (127.x.y.z, never 127.0.0.1); all 127.0.0.1 on a system without these.

    Raises OSError when it is another network, and its addresses are not of this machine.
    """

    def __init__(self, network: ipaddress.IPv4Network = NETWORK) -> None:
        self._used: set[str] = set()
        self._network = network
        self.many = _can_bind(str(network[1]))
        if not self.many and not network.is_loopback:
            raise OSError(f"{network} is not of this machine: ip address add {network[1]}/{network.prefixlen} dev lo")

    def claim(self, uid: str, known: str | None = None) -> str:
        """The address of the pod with this uid; `known` is the one that it had before a restart."""
        if not self.many:
            return "127.0.0.1"
        address, salt = known, 0
        while not address or (address in self._used and address != known):
            number = int.from_bytes(hashlib.sha256(f"{uid}/{salt}".encode()).digest()[:4])
            # Neither the first, which is the machine's own, nor the last, which no program may have.
            address, salt = str(self._network[2 + number % (self._network.num_addresses - 3)]), salt + 1
        self._used.add(address)
        return address

    def release(self, address: str) -> None:
        """Give an address back."""
        self._used.discard(address)


def _can_bind(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return True


@dataclass
class Context:
    """The parts that pods, containers and probes use."""

    api: Api
    events: Events
    images: Images
    folder: Path
    node: str
    allocatable: dict[str, str]
    #: Folders that pods must not see where they have a root folder of their own.
    hidden: list[Path]
    #: Whether containers get a root folder of their own; otherwise paths are translated.
    namespaces: bool
    #: Seconds of the first back-off of restarts and of image pulls; doubles up to 30 times as much.
    backoff: float = 10.0
    addresses: Addresses = field(default_factory=Addresses)
