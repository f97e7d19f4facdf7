"""From an opened list to lines that can be compared with the roster, and to what the page shows so that people can choose."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from django.conf import settings

from labs.errors import Refusal

from .cells import Row
from .choices import Choices
from .columns import Columns, Guess, check, clean_head, find_head, guess, guess_without_heads
from .encodings import TITLES
from .files import Source, open_source
from .lines import Line, Lines
from .words import WORDS

#: Rows that are looked at before it is decided what is what.
LOOKED_AT = 200
#: Rows that can be chosen as the one with the heads, and examples that are shown of a column.
HEADS_SHOWN, EXAMPLES = 20, 3
CHUNK = 1 << 16
#: Rows between two words about how far it is.
STEP = 500

#: Told how many rows have been read.
Progress = Callable[[int], None]


@dataclass
class Reading:
    """`lines`: packed; `table`: for the page (texts, numbers and lists only); `question`: what must be chosen first."""

    lines: bytes
    note_heads: list[str]
    table: dict[str, Any]
    question: str = ""


@dataclass
class Found:
    """The rows of a list, with what each column is."""

    source: Source
    first: list[Row]
    rest: Iterator[Row]
    head: Row | None
    columns: Columns
    question: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def below(self) -> list[Row]:
        return [row for row in self.first if self.head is None or row.number > self.head.number]


def read(
    content: bytes, choices: Choices, *, gives_roles: bool, kept: Collection[str] = (), progress: Progress | None = None
) -> Reading:
    """Read a list from its file. `kept`: the heads of notes that the roster has. Raises Refusal for what cannot be read at all."""
    found = _find(content, choices, kept)
    lines = Lines(found.columns, choices, gives_roles=gives_roles)
    counts = {"people": 0, "nobody": 0, "hidden": 0}
    packed = b"" if found.question else _pack(found, lines, choices, counts, progress)
    if not found.question and not counts["people"]:
        raise _nobody(counts)
    return Reading(packed, list(found.columns.notes.values()), _table(found, choices, lines, counts), found.question)


def _find(content: bytes, choices: Choices, kept: Collection[str]) -> Found:
    source = open_source(content, choices)
    rows = iter(source.rows)
    first = list(islice(rows, LOOKED_AT))
    if not first:
        raise Refusal("The list is empty.", code="empty")
    if source.is_list:
        columns = Columns(["email", "name", "section"], [""] * 3, has_head=False, domain=choices.domain, is_loose=True)
        return Found(source, first, rows, None, columns)
    head = (
        find_head(first) if choices.head is None else next((row for row in first if row.number == choices.head), None)
    )
    found = Found(source, first, rows, head, Columns([], []))
    visible = [row for row in found.below if not row.is_hidden or choices.hidden]
    width = max((len(row.cells) for row in ([head] if head else visible)), default=0)
    heads = [clean_head(cell) for cell in head.cells] if head else [""] * width
    hidden = () if choices.hidden else source.hidden
    made = guess(heads, visible, hidden=hidden, kept=kept) if head else guess_without_heads(visible)
    if choices.columns is not None:
        made = Guess([choices.columns.get(place, "") for place in range(width)])
    found.columns = Columns(made.keys, heads, head is not None, choices.domain)
    found.question = made.question or check(found.columns, visible)
    found.remarks = made.remarks
    if source.decoded.is_guess:
        found.question = "The text encoding of this file is unclear. Choose the line that looks right."
    return found


def _pack(found: Found, lines: Lines, choices: Choices, counts: dict[str, int], progress: Progress | None) -> bytes:
    """Each line read, as JSON, compressed on its way: never are all of them held at once."""
    squeeze, made = zlib.compressobj(1), []
    width = len(found.columns.keys) if found.source.is_aligned else None
    for count, row in enumerate(chain(found.below, found.rest), start=1):
        if progress and count % STEP == 0:
            progress(count)
        if row.is_hidden and not choices.hidden:
            counts["hidden"] += 1
            continue
        line = lines.read(row.number, row.cells[:width])
        if line is None:
            counts["nobody"] += 1
            continue
        counts["people"] += 1
        if counts["people"] > settings.ROSTER_MAX_LINES:
            raise Refusal(
                f"The list has more than {settings.ROSTER_MAX_LINES:,} people. Please upload it in parts.",
                code="lines",
            )
        packed = json.dumps(line.pack(), ensure_ascii=False, separators=(",", ":"))
        made.append(squeeze.compress(packed.encode() + b"\n"))
    return b"".join((*made, squeeze.flush()))


def _nobody(counts: dict[str, int]) -> Refusal:
    if counts["hidden"]:
        return Refusal(
            "All rows of the list are hidden. Unhide the rows in the file and upload it again.", code="empty"
        )
    return Refusal("The list has only a row of column names, and no people.", code="empty")


def _table(found: Found, choices: Choices, lines: Lines, counts: dict[str, int]) -> dict[str, Any]:
    """What was found, and what else it could be, as the page shows it."""
    source = found.source
    decoded = source.decoded
    return {
        "sheets": source.sheets if len(source.sheets) > 1 else [],
        "sheet": source.sheet,
        "encodings": [[key, TITLES[key], decoded.samples[key]] for key in decoded.samples],
        "encoding": "" if decoded.is_guess else decoded.encoding,
        "head": found.head.number if found.head else 0,
        "heads": [[row.number, _shown(row)] for row in found.first[:HEADS_SHOWN]],
        "columns": [] if source.is_list else _columns(found),
        "used": [_name_of(found.columns, place) for place, key in enumerate(found.columns.keys) if key],
        "has_head": found.columns.has_head,
        "domain": choices.domain,
        "asks_domain": bool(choices.domain or (found.question and "domain" in found.question)),
        "hidden": counts["hidden"],
        "reads_hidden": choices.hidden,
        "nobody": counts["nobody"],
        "remarks": found.remarks,
        "roles": [[word, *told, lines.meant_role(told[0])] for word, told in _sorted(lines, "role")],
        "statuses": [[word, *told, lines.meant_status(told[0])] for word, told in _sorted(lines, "status")],
    }


def _sorted(lines: Lines, key: str) -> list[tuple[str, list[Any]]]:
    """The words of a list, the most frequent first: each with how it is written and how often."""
    return sorted(lines.words[key].items(), key=lambda item: -item[1][1])


def _name_of(columns: Columns, place: int) -> str:
    return columns.notes.get(place) or WORDS[columns.keys[place]]


def _shown(row: Row) -> str:
    return ", ".join(clean_head(cell) for cell in row.cells if cell)[:100]


def _columns(found: Found) -> list[dict[str, Any]]:
    shown = []
    for place, key in enumerate(found.columns.keys):
        cells = (clean_head(row.cells[place]) for row in found.below if place < len(row.cells) and row.cells[place])
        examples = list(islice(dict.fromkeys(cells), EXAMPLES))
        shown.append({"place": place, "head": found.columns.heads[place], "key": key, "examples": examples})
    return shown


def unpack(packed: bytes | memoryview) -> Iterator[Line]:
    """The lines of a reading."""
    for text in _texts(bytes(packed)):
        yield Line.unpack(json.loads(text))


def _texts(packed: bytes) -> Iterable[bytes]:
    stretch, rest = zlib.decompressobj(), b""
    for start in range(0, len(packed), CHUNK):
        rest += stretch.decompress(packed[start : start + CHUNK])
        *whole, rest = rest.split(b"\n")
        yield from whole
