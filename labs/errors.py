"""Errors that carry the message for the person."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


class Refusal(Exception):
    """A request that is not carried out, and why, in words for the person who asked.

    `errors` maps form fields to sentences; `code` is for programs; `suggestion` is a value that would do;
    `retry_after` are the seconds after which the same may be asked again, 0 where that is not known;
    `ranges` are the answers, by form field, that are outside of a service's range: `errors` has their sentences, too.
    """

    #: Of what goes beyond a limit, as `OverLimit` has it.
    field: str = ""
    limit: int | None = None
    used: int | None = None
    asked: int | None = None

    def __init__(
        self, message: str, *, code: str = "refused", errors: Mapping[str, str] | None = None, suggestion: str = "",
        retry_after: int = 0, ranges: Mapping[str, OutOfRange] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message = message
        self.code = code
        self.errors = dict(errors or {})
        self.suggestion = suggestion
        self.retry_after = retry_after
        self.ranges = dict(ranges or {})


class OverLimit(Refusal):
    """A request beyond a limit, or beyond the room that there is. `labs.services.refusals` makes the sentences.

    `field`: a key of `k8s.resources`, in whose row's units are `limit`, `used` and `asked`; or "queued" or "names", which are counts.
    `instance`: the one whose limit it is, or in which it counts.
    """

    def __init__(
        self, message: str, *, code: str, field: str, limit: int, used: int, asked: int, instance: Any = None,
        errors: Mapping[str, str] | None = None, suggestion: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message, code=code, errors=errors, suggestion=suggestion)
        self.field, self.limit, self.used, self.asked, self.instance = field, limit, used, asked, instance


class OutOfRange(ValueError):
    """An answer outside of what a service declares: in the declaration's unit, or else the field's type (`minutes`).

    `bound`: one of `labs.services.refusals.BOUNDS`; `amount`: the bound; `asked`: the answer as it was typed.
    """

    def __init__(self, message: str, *, bound: str, amount: Decimal, asked: str, unit: str) -> None:
        super().__init__(message)
        self.bound, self.amount, self.asked, self.unit = bound, amount, asked, unit


class Unconfirmed(Refusal):
    """A change that ends other people's work, and is carried out only once somebody has read `consequence` and said yes."""

    def __init__(self, consequence: str) -> None:
        super().__init__(consequence, code="unconfirmed")
