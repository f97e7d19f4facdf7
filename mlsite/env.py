"""Settings from the environment: typed, with one clear line when a value is missing or wrong."""

import os
import re
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port

#: Where the next file of a list begins; a comma inside a path is none.
NEXT_FILE = re.compile(r",(?=\s*[^,:/]+:)")
FILE = re.compile(r"\s*(?P<name>[a-z0-9][a-z0-9-]{0,39}):(?P<path>/.*?)(?P<trusted>:trusted)?\s*")
#: A URL of PostgreSQL with more than one server.
SEVERAL = re.compile(
    r"(?P<before>postgres(?:ql)?://(?:[^/@]*@)?)(?P<first>[^/@,?]+)(?P<more>(?:,[^/@,?]*)+)(?=[/?]|\Z)"
)
HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(?::(?P<port>\d{1,5}))?")
#: Signs that older and newer rules for host names write in ASCII differently.
UNCLEAR = set("ßς\u200c\u200d")
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
        raise ImproperlyConfigured(
            f"{name} is not set. Set it in the environment (docs/operators.md, section Settings)."
        )
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
    """The beginning of web addresses that stands in the variable `name`, as browsers write it: without a stroke at its end, a
    host in ASCII and in lower case, and no port that goes without saying."""
    wrong = ImproperlyConfigured(f"{name} must be http://host or https://host, not {value!r}.")
    if not re.fullmatch(r"https?://[^/\s?#@]+/?", value):
        raise wrong
    try:
        parts = urlsplit(value)
        host, port = _host(parts.hostname or "", name), parts.port
    except ValueError:
        raise wrong from None
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, usual) else "")


def _host(text: str, name: str) -> str:
    """As it stands in a request. Raises ValueError for what is none, and ImproperlyConfigured where that cannot be worked out here."""
    if ":" in text:
        return f"[{IPv6Address(text)}]"
    if set(text) & UNCLEAR:
        raise ImproperlyConfigured(f"{name}: write the host in its ASCII form, which starts with xn--.")
    host = text.encode("idna").decode("ascii").lower()
    if not split_domain_port(host)[0]:
        raise ValueError(text)
    return host


def host_of(address: str) -> str:
    """The host of such a beginning, without its port: an address of IPv6 in its brackets."""
    return split_domain_port(urlsplit(address).netloc)[0]


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
    several = SEVERAL.match(value)
    hosts, ports = _hosts(several["first"] + several["more"], name) if several else ("", "")
    try:
        found = dj_database_url.parse(SEVERAL.sub(r"\g<1>\g<2>", value))
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} cannot be parsed: write special characters in the user name and password as %XX."
        ) from None
    return {**found, "HOST": hosts, "PORT": ports} if several else found


def _hosts(text: str, name: str) -> tuple[str, str]:
    """Several servers as PostgreSQL's library takes them: it asks one after the other. Raises ImproperlyConfigured."""
    entries = [HOST_PORT.fullmatch(entry) for entry in text.split(",")]
    found = [entry for entry in entries if entry]
    if len(found) < len(entries):
        raise ImproperlyConfigured(
            f"{name}: write several servers as host:port,host:port, with IPv6 addresses in brackets."
        )
    return ",".join(one["host"].strip("[]") for one in found), ",".join(one["port"] or "5432" for one in found)


def numbers(name: str, defaults: dict[str, int]) -> dict[str, int]:
    """Whole numbers by their names, such as "launch=60,stop=120"; what is not named keeps its default."""
    found = dict(defaults)
    for word in words(name):
        key, _, value = (part.strip() for part in word.partition("="))
        if key not in defaults or not value.isdecimal():
            raise ImproperlyConfigured(f"{name} must be a list such as {_listed(defaults)}, not {word!r}.")
        found[key] = int(value)
    return found


def _listed(values: dict[str, int]) -> str:
    return ",".join(f"{key}={value}" for key, value in values.items())


def words(name: str, default: str = "") -> list[str]:
    """A list, separated by commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


class NamedFile(NamedTuple):
    """A file that the operator has given a name. `trusted`: it may run programs and read further files."""

    path: Path
    trusted: bool


def files(value: str, name: str) -> dict[str, NamedFile]:
    """The files that stand in the variable `name` as name:path or name:path:trusted, separated by commas."""
    found: dict[str, NamedFile] = {}
    for entry in NEXT_FILE.split(value) if value.strip() else ():
        match = FILE.fullmatch(entry)
        if not match:
            raise ImproperlyConfigured(
                f"{name} must be name:/path or name:/path:trusted, separated by commas, with names of lower-case letters, digits "
                f"and hyphens; not {entry.strip()!r}."
            )
        if match["name"] in found:
            raise ImproperlyConfigured(f"{name} has two files named {match['name']!r}.")
        found[match["name"]] = NamedFile(Path(match["path"]), bool(match["trusted"]))
    return found
