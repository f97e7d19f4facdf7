"""What goes wrong again and again is told once, and then seldom: a log that repeats itself every few seconds hides the rest."""

import logging
import threading
import time

#: Seconds after which the same trouble is told again.
AGAIN = 600.0


class Repeats:
    """One trouble that is tried again until it is over. Thread-safe."""

    def __init__(self, log: logging.Logger, *, again: float = AGAIN) -> None:
        """`again`: seconds after which the same text is written again."""
        self._log, self._again = log, again
        self._lock = threading.Lock()
        self._text, self._at = "", 0.0

    def warn(self, text: str) -> None:
        """Write a warning, unless the last one said the same a short while ago."""
        with self._lock:
            now = time.monotonic()
            if text == self._text and now - self._at < self._again:
                return
            self._text, self._at = text, now
        self._log.warning("%s", text)

    def over(self) -> None:
        """It is well again: the next trouble is news."""
        with self._lock:
            self._text = ""
