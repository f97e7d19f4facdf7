"""Looking through the parts of a workbook before it is read: openpyxl keeps much of them in memory, and counts rows that are not there.

What is seen here is the size of things only. XML that is not well formed is left to openpyxl, which reads no further either.
"""

from __future__ import annotations

import zipfile
from typing import Any
from xml.parsers import expat

from django.conf import settings

from labs.errors import Refusal

#: Elements that are held at once: those of a row of cells, of a text, or of a part that is read as a whole, such as the styles. A row
#: of Excel has 16,384 cells at most. Styles take most: 770 bytes each.
MOST_AT_ONCE = 50_000
#: Characters of these.
MOST_CHARACTERS = 4_000_000
#: All elements of a workbook. 20,000 people in 60 columns, written without shared texts, are 3.7 million.
MOST_ELEMENTS = 5_000_000
#: Rows and shared texts of one part; openpyxl keeps something of each. 20,000 people with 25 texts of their own.
MOST_OF_A_KIND = {"row": 100_000, "si": 500_000}
#: The styles are kept whole.
MOST_STYLES = 2**20
STYLES = "xl/styles.xml"
#: What gives a cell a value.
VALUES = ("v", "is", "f")
CHUNK = 1 << 16
COPY = "Copy the list itself into a new sheet, or save it as CSV, and upload that."


def most_rows() -> int:
    """The row down to which a list may reach: twice as many as people, for lines that are left empty."""
    return int(settings.ROSTER_MAX_LINES) * 2


class Look:
    """One look through all parts. `far`: by the name of a part, the first row with something in it below `most_rows`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.far: dict[str, int] = {}
        self.elements = 0
        self.lowest = most_rows()
        for part in archive.infolist():
            if part.filename == STYLES and part.file_size > MOST_STYLES:
                raise too_much()
            with archive.open(part) as source:
                self._look(source, part.filename)

    def _look(self, source: Any, name: str) -> None:
        self.name, self.row, self.at_once, self.characters = name, 0, 0, 0
        self.counts = dict.fromkeys(MOST_OF_A_KIND, 0)
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        try:
            while chunk := source.read(CHUNK):
                parser.Parse(chunk, False)
        except expat.ExpatError:
            return

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self.at_once += 1
        if self.at_once > MOST_AT_ONCE or self.elements > MOST_ELEMENTS:
            raise too_much()
        tag = tag.rpartition(":")[2]
        if tag in self.counts:
            self.counts[tag] += 1
            if self.counts[tag] > MOST_OF_A_KIND[tag]:
                raise too_much()
            if tag == "row":
                self.row = _number(attributes["r"]) if "r" in attributes else self.row + 1
        elif self.row > self.lowest and tag in VALUES:
            self.far.setdefault(self.name, self.row)

    def _end(self, tag: str) -> None:
        if tag.rpartition(":")[2] in self.counts and self.name != STYLES:
            self.at_once = self.characters = 0

    def _text(self, text: str) -> None:
        self.characters += len(text)
        if self.characters > MOST_CHARACTERS:
            raise too_much()

    def _entity(self, *_: Any) -> None:
        raise ValueError("A workbook declares no entities.")


def _number(text: str) -> int:
    """As openpyxl reads the number of a row. Raises ValueError and OverflowError."""
    try:
        return int(text)
    except ValueError:
        return int(float(text))


def too_much() -> Refusal:
    return Refusal(f"There is far more in this workbook than a list of people. {COPY}", code="too-much")


def too_far(row: int) -> Refusal:
    return Refusal(
        f"Something stands in row {row:,}, far below the list: rows are read down to {most_rows():,}. {COPY}",
        code="far",
    )
