"""Tests that measure time have the machine to themselves, though several processes run tests."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Room:
    """A room for many or for one, shared by all processes with the same folder."""

    def __init__(self, folder: Path) -> None:
        self._door, self._room = folder / "room-door.lock", folder / "room.lock"

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Be in it, alone or with others; waits until that can be."""
        with self._room.open("w") as room:
            # Who waits to be alone stands in the door, or the others would take turns for ever.
            with self._door.open("w") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
