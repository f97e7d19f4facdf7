"""What all parts of the kubelet share."""

import errno
import hashlib
import socket
from dataclasses import dataclass, field
from pathlib import Path

from ..kubeapi import Api
from .events import Events
from .images import Images


class Addresses:
    """Loopback addresses, one a pod: 127.x.y.z, never 127.0.0.1; all 127.0.0.1 on a system without these."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self.many = _can_bind("127.77.1.2")

    def claim(self, uid: str, known: str | None = None) -> str:
        """The address of the pod with this uid; `known` is the one that it had before a restart."""
        if not self.many:
            return "127.0.0.1"
        address, salt = known, 0
        while not address or (address in self._used and address != known):
            digest = hashlib.sha256(f"{uid}/{salt}".encode()).digest()
            address, salt = f"127.{16 + digest[0] % 200}.{digest[1]}.{1 + digest[2] % 254}", salt + 1
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
