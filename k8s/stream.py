"""What an API server sends: an answer as a whole, or the changes of a watch as they come."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import urllib3

from k8s.errors import Unavailable, from_status


class Watch(Iterator[tuple[str, dict[str, Any]]]):
    """The changes of one watch. `close` may be called from another thread, and ends it at once."""

    def __init__(self, response: urllib3.BaseHTTPResponse, *, conceal: Callable[[str], str] = str) -> None:
        """`conceal`: takes credentials out of the text of an error."""
        self._response = response
        self._conceal = conceal
        self._lines = self._read_lines()
        self._closed = False

    def __next__(self) -> tuple[str, dict[str, Any]]:
        line = next(self._lines)
        try:
            change = json.loads(line)
            kind, obj = str(change["type"]), dict(change["object"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Unavailable("The watch broke off in the middle of a change.") from None
        if kind == "ERROR":
            self.close()
            code = obj.get("code")
            raise from_status(
                code if isinstance(code, int) else 500, json.dumps(obj).encode(), "", conceal=self._conceal
            )
        return kind, obj

    def close(self) -> None:
        """Ends the watch; a thread that waits in it gets StopIteration."""
        self._closed = True
        with suppress(ValueError, RuntimeError, OSError):  # it has ended already
            self._response.shutdown()

    def _read_lines(self) -> Iterator[bytes]:
        rest = b""
        try:
            for chunk in self._response.stream(65536, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line for line in lines if line.strip())
            if rest.strip() and not self._closed:
                yield rest
        except Exception as problem:
            if not self._closed:
                raise Unavailable(f"The watch broke off ({cause(problem)}).") from None
        finally:
            # A stream that was left half-way cannot be used again.
            self._response.close()
            self._response.release_conn()


def read(response: urllib3.BaseHTTPResponse) -> bytes:
    """All of an answer. Raises Unavailable when it breaks off."""
    try:
        return response.data
    except Exception as problem:
        raise Unavailable(f"The cluster broke off its answer ({cause(problem)}).") from None


def cause(problem: Exception) -> str:
    """A word for a transport error. Its own text would bring the address and its query along."""
    return re.sub(r"([a-z])([A-Z])", r"\1 \2", type(problem).__name__).lower().removesuffix(" error")
