"""Which column of a table is what: by its head, by what stands in it, or as somebody has chosen."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from labs.services.export import original

from .cells import HIDDEN, Cell, Row, is_address
from .words import ALIASES, KNOWN, RANK, WORDS, normal

LONGEST_HEAD = 60
#: Rows in which the heads are looked for.
HEAD_WITHIN = 30
#: What our own export tells beside, and nobody can change by a file: "(state)".
ASIDE = re.compile(r"\([^()]*\)")


@dataclass(frozen=True)
class Columns:
    """What each column of a table is: a key of WORDS, or "" for one that is not used."""

    keys: list[str]
    heads: list[str]
    #: A row names the columns; otherwise the first row is a person already.
    has_head: bool = True
    #: Put behind login names, to make addresses of them.
    domain: str = ""
    #: Lines of a list that nobody has put into columns: what one of them does not say, it leaves open.
    is_loose: bool = False

    @property
    def notes(self) -> dict[int, str]:
        """The heads of the columns that are kept as notes, by their places; no two are the same."""
        found: dict[int, str] = {}
        for place, key in enumerate(self.keys):
            if key == "note":
                head = self.heads[place] or f"Column {place + 1}"
                found[place] = head if head not in found.values() else f"{head[:50]} ({place + 1})"
        return found


@dataclass
class Guess:
    """`question`: what must be answered before the list can be used; `remarks`: what was decided, and could be decided otherwise."""

    keys: list[str]
    question: str = ""
    remarks: list[str] = field(default_factory=list)


def clean_head(cell: str | Cell) -> str:
    return " ".join(HIDDEN.sub("", original(str(cell)[:300])).split())[:LONGEST_HEAD]


def find_head(rows: Sequence[Row]) -> Row | None:
    """The first row that names columns: one the e-mail, or two others. Titles and remarks may stand above it."""
    for row in rows[:HEAD_WITHIN]:
        if any("@" in str(cell) for cell in row.cells):
            continue
        found = {key for cell in row.cells if (key := KNOWN.get(normal(clean_head(cell))))}
        if "email" in found or len(found) > 1:
            return row
    return None


def guess(heads: list[str], rows: Sequence[Row], *, hidden: Collection[int], kept: Collection[str]) -> Guess:
    """Each column by its head; the e-mail also by what stands below. `hidden`: columns that nobody sees; `kept`: heads of notes
    that the roster has already.
    """
    found = Guess([KNOWN.get(normal(head), "") if place not in hidden else "" for place, head in enumerate(heads)])
    _email(found, heads, rows, hidden)
    _names(found.keys)
    _once(found, heads)
    for place, head in enumerate(heads):
        if head in kept and not found.keys[place] and not ASIDE.fullmatch(head):
            found.keys[place] = "note"
    return found


def guess_without_heads(rows: Sequence[Row]) -> Guess:
    """A list without heads: names before the address; name, then section behind it."""
    width = max((len(row.cells) for row in rows), default=0)
    places = _places_of_addresses(rows, width)
    keys = [""] * width
    if not places:
        return Guess(["email", *keys[1:]] if width == 1 else keys, "" if width == 1 else NO_EMAIL)
    if len(places) > 1:
        return Guess(
            keys, f"The addresses could be in column {' or '.join(str(place + 1) for place in places)}. Choose one."
        )
    at = places[0]
    keys[at] = "email"
    before = {1: ["name"], 2: ["family", "given"]}.get(at, ["family", "given"][:at])
    behind = ["section"] if at else ["name", "section"]
    for place, key in [*enumerate(before), *enumerate(behind, start=at + 1)]:
        if place < width and place != at:
            keys[place] = key
    return Guess(keys, remarks=["The first row has no column names, so the columns were identified by their order."])


NO_EMAIL = "No column with e-mail addresses was found. Choose the right column. If it holds login names, enter their domain as well."


def check(columns: Columns, rows: Sequence[Row]) -> str:
    """What is still to be chosen; empty when nothing is."""
    places = [place for place, key in enumerate(columns.keys) if key == "email"]
    if not places:
        return NO_EMAIL
    for key in set(columns.keys) - {"", "note"}:
        if columns.keys.count(key) > 1:
            return f"Two columns are chosen as the {WORDS[key]}. Choose one."
    cells = [str(row.cells[places[0]]) for row in rows if places[0] < len(row.cells)]
    if cells and not columns.domain and not any("@" in cell for cell in cells):
        head = columns.heads[places[0]] or f"Column {places[0] + 1}"
        return f"“{head}” does not contain e-mail addresses. Choose another column or, if these are login names, enter their domain."
    return ""


def _email(found: Guess, heads: list[str], rows: Sequence[Row], hidden: Collection[int]) -> None:
    named = [place for place, key in enumerate(found.keys) if key == "email"]
    filled = _places_of_addresses(rows, len(heads))
    places = named
    if not named:
        places = [place for place in filled if place not in hidden]
        if len(places) == 1:
            found.remarks.append(f"“{heads[places[0]]}” contains the e-mail addresses.")
    elif len(named) > 1:
        places = [place for place in named if place in filled] or named
    logins = [place for place, key in enumerate(found.keys) if key == "login"]
    if not places and len(logins) == 1:
        places = logins  # Addresses with a domain behind them; `check` asks for it.
    for place in {*named, *logins} - set(places[:1] if len(places) == 1 else ()):
        found.keys[place] = ""
    if len(places) == 1:
        found.keys[places[0]] = "email"
    elif places:
        both = " and ".join(f"“{heads[place][:30]}”" for place in places[:4])
        found.question = f"More than one column could contain the e-mail addresses: {both}. Choose one."
    else:
        found.question = NO_EMAIL


def _places_of_addresses(rows: Sequence[Row], width: int) -> list[int]:
    """The columns in which at least half of what stands there are addresses."""
    found = []
    for place in range(width):
        cells = [row.cells[place] for row in rows if place < len(row.cells) and row.cells[place]]
        if cells and sum(is_address(cell) for cell in cells) * 2 >= len(cells):
            found.append(place)
    return found


def _names(keys: list[str]) -> None:
    """“Name” beside “First name” is the last name, beside “Last name” the first; a last name alone is the name."""
    has = set(keys)
    other = {("given", "name"): ("name", "family"), ("family", "name"): ("name", "given")}
    for pair, (old, new) in other.items():
        if has >= set(pair) and not {"given", "family"} <= has:
            keys[:] = [new if key == old else key for key in keys]
            return
    if "family" in has and not has & {"given", "name"}:
        keys[:] = ["name" if key == "family" else key for key in keys]
    elif {"given", "family", "name"} <= has:
        keys[:] = ["" if key == "name" else key for key in keys]


def _once(found: Guess, heads: list[str]) -> None:
    """Of several columns that could be the same, the one whose head says it best."""
    for key in ALIASES:
        places = [place for place, one in enumerate(found.keys) if one == key]
        best = min(places, key=lambda place: RANK.get(normal(heads[place]), 0), default=0)
        for place in places:
            if place != best:
                found.keys[place] = ""
        if len(places) > 1:
            named = " and ".join(f"“{heads[place][:30]}”" for place in places[:4])
            found.remarks.append(f"{named} could each be the {WORDS[key]}. “{heads[best][:30]}” is used.")
