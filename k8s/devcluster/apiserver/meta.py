"""Small things about objects: copies, clocks, names."""

import datetime
import secrets
import uuid
from typing import Any

Object = dict[str, Any]
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58


def copy(value: Any) -> Any:
    """A deep copy of JSON data."""
    if isinstance(value, dict):
        return {key: copy(one) for key, one in value.items()}
    if isinstance(value, list):
        return [copy(one) for one in value]
    return value


def now() -> str:
    """The time as objects carry it, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> str:
    """The time as events carry it, in microseconds."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def later(seconds: int) -> str:
    """The time `seconds` from now."""
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime.datetime:
    """The moment of a timestamp of an object. Raises ValueError."""
    return datetime.datetime.fromisoformat(text)


def new_uid() -> str:
    """A uid."""
    return str(uuid.uuid4())


def generated(base: str) -> str:
    """A name from metadata.generateName."""
    return base[:_LONGEST_BASE] + "".join(secrets.choice(_LETTERS) for _ in range(5))


def labels(obj: Object) -> dict[str, str]:
    """The labels of an object; {} without any."""
    return obj["metadata"].get("labels") or {}
