"""What no log may hold."""

from __future__ import annotations

import logging
import re

#: The link of an invitation; a request that is refused is logged with its path.
LINK = re.compile(r"(/join/)[^/\s]+")


class NoRefusedForms(logging.Filter):
    """Drops what Django says of an answer 400: such a form was refused on purpose, and the page says why."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.name == "django.request" and getattr(record, "status_code", None) == 400)


class NoLinks(logging.Filter):
    """Takes what lets somebody in out of a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "/join/" in text:
            record.msg, record.args = LINK.sub(r"\1...", text), ()
        return True
