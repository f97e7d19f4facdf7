"""Tests that measure time have the machine to themselves, though several processes run tests."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Room:
    """A room for many or for one, shared by all processes with the same folder."""

    def __init__(self, folder: Path) -> None:
        self._door, self._room, self._left = (folder / f"room-{name}" for name in ("door", "lock", "left"))

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Be in it, alone or with others; waits until that can be."""
        with self._room.open("w") as room:
            # Who waits to be alone stands in the door, or the others would take turns for ever.
            with self._door.open("w") as door:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    def count(self) -> None:
        """One more test of all processes is done."""
        with self._left.open("ab") as file:
            file.write(b".")

    def wait_for(self, tests: int, seconds: float = 600) -> None:
        """Until so many are done, for a test that looks at what the others did. Without some that crashed: in vain."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._left.exists() and self._left.stat().st_size >= tests:
                return
            time.sleep(0.2)
