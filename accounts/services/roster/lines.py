"""One line of a roster, read: an address, a name, a section, a role, limits and notes; or what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from email.utils import parseaddr
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts.models import Role
from labs.services.export import original

from .columns import LIMITS, WORDS, Columns, normal
from .files import HIDDEN, LONGEST_CELL, Cell

LONGEST = {"name": 150, "section": 60, "note": 1000}
ROLES = {
    Role.MEMBER: "member student students learner participant teilnehmer teilnehmerin studierende etudiant etudiante",
    Role.STAFF: "staff ta tutor tutorin assistant teachingassistant assistent assistentin hiwi",
    Role.OWNER: "owner",
}
ROLE_WORDS = {word: role for role, words in ROLES.items() for word in words.split()}
#: For each limit: the name in Quota, how many of the row's units one of the file's is, and the most (in the row's units).
QUOTA = {
    "cpu": ("cpu_millis", Decimal(1000), 10_000_000),
    "memory": ("memory_mib", Decimal(1024), 2_000_000_000),
    "gpus": ("gpus", Decimal(1), 100_000),
    "running": ("running", Decimal(1), 100_000),
    "lifetime": ("lifetime_minutes", Decimal(60), 527_040),
}
AMOUNT = re.compile(r"(\d{1,9}(?:[.,]\d{1,6})?)\s*([a-z]*)")
#: Units that may stand behind a number: how many of the file's own unit one of these is.
UNITS: dict[str, dict[str, Any]] = {
    "cpu": {"": 1, "core": 1, "cores": 1, "cpu": 1, "cpus": 1},
    "memory": {"": 1, "gib": 1, "gb": 1, "g": 1, "gi": 1, "mib": Decimal(1) / 1024, "mb": Decimal(1) / 1024},
    "gpus": {"": 1, "gpu": 1, "gpus": 1},
    "running": {"": 1},
    "lifetime": {"": 1, "h": 1, "hour": 1, "hours": 1, "d": 24, "day": 24, "days": 24, "min": Decimal(1) / 60,
                 "minutes": Decimal(1) / 60},
}  # fmt: skip
EXAMPLES = {"cpu": "2 or 0.5", "memory": "8 (GiB)", "gpus": "0 or 1", "running": "2", "lifetime": "24 (hours)"}


@dataclass
class Line:
    """`values`: what the file says of the person, by the names of RosterEntry's fields, only for columns that it has."""

    number: int
    email: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def pack(self) -> dict[str, Any]:
        return {"n": self.number, "e": self.email, "v": self.values, "p": self.problem}

    @classmethod
    def unpack(cls, kept: dict[str, Any]) -> Line:
        return cls(kept["n"], kept["e"], kept["v"], kept["p"])


def read(number: int, cells: Sequence[str | Cell], columns: Columns) -> Line:
    """The line as it stands in the file. Nothing is raised: what is wrong is told in `problem`."""
    line = Line(number)
    by_key: dict[str, str] = {}
    notes: dict[str, str] = {}
    try:
        if len(cells) > len(columns.keys):
            raise ValueError(f"It has {len(cells)} cells, and there are {len(columns.keys)} columns.")
        # The address first: whatever else is wrong with the line, it is known whose it is.
        for place, key in sorted(enumerate(columns.keys), key=lambda item: item[1] != "email"):
            cell = cells[place] if place < len(cells) else ""
            head = WORDS.get(key) or columns.notes.get(place, "")
            if not head:
                continue
            text = _text(cell, head)
            if key:
                by_key[key] = text
            else:
                notes[head] = _short(text, "note", head)
            if key == "email":
                line.email, by_key["sender"] = _address(text)
        line.values = _values(by_key)
        if columns.notes:
            line.values["notes"] = {head: text for head, text in notes.items() if text}
    except ValueError as problem:
        line.problem = str(problem)
    return line


def _text(cell: str | Cell, head: str) -> str:
    if isinstance(cell, Cell):
        raise ValueError(f"The cell “{head}” holds a formula. Put its value there: copy, then “paste values”.")
    text = original(cell)
    if len(text) > LONGEST_CELL:
        raise ValueError(f"The cell “{head}” has {len(text):,} characters; at most {LONGEST_CELL:,} are read.")
    text = " ".join(text.split())
    if HIDDEN.search(text):
        raise ValueError(f"The cell “{head}” holds a sign that cannot be shown.")
    return text


def _address(text: str) -> tuple[str, str]:
    """The address in small letters, and the name that stands before it as in `Ann Lee <ann@uni.example>`."""
    if not text:
        raise ValueError("The e-mail is missing.")
    name, address = parseaddr(text) if "<" in text else ("", text.removeprefix("mailto:"))
    address = address.strip(" ;,").lower()
    try:
        validate_email(address)
    except ValidationError:
        address = ""
    if not address or len(address) > 254:
        raise ValueError(f"“{text[:80]}” is not an e-mail address.")
    return address, name


def _values(by_key: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    name = " ".join(filter(None, (by_key.get("given"), by_key.get("family")))) or by_key.get("name", "")
    if name := name or by_key["sender"]:
        values["name"] = _short(name, "name", WORDS["name"])
    if "section" in by_key:
        values["section"] = _short(by_key["section"], "section", WORDS["section"])
    if "role" in by_key:
        values["role"] = _role(by_key["role"])
    asked = [key for key in LIMITS if key in by_key]
    if asked:
        values["limits"] = {QUOTA[key][0]: _limit(key, by_key[key]) for key in asked}
    return values


def _short(text: str, key: str, head: str) -> str:
    if len(text) > LONGEST[key]:
        raise ValueError(f"The cell “{head}” has {len(text):,} characters; at most {LONGEST[key]:,} are kept.")
    return text


def _role(text: str) -> str:
    """The role, or "" where the file leaves it open."""
    if not text:
        return ""
    role = ROLE_WORDS.get(normal(text))
    if role is None:
        raise ValueError(f"“{text[:40]}” is no role: member, staff or owner.")
    return str(role.value)


def _limit(key: str, text: str) -> int | None:
    """In the units of Quota; None where the cell is empty: no limit of the person's own."""
    if not text:
        return None
    name, factor, most = QUOTA[key]
    found = AMOUNT.fullmatch(text.lower())
    units = UNITS[key]
    if not found or found[2] not in units:
        raise ValueError(f"“{text[:40]}” cannot be read as {WORDS[key]}: a number such as {EXAMPLES[key]}.")
    try:
        value = Decimal(found[1].replace(",", ".")) * units[found[2]] * factor
    except InvalidOperation:
        raise ValueError(f"“{text[:40]}” cannot be read as {WORDS[key]}: a number such as {EXAMPLES[key]}.") from None
    whole = int(value.to_integral_value())
    if abs(value - whole) > Decimal("0.01"):
        raise ValueError(f"“{text[:40]}” is too fine for {WORDS[key]}: a number such as {EXAMPLES[key]}.")
    if whole > most or (name == "lifetime_minutes" and whole < 1):
        raise ValueError(f"“{text[:40]}” is out of range for the {WORDS[key]}.")
    return whole
