"""Settings from the environment: typed, with one clear line when a value is missing or wrong."""

import os
import re
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

TRUE, FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


def text(name: str, default: str | None = None) -> str:
    """The variable, or the content of the file that NAME_FILE points to (for mounted secrets), or the default.

    Raises ImproperlyConfigured when there is neither and no default.
    """
    value = os.environ.get(name, default)
    if path := os.environ.get(f"{name}_FILE"):
        try:
            value = Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}: {path}") from None
    # What is required may not be empty either: sessions signed with an empty key are signed by everybody.
    if value is None or (default is None and not value.strip()):
        raise ImproperlyConfigured(f"{name} is not set. Set it in the environment (README, section Settings).")
    return value


def flag(name: str, *, default: bool = False) -> bool:
    """A yes-or-no variable; anything but 1/true/yes/on or 0/false/no/off is refused."""
    value = text(name, "on" if default else "off").strip().lower()
    if value not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")
    return value in TRUE


def number(name: str, default: int) -> int:
    """A whole number, zero or more."""
    value = text(name, str(default)).strip()
    if not value.isdecimal():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def choice(name: str, values: tuple[str, ...]) -> str:
    """One of the values; the first is the default."""
    value = text(name, values[0]).strip().lower()
    if value not in values:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(values)}, not {value!r}.")
    return value


def address(value: str, name: str) -> str:
    """The beginning of web addresses that stands in the variable `name`, without a stroke at its end."""
    if not re.fullmatch(r"https?://[^/\s?#]+/?", value):
        raise ImproperlyConfigured(f"{name} must be http://host or https://host, not {value!r}.")
    return value.rstrip("/")


def contact(value: str, name: str) -> str:
    """An e-mail address or a page, as a link target; empty stays empty."""
    if not value:
        return ""
    if re.fullmatch(r"[^@\s:/<>\"]+@[^@\s:/<>\"]+", value):
        return f"mailto:{value}"
    if re.fullmatch(r"https?://[^\s<>\"]+", value):
        return value
    raise ImproperlyConfigured(
        f"{name} must be an e-mail address or a page such as https://help.example.org, not {value!r}."
    )


def zone(value: str, name: str) -> str:
    """The time zone that stands in the variable `name`."""
    if value not in available_timezones():
        raise ImproperlyConfigured(f"{name} must be a time zone such as Europe/Berlin, not {value!r}.")
    return value


def database(value: str, name: str) -> Any:
    """Django's description of the data base that stands in the variable `name`. The value is not repeated: it holds a password."""
    if not value.startswith(("postgres://", "postgresql://", "sqlite://")):
        raise ImproperlyConfigured(f"{name} must be postgres://user:password@host/name or sqlite:///path.")
    try:
        return dj_database_url.parse(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} cannot be read: signs with a meaning in addresses stand as %XX.") from None


def words(name: str, default: str = "") -> list[str]:
    """A list, separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]
