"""One line of a roster, read: an address, a name, a section, a role, limits and notes; or what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from accounts.addresses import normalised
from accounts.models import Role
from k8s.resources import LISTED, Resource
from labs.services.export import original

from .addresses import split_one
from .cells import HIDDEN, LONGEST_CELL, Cell, is_address
from .choices import Choices
from .columns import Columns
from .words import KNOWN, OUT_WORDS, WORDS, is_nobody, is_own_role, normal, role_of

LONGEST = {"name": 150, "section": 60, "note": 1000}
#: Columns whose cells leave nobody out, whatever stands in them.
EASY = ("name", "given", "family", "section", "note")
#: Roles and statuses of one list that somebody can say the meaning of.
MOST_WORDS = 40
#: Characters that an address and the name beside it may have.
LONGEST_ADDRESS = 600
LOGIN = re.compile(r"[^\s@]{1,64}")
ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
RECKON = "Open the file in Excel or LibreOffice, save it and upload it again, or type the value into the cell."
AMOUNT = re.compile(r"(\d{1,9}(?:[.,]\d{1,6})?)\s*([a-z]*)")


@dataclass
class Line:
    """`values`: what the file says of the person, by the names of RosterEntry's fields, only for columns that it has."""

    number: int
    email: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    #: Why the person is left out; and what was made of the line that its writer may not expect.
    problem: str = ""
    remark: str = ""
    #: The status because of which the person is left out.
    status: str = ""

    def pack(self) -> list[Any]:
        return [self.number, self.email, self.values, self.problem, self.remark, self.status]

    @classmethod
    def unpack(cls, kept: list[Any]) -> Line:
        return cls(*kept)


