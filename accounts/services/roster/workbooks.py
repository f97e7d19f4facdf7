"""The parts of a workbook, read a piece at a time and within limits: a small file may unfold into one that fills the memory.

openpyxl would take most of a minute for the marks of a large course, keeps much of it in memory, counts rows that are not there, and
says nothing of hidden rows or of formulas without a value. So the parts are read here, with expat; what a format means is asked of it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from xml.parsers import expat

from django.conf import settings

from labs.errors import Refusal

from .cells import SAVE_AS

#: Elements that are held at once: those of a row of cells, of a text, or of a part that is read as a whole, such as the styles. A row
#: of Excel has 16,384 cells at most.
MOST_AT_ONCE = 50_000
#: Characters of these.
MOST_CHARACTERS = 4_000_000
#: All elements of a workbook. 20,000 people in 60 columns, written without shared texts, are 3.7 million.
MOST_ELEMENTS = 5_000_000
#: Rows and shared texts of one part. 20,000 people with 25 texts of their own.
MOST_OF_A_KIND = {"row": 100_000, "si": 500_000}
#: The styles are kept whole.
MOST_STYLES = 2**20
STYLES = "xl/styles.xml"
CHUNK = 1 << 16
#: Called with the name of an element and its attributes; and with its name, or a piece of text.
Start = Callable[[str, dict[str, str]], None]
End = Callable[[str], None]
COPY = "Copy only the list into a new sheet, or save it as CSV, and upload that."


class Parts:
    """The parts of one workbook. What all of them hold together is counted here."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive, self.names = archive, set(archive.namelist())
        self.elements = 0

    def read(self, name: str, start: Start, end: End | None = None, text: End | None = None) -> Iterator[None]:
        """Call `start`, `end` and `text` for what the part holds; names come without a prefix. Stops after each piece.

        Raises Refusal for too much, and ValueError for what is no XML or declares entities.
        """
        part = _Part(self, start, end, text)
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = part.start, part.end
        parser.CharacterDataHandler, parser.EntityDeclHandler = part.text, _no_entities
        try:
            with self.archive.open(name) as source:
                while chunk := source.read(CHUNK):
                    parser.Parse(chunk, False)
                    yield
                parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise ValueError(f"{name}: {error}") from None
        self.elements += part.at_once

    def scan(self, name: str) -> Iterator[bytes]:
        """The part as it stands, a piece at a time, each with the end of the one before it."""
        tail = b""
        with self.archive.open(name) as source:
            while chunk := source.read(CHUNK):
                yield tail + chunk
                tail = chunk[-300:]


class _Part:
    """What a part calls while it is parsed, and how much of it there has been."""

    def __init__(self, parts: Parts, start: Start, end: End | None, text: End | None) -> None:
        self.parts, self.then_start, self.then_end, self.then_text = parts, start, end, text
        self.at_once = self.characters = 0
        self.counts = dict.fromkeys(MOST_OF_A_KIND, 0)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.at_once += 1
        if self.at_once > MOST_AT_ONCE or self.parts.elements + self.at_once > MOST_ELEMENTS:
            raise too_much()
        tag = tag.rpartition(":")[2]
        if tag in self.counts:
            self.counts[tag] += 1
            if self.counts[tag] > MOST_OF_A_KIND[tag]:
                raise too_much()
        self.then_start(tag, attributes)

    def end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        if self.then_end:
            self.then_end(tag)
        if tag in self.counts:
            self.parts.elements += self.at_once
            self.at_once = self.characters = 0

    def text(self, piece: str) -> None:
        self.characters += len(piece)
        if self.characters > MOST_CHARACTERS:
            raise too_much()
        if self.then_text:
            self.then_text(piece)


def check_archive(content: bytes) -> None:
    """Before anything of it is unpacked. Python's zipfile reads no more of a part than is declared here. Raises Refusal."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            is_open_document = "mimetype" in names and archive.getinfo("mimetype").file_size < 200
            kind = archive.read("mimetype") if is_open_document else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError):
        raise damaged() from None
    if b"opendocument" in kind:
        raise Refusal(f"This is a LibreOffice file. {SAVE_AS}", code="opendocument")
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise Refusal(f"This workbook contains macros. {SAVE_AS}", code="macros")
    if "xl/workbook.xml" not in names:
        raise Refusal(f"This is not an Excel workbook. {SAVE_AS}", code="no-table")
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > 1000 or unpacked > settings.ROSTER_MAX_MB * 10 * 2**20:
        raise Refusal(
            f"This workbook is too large when unpacked ({unpacked // 2**20:,} MiB). {SAVE_AS}", code="zip-bomb"
        )
    if any(part.filename == STYLES and part.file_size > MOST_STYLES for part in parts):
        raise too_much()


def most_rows() -> int:
    """The row down to which a list may reach: twice as many as people, for lines that are left empty."""
    return int(settings.ROSTER_MAX_LINES) * 2


def _no_entities(*_: Any) -> None:
    raise ValueError("A workbook declares no entities.")


def damaged() -> Refusal:
    return Refusal(f"This workbook cannot be read; it may be damaged. {SAVE_AS}", code="damaged")


def too_much() -> Refusal:
    return Refusal(f"This workbook contains far more than a list of people. {COPY}", code="too-much")


def too_far(row: int) -> Refusal:
    return Refusal(
        f"Row {row:,}, far below the list, is not empty. Only rows up to {most_rows():,} are read. {COPY}",
        code="far",
    )
