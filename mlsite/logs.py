"""What no log may hold."""

from __future__ import annotations

import logging
import re

#: Links that let somebody in: of an invitation, for a new password, to confirm an address. What refuses a request logs its path.
LINK = re.compile(r"(/join/|/password/reset/key/|/confirm-email/)[^/\s]+")


class NoLinks(logging.Filter):
    """Takes what lets somebody in out of a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if LINK.search(text):
            record.msg, record.args = LINK.sub(r"\1...", text), ()
        return True
