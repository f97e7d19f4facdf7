"""Where the output of the parts goes: all of it to files, problems to the terminal too."""

import contextlib
import re
import sys
from pathlib import Path
from typing import IO, Any

from honcho.manager import SYSTEM_PRINTER_NAME

LEVEL = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
TAIL_LINES = 5


def say(text: str) -> None:
    """A line for the person at the terminal, who may have closed it."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class Output:
    """A printer for honcho."""

    width = 0
    #: While everything stops, parts complain of each other's absence: that goes to the logs alone.
    quiet = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        self._tails: dict[str, list[str]] = {}
        self._shown: dict[str, bool] = {}

    def path(self, name: str) -> Path:
        """The log of a part."""
        return self._folder / f"{name}.log"

    def tail(self, name: str) -> list[str]:
        """The last lines of a part."""
        return self._tails.get(name, [])

    def write(self, message: Any) -> None:
        """Called by honcho for each line of a part, and with words of its own, which are not wanted."""
        if message.type != "line" or message.name == SYSTEM_PRINTER_NAME:
            return
        data = message.data
        line = (data.decode(errors="replace") if isinstance(data, bytes) else data).rstrip("\n")
        file = self._file(message.name)
        file.write(f"{line}\n")
        file.flush()
        self._tails[message.name] = [*self.tail(message.name), line][-TAIL_LINES:]
        if self._is_problem(message.name, line) and not self.quiet:
            say(f"{message.name:10} | {line}")

    def _is_problem(self, name: str, line: str) -> bool:
        """A line without a level (of a traceback, say) goes with the one before it."""
        level = LEVEL.search(line)
        if level:
            self._shown[name] = level[1] not in ("DEBUG", "INFO")
        return self._shown.get(name, False)

    def _file(self, name: str) -> IO[str]:
        """The part's log, begun anew with each run; that of the run before is kept beside it."""
        if name not in self._files:
            path = self.path(name)
            if path.exists():
                path.replace(path.with_suffix(".log.1"))
            self._files[name] = path.open("w")
        return self._files[name]
