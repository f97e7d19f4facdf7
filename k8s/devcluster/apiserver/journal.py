"""What survives the process: one line of JSON for each change, rewritten at the start without what has been replaced."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]
#: (plural, namespace, name)
Key = tuple[str, str, str]


class Journal:
    """A file of changes. A line is with the operating system when `write` returns, so that a killed process loses nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def load(self) -> tuple[int, dict[Key, Object]]:
        """The newest resourceVersion ever given, and the objects that there are."""
        newest = 0
        objects: dict[Key, Object] = {}
        for line in self._lines():
            newest = max(newest, line["rv"])
            if "key" in line:
                key: Key = tuple(line["key"])
                if line.get("object") is None:
                    objects.pop(key, None)
                else:
                    objects[key] = line["object"]
        return newest, objects

    def _lines(self) -> Iterator[Object]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                # Only the last line can be torn: it was never acknowledged.
                if not line.endswith(b"\n"):
                    return
                yield json.loads(line)

    def start(self, newest: int, objects: dict[Key, bytes]) -> None:
        """Begin a new file with what there is; it replaces the old one at once or not at all."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)  # there are Secrets in it
            file.write(b'{"rv":%d}\n' % newest)
            for key, raw in objects.items():
                file.write(self._line(newest, key, raw))
        fresh.replace(self._path)
        self.close()
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def write(self, version: int, key: Key, raw: bytes | None) -> None:
        """Record a change: the object's JSON, or None for a removal. Raises OSError."""
        line = self._line(version, key, raw)
        written = os.write(self._file, line)
        while written < len(line):
            written += os.write(self._file, line[written:])

    @staticmethod
    def _line(version: int, key: Key, raw: bytes | None) -> bytes:
        return b'{"rv":%d,"key":%s,"object":%s}\n' % (version, json.dumps(key).encode(), raw or b"null")

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
