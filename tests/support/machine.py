"""A machine of a cluster as the network sees it: pods and the world, each a namespace, joined with it by a pair of interfaces."""

from __future__ import annotations

import contextlib
from typing import Self

from tests.support.netns import Namespace

#: Of the machine itself, as the private network of a data centre has it.
ADDRESS = "192.168.50.10"


class Machine:
    """Passes on what comes between those who are joined with it. Use as a context manager."""

    def __init__(self) -> None:
        self._joined: list[Namespace] = []
        self.itself = Namespace()
        self.itself.set("ipv4/ip_forward", "1")
        self.itself.set("ipv4/icmp_ratelimit", "0")  # who is refused is told so each time, and not once a second
        self.itself.run(f"address add {ADDRESS}/32 dev lo")

    def join(self, *addresses: str) -> Namespace:
        """A new namespace that has these addresses. To take it away again, close it."""
        other = Namespace()
        self._joined.append(other)
        link = f"pair{len(self._joined)}"
        self.itself.run(
            f"link add {link} type veth peer name eth0 netns {other.path}",
            f"link set {link} up",
            *(f"route add {address} dev {link}" for address in addresses),
        )
        other.run(
            *(f"address add {address} dev eth0" for address in addresses),
            "link set eth0 up",
            f"route add {ADDRESS} dev eth0",
            f"route add default via {ADDRESS} dev eth0",
        )
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as stack:
            for namespace in (self.itself, *self._joined):
                stack.callback(namespace.close)
