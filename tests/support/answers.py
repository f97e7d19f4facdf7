"""Sockets that answer in one network, and the question from another whether they are reached."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Any, NamedTuple, Self

from tests.support.netns import Namespace

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
#: Seconds to wait for an answer. What is refused is told so at once: only what is dropped takes as long.
_PATIENCE = 1.0


class Place(NamedTuple):
    """Somewhere to reach. `protocol`: "tcp" or "udp"."""

    address: str
    port: int
    protocol: str = "tcp"

    def socket(self, namespace: Namespace) -> socket.socket:
        """A fitting one, in this namespace."""
        return namespace.socket(socket.AF_INET, _KINDS[self.protocol])

    @property
    def answer(self) -> bytes:
        """By which it is known that nobody else has answered."""
        return str(tuple(self)).encode()


class Answers:
    """Answers at the places that are opened, from one thread. Use as a context manager."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._end, self._ended = socket.socketpair()
        self._selector.register(self._ended, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def open(self, namespace: Namespace, place: Place) -> None:
        """From now on, until the end."""
        listening = place.socket(namespace)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((place.address, place.port))
        if place.protocol == "tcp":
            listening.listen(16)
        listening.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ, place)

    def _answer(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._ended:
                    return
                with contextlib.suppress(OSError):  # who asked has gone
                    self._answer_one(key.fileobj, key.data)

    def _answer_one(self, asked: Any, place: Place) -> None:
        if place.protocol == "udp":
            _, who = asked.recvfrom(100)
            asked.sendto(place.answer, who)
        else:
            with asked.accept()[0] as connection:
                connection.sendall(place.answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()


def is_reached(place: Place, namespace: Namespace) -> bool:
    """Whether who asks from this namespace gets the place's own answer."""
    with place.socket(namespace) as asking:
        asking.settimeout(_PATIENCE)
        try:
            asking.connect((place.address, place.port))
            if place.protocol == "udp":
                asking.send(b"?")
            return asking.recv(200) == place.answer
        except OSError:
            return False
