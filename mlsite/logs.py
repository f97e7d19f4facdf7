"""What no log may hold."""

from __future__ import annotations

import logging
import re
from typing import Any

#: Links that let somebody in: of an invitation, for a new password, to confirm an address. What refuses a request logs its path.
LINK = re.compile(r"(/join/|/password/reset/key/|/confirm-email/)[^/\s]+")


class NoRefusedForms(logging.Filter):
    """Drops what Django says of an answer 400: such a form was refused on purpose, and the page says why."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.name == "django.request" and getattr(record, "status_code", None) == 400)


class NoLinks(logging.Filter):
    """Takes what lets somebody in out of a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if LINK.search(text):
            record.msg, record.args = LINK.sub(r"\1...", text), ()
        return True


#: What opens something, by the form that it has wherever it is written; with what stands in its place.
SECRETS = (
    (re.compile(r"""(['"])(bearer|basic) (?:(?!\1).)+\1""", re.IGNORECASE | re.DOTALL), r"\1\2 ...\1"),
    (re.compile(r"""(\bbearer |\bauthorization: *basic )[^\s'"<>,;]+""", re.IGNORECASE), r"\1..."),
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}(\.[\w-]*)?"), "..."),
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL), r"\1...\2"),
    (
        re.compile(r"""(['"](?:[a-z]+-)?(?:token|password|client-key-data)['"]: *)(['"]).*?\2""", re.DOTALL),
        r"\1\2...\2",
    ),
)


def scrub(text: str) -> str:
    """The text without tokens and keys of clusters. The last of several walls: no message of ours quotes them."""
    for secret, instead in SECRETS:
        text = secret.sub(instead, text)
    return text


class Line(logging.Formatter):
    """A line and its traceback, scrubbed."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


def scrub_result(instance: Any, **kwargs: Any) -> None:
    """Before the queue keeps what came of a task: of one that failed it is the traceback."""
    if isinstance(instance.result, str):
        instance.result = scrub(instance.result)