class Lines:
    """Reads rows, one at a time, and counts the roles and statuses that it meets, so that somebody can say what they mean."""

    def __init__(self, columns: Columns, choices: Choices, *, gives_roles: bool) -> None:
        self.columns, self.choices, self.gives_roles = columns, choices, gives_roles
        self.heads = {place: WORDS.get(key, "") for place, key in enumerate(columns.keys) if key}
        self.heads |= columns.notes
        # The address first: whatever else is wrong with the line, it is known whose it is.
        self.places = sorted(self.heads, key=lambda place: columns.keys[place] != "email")
        self.email = columns.keys.index("email") if "email" in columns.keys else 0
        self.names = [place for place, key in enumerate(columns.keys) if key in ("name", "given", "family")]
        #: For "role" and "status": by the word without capitals and signs, how it is written, and how often.
        self.words: dict[str, dict[str, list[Any]]] = {"role": {}, "status": {}}

    def read(self, number: int, cells: Sequence[str | Cell]) -> Line | None:
        """The line as it stands in the file; None where it is nobody's. Nothing is raised: what is wrong is told in `problem`."""
        line = Line(number)
        if self._is_nobody(cells):
            return None
        remarks: list[str] = []
        by_key: dict[str, str] = {}
        notes: dict[str, str] = {}
        try:
            cells = self._joined(cells)
            for place in self.places:
                if self.columns.is_loose and place >= len(cells):
                    continue
                key, head = self.columns.keys[place], self.heads[place]
                text = _text(cells[place] if place < len(cells) else "", head, remarks, strict=key not in EASY)
                if key == "email":
                    line.email, by_key["sender"] = address_of(text, self.columns.domain)
                elif key == "note":
                    notes[head] = _cut(text, "note", head, remarks)
                else:
                    by_key[key] = text
            line.values = self._values(by_key, remarks)
            if self.columns.notes:
                line.values["notes"] = {head: text for head, text in notes.items() if text}
            line.status = self._status(by_key.get("status", ""))
        except ValueError as problem:
            line.problem = str(problem)
        line.remark = " ".join(remarks)
        return line

    def _is_nobody(self, cells: Sequence[str | Cell]) -> bool:
        """A row of sums, of a test student, of a remark, with the heads once more, or with neither address nor name."""
        if self.email < len(cells) and "@" in str(cells[self.email]):
            return False
        email, *names = (
            str(cells[place]).strip("-:=_ ") if place < len(cells) else "" for place in (self.email, *self.names)
        )
        name = " ".join(filter(None, names))
        if str(cells[0]).startswith("#") and sum(bool(cell) for cell in cells) == 1:
            return True
        return (not email and not name) or is_nobody(name) or is_nobody(email) or KNOWN.get(normal(email)) == "email"

    def _joined(self, cells: Sequence[str | Cell]) -> Sequence[str | Cell]:
        """`Lee, Ann,ann@x` in a table of name and e-mail is a name with a comma in it, where the address shows that it is."""
        keys, more = self.columns.keys, len(cells) - len(self.columns.keys)
        if more <= 0:
            return cells
        name = next((place for place, key in enumerate(keys) if key == "name"), None)
        email = self.email
        if name is not None and name < email and "@" in str(cells[email + more]) and "@" not in str(cells[email]):
            return [*cells[:name], ", ".join(map(str, cells[name : name + more + 1])), *cells[name + more + 1 :]]
        raise ValueError(f"This row has {len(cells)} cells, but the list has {len(keys)} columns.")

    def _values(self, by_key: dict[str, str], remarks: list[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if name := _name(by_key) or by_key["sender"]:
            values["name"] = _cut(name, "name", WORDS["name"], remarks)
        if "section" in by_key:
            values["section"] = _cut(by_key["section"], "section", WORDS["section"], remarks)
        if "role" in by_key:
            self._count("role", by_key["role"])
            values["role"] = self.meant_role(by_key["role"])
        if limits := {item.key: _limit(item, by_key[item.name]) for item in LISTED if item.name in by_key}:
            values["limits"] = limits
        return values

    def meant_role(self, text: str) -> str:
        """The role, or "" where the file leaves it open. Another system's word gives no more than the person may give."""
        if (chosen := self.choices.roles.get(normal(text)[:80])) is not None:
            return chosen
        role = role_of(text)
        return role if self.gives_roles or is_own_role(text) or role == Role.MEMBER else ""

    def meant_status(self, text: str) -> str:
        """One of STATUSES: whether somebody with this status is of the class."""
        word = normal(text)[:80]
        return self.choices.statuses.get(word, "out" if word in OUT_WORDS else "in")

    def _status(self, text: str) -> str:
        self._count("status", text)
        return text[:40] if self.meant_status(text) == "out" else ""

    def _count(self, key: str, text: str) -> None:
        word, known = normal(text)[:80], self.words[key]
        if word in known:
            known[word][1] += 1
        elif word and len(known) < MOST_WORDS:
            known[word] = [text[:40], 1]


def _text(cell: str | Cell, head: str, remarks: list[str], *, strict: bool) -> str:
    if isinstance(cell, Cell):
        what = "an error" if cell.formula.startswith("#") else "a formula without a stored value"
        if strict:
            raise ValueError(f"The cell “{head}” contains {what}. {RECKON}")
        remarks.append(f"The cell “{head}” contains {what} and was ignored.")
        return ""
    text = original(cell[: LONGEST_CELL + 1])
    if len(text) > LONGEST_CELL and strict:
        raise ValueError(f"The cell “{head}” is longer than {LONGEST_CELL:,} characters.")
    text = " ".join(text.split())
    if HIDDEN.search(text):
        raise ValueError(f"The cell “{head}” contains a character that cannot be displayed.")
    return text


def address_of(text: str, domain: str = "") -> tuple[str, str]:
    """The address in its one form, and the name that stands beside it as in `Ann Lee <ann@uni.example>`.

    The one place in which a roster's line reads an address. `domain`: behind a login name. Raises ValueError.
    """
    if not text.strip("-"):
        raise ValueError("The e-mail address is missing.")
    address, name = (text, "") if is_address(text) else split_one(text[:LONGEST_ADDRESS])
    address = address or text
    if address[:7].lower() == "mailto:":
        address = address[7:].partition("?")[0]
    if domain and LOGIN.fullmatch(address):
        address = f"{address}@{domain}"
    return normalised(address), name


def _name(by_key: dict[str, str]) -> str:
    given, family = by_key.get("given", ""), by_key.get("family", "")
    if not given or not family:
        return given or family or by_key.get("name", "")
    if ASIAN.search(given[0]) and ASIAN.search(family[0]):
        return f"{family} {given}"
    # A column “name” beside the last name may hold both.
    return given if given.casefold().endswith(f" {family.casefold()}") else f"{given} {family}"


def _cut(text: str, key: str, head: str, remarks: list[str]) -> str:
    if len(text) > LONGEST[key]:
        remarks.append(f"The cell “{head}” was shortened to {LONGEST[key]:,} characters.")
        return text[: LONGEST[key] - 1] + "…"
    return text


def _limit(resource: Resource, text: str) -> int | None:
    """In the units of Quota; None where the cell is empty: no limit of the person's own."""
    if not text:
        return None
    words, such = resource.small_title, f"a number such as {resource.example}"
    found = AMOUNT.fullmatch(text.lower())
    if not found or found[2] not in resource.units:
        raise ValueError(f"“{text[:40]}” is not a valid value for {words}. Use {such}.")
    try:
        value = Decimal(found[1].replace(",", ".")) * resource.units[found[2]] * resource.factor
    except InvalidOperation:
        raise ValueError(f"“{text[:40]}” is not a valid value for {words}. Use {such}.") from None
    whole = int(value.to_integral_value())
    if abs(value - whole) > Decimal("0.01"):
        raise ValueError(f"“{text[:40]}” has too many decimal places for {words}. Use {such}.")
    if not resource.least <= whole <= resource.most:
        raise ValueError(f"“{text[:40]}” is out of range for {words}.")
    return whole
