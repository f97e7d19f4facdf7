"""Errors that carry the message for the person."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):
    """A request that is not carried out, and why, in words for the person who asked.

    `errors` maps form fields to sentences; `code` is for programs; `suggestion` is a value that would do;
    `retry_after` are the seconds after which the same may be asked again, 0 where that is not known.
    """

    def __init__(
        self, message: str, *, code: str = "refused", errors: Mapping[str, str] | None = None, suggestion: str = "",
        retry_after: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message = message
        self.code = code
        self.errors = dict(errors or {})
        self.suggestion = suggestion
        self.retry_after = retry_after


class Unconfirmed(Refusal):
    """A change that ends other people's work, and is carried out only once somebody has read `consequence` and said yes."""

    def __init__(self, consequence: str) -> None:
        super().__init__(consequence, code="unconfirmed")
