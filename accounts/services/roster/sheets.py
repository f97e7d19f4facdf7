"""A sheet of a workbook as rows of text: values as they are shown, formulas by the value that the file holds for them."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

from labs.errors import Refusal

from .cells import LONGEST_CELL, MOST_COLUMNS, Cell, Row, formula_cell
from .workbooks import STYLES, Parts, damaged, most_rows, too_far

WORKBOOK = "xl/workbook.xml"
MERGED = re.compile(rb'mergeCell\s[^<>]{0,200}?ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')
MOST_MERGED = 50_000
BAD = (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, ValueError, TypeError, OSError, OverflowError)


@dataclass
class Book:
    """What all sheets share. `sheets`: the visible ones, the name with the part."""

    parts: Parts
    sheets: dict[str, str] = field(default_factory=dict)
    strings: list[str] = field(default_factory=list)
    #: Numbers of the styles that show a number as a day.
    days: set[str] = field(default_factory=set)
    epoch: Any = CALENDAR_WINDOWS_1900


def open_book(content: bytes) -> Book:
    """Look at a workbook that `check_archive` has let through: its sheets and texts. Raises Refusal."""
    try:
        book = Book(Parts(zipfile.ZipFile(io.BytesIO(content))))
        _sheets(book)
        if not book.sheets:
            raise Refusal("The workbook has no sheets.", code="empty")
        _strings(book)
        _days(book)
    except BAD:
        raise damaged() from None
    return book


def _run(reading: Iterator[None]) -> None:
    for _ in reading:
        pass


def _sheets(book: Book) -> None:
    named: dict[str, str] = {}
    places: dict[str, str] = {}

    def sheet(tag: str, attributes: dict[str, str]) -> None:
        if tag == "sheet" and attributes.get("state", "visible") == "visible":
            key = next(value for name, value in attributes.items() if name.rpartition(":")[2] == "id")
            named[attributes["name"]] = key
        elif tag == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            book.epoch = CALENDAR_MAC_1904

    def relation(tag: str, attributes: dict[str, str]) -> None:
        if tag == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
            target = attributes["Target"]
            path = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))
            places[attributes["Id"]] = path

    _run(book.parts.read(WORKBOOK, sheet))
    _run(book.parts.read("xl/_rels/workbook.xml.rels", relation))
    book.sheets = {name: places[key] for name, key in named.items() if key in places}


def _strings(book: Book) -> None:
    """The shared texts; what is written above the letters, to say how they are read, is no part of them."""
    name = next((name for name in book.parts.names if name.lower() == "xl/sharedstrings.xml"), "")
    if not name:
        return
    pieces: list[str] = []
    state = {"text": False, "beside": 0}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "rPh":
            state["beside"] += 1
        state["text"] = tag == "t" and not state["beside"]

    def end(tag: str) -> None:
        state["text"] = False
        if tag == "rPh":
            state["beside"] -= 1
        elif tag == "si":
            book.strings.append("".join(pieces)[: LONGEST_CELL + 1])
            pieces.clear()

    _run(book.parts.read(name, start, end, lambda text: pieces.append(text) if state["text"] else None))


def _days(book: Book) -> None:
    if STYLES not in book.parts.names:
        return
    formats = {str(number): text for number, text in BUILTIN_FORMATS.items()}
    state = {"in": False, "count": 0}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "numFmt":
            formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")[:200]
        elif tag == "cellXfs":
            state["in"] = True
        elif tag == "xf" and state["in"]:
            if is_date_format(formats.get(attributes.get("numFmtId", "0"))):
                book.days.add(str(state["count"]))
            state["count"] += 1

    def end(tag: str) -> None:
        state["in"] = state["in"] and tag != "cellXfs"

    _run(book.parts.read(STYLES, start, end))


class Sheet:
    """One sheet, read from above to below. `hidden_columns` is known with the first row."""

    def __init__(self, book: Book, name: str) -> None:
        self.book, self.part = book, book.sheets[name]
        self.hidden_columns: set[int] = set()
        self.ready: list[Row] = []
        self.number, self.column, self.lowest = 0, -1, most_rows()
        self.cells: dict[int, str | Cell] = {}
        self.attributes: dict[str, str] = {}
        self.is_hidden = False
        self.keeps = ""
        self.beside = 0
        self.pieces: list[str] = []
        self.formula: list[str] | None = None
        #: Of cells that are merged downwards: where they begin, and which reach further.
        self.merged: dict[int, list[tuple[int, int]]] = {}
        self.reach: dict[int, tuple[int, str | Cell]] = {}

    def rows(self) -> Iterator[Row]:
        """The rows with something in them. Raises Refusal, also while it is read on."""
        try:
            self._merges()
            for _ in self.book.parts.read(self.part, self._start, self._end, self._text):
                yield from self.ready
                self.ready.clear()
            yield from self.ready
        except BAD:
            raise damaged() from None

    def _merges(self) -> None:
        """What is merged stands below the cells, so it is looked for first."""
        found: set[tuple[bytes, ...]] = set()
        for piece in self.book.parts.scan(self.part):
            for match in MERGED.finditer(piece):
                if len(found) < MOST_MERGED:
                    found.add(match.groups())
        for left, top, _, bottom in found:
            if int(bottom) > int(top):
                self.merged.setdefault(int(top), []).append((_column(left.decode()), int(bottom)))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "c":
            place = attributes.get("r", "").rstrip("0123456789")
            self.column = _column(place) if place else self.column + 1
            self.attributes, self.formula = attributes, None
            self.pieces.clear()
        elif tag in ("v", "t"):
            self.keeps = "" if self.beside else "value"
        elif tag == "f":
            self.formula, self.keeps = [], "formula"
        elif tag == "rPh":
            self.beside += 1
        elif tag == "row":
            self.number = _number(attributes["r"]) if "r" in attributes else self.number + 1
            self.is_hidden, self.column = attributes.get("hidden") in ("1", "true"), -1
        elif tag == "col" and attributes.get("hidden") in ("1", "true"):
            first, last = int(attributes["min"]) - 1, min(int(attributes["max"]), MOST_COLUMNS)
            self.hidden_columns |= set(range(max(first, 0), last))

    def _text(self, text: str) -> None:
        if self.keeps == "value":
            self.pieces.append(text)
        elif self.keeps and self.formula is not None:
            self.formula.append(text)

    def _end(self, tag: str) -> None:
        self.keeps = ""
        if tag == "c":
            if self.pieces or self.formula is not None:
                self._cell()
        elif tag == "rPh":
            self.beside -= 1
        elif tag == "row":
            self._row()

    def _cell(self) -> None:
        if self.number > self.lowest:
            raise too_far(self.number)
        if 0 <= self.column < MOST_COLUMNS:
            text = "".join(self.pieces)
            if value := self._value(text) if text else formula_cell("=" + "".join(self.formula or ())):
                self.cells[self.column] = value

    def _value(self, text: str) -> str | Cell:
        kind = self.attributes.get("t", "n")
        if kind == "s":
            text = self.book.strings[int(text)]
        elif kind == "b":
            return "yes" if text in ("1", "true") else "no"
        elif kind == "e":
            return Cell(text[:40])
        elif kind == "n":
            return self._number_or_day(text)
        elif kind == "d":
            return text.removesuffix("T00:00:00").replace("T", " ")[:40]
        return text[: LONGEST_CELL + 1].strip()

    def _number_or_day(self, text: str) -> str:
        try:
            value = float(text)
            if self.attributes.get("s") in self.book.days:
                return str(from_excel(value, self.book.epoch)).removesuffix(" 00:00:00")
        except (ValueError, OverflowError):
            return text[:40].strip()  # A day before the calendar begins, or no number at all.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"

    def _row(self) -> None:
        cells, self.cells = self.cells, {}
        for column, bottom in self.merged.get(self.number, ()):
            self.reach[column] = (bottom, cells.get(column, ""))
        if not cells:
            return
        for column, (bottom, value) in list(self.reach.items()):
            if bottom < self.number:
                del self.reach[column]
            elif value and column < MOST_COLUMNS:
                cells.setdefault(column, value)
        width = max(cells) + 1
        self.ready.append(Row(self.number, [cells.get(place, "") for place in range(width)], self.is_hidden))


def _column(letters: str) -> int:
    """From 0: “A”, “B”, ..., “AA”."""
    number = 0
    for letter in letters[:4].upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _number(text: str) -> int:
    """The number of a row. Raises ValueError and OverflowError."""
    try:
        return int(text)
    except ValueError:
        return int(float(text))
