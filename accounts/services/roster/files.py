"""What people upload or paste as rows of text: CSV in whatever form Excel and others write it, XLSX, or a list of addresses.

Nothing here knows what the columns mean. What cannot be read is refused with a sentence that says what to do.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from email.utils import getaddresses
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from django.conf import settings
from openpyxl import load_workbook

from labs.errors import Refusal

from .workbooks import Look, most_rows, too_far

#: Columns of a table that are looked at; a sheet with more is no roster.
MOST_COLUMNS = 60
#: Characters of one cell.
LONGEST_CELL = 5_000
#: Signs that no text of a roster has: of control, and those that turn the text around them.
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
SEPARATORS = ",;\t|"
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: How the files of other programs begin.
STRANGERS = {
    b"%PDF": "a PDF", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"GIF8": "a picture",
    b"{\\rtf": "a text document", b"\x1f\x8b": "a packed file", b"Rar!": "a packed file", b"7z\xbc\xaf": "a packed file",
}  # fmt: skip
SAVE_AS = "Save it as CSV or as an Excel workbook (.xlsx), and upload that."


@dataclass(frozen=True)
class Cell:
    """A formula in the place of a value: what it would come to is not ours to guess."""

    formula: str

    def __str__(self) -> str:
        return self.formula


@dataclass(frozen=True)
class Row:
    """One row, with its number as a spreadsheet counts it, from 1."""

    number: int
    cells: list[str | Cell]


def rows_of_upload(content: bytes, name: str) -> Iterator[Row]:
    """The rows of a file. What it is, is seen from its content; its name only helps to say what is wrong.

    Raises Refusal, also while it is read on.
    """
    if not content.strip():
        raise Refusal("The file is empty.", code="empty")
    if content.startswith(OLD_EXCEL):
        raise Refusal(f"This is a file of an old Excel, or one with a password. {SAVE_AS}", code="old-excel")
    if content.startswith(b"PK\x03\x04"):
        return _rows_of_workbook(content)
    for start, what in STRANGERS.items():
        if content.startswith(start):
            raise Refusal(f"This is {what}, not a table. {SAVE_AS}", code="no-table")
    return rows_of_text(_decode(content))


def rows_of_text(text: str) -> Iterator[Row]:
    """The rows of CSV with any of the usual separators, or of a list of addresses as mail programs write them."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise Refusal("There is nothing in it.", code="empty")
    if "\0" in text:
        raise Refusal(f"This is not a table of text. {SAVE_AS}", code="binary")
    if _is_list_of_addresses(text):
        return _rows_of_addresses(text)
    return _rows_of_csv(text)


def _decode(content: bytes) -> str:
    """UTF-8 and UTF-16, with a mark or without; otherwise what Windows writes in the west."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if content.startswith(mark):
            return content.removeprefix(mark).decode(encoding, "replace")
    head = content[:2000]
    if b"\0" in head:
        # Text in UTF-16 without its mark has a null in every second place; nothing else that is text has any.
        encoding = "utf-16-le" if head[1::2].count(0) > head[0::2].count(0) else "utf-16-be"
        try:
            found = content.decode(encoding)
        except UnicodeDecodeError:
            found = "\0"
        nulls = max(head[0::2].count(0), head[1::2].count(0))
        return found if nulls > len(head) // 4 else "\0"
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace").replace("\ufffd", "?")


# Text ------------------------------------------------------------------------------------------------------------------


def _rows_of_csv(text: str) -> Iterator[Row]:
    first = text.lstrip("\r\n").split("\n", 1)[0].strip()
    separator = ""
    if said := re.fullmatch(r'"?sep=(.)"?', first):
        separator = said[1]
    skip = 1 if separator else 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator or _separator(first), strict=True)
    for number in range(1, settings.ROSTER_MAX_LINES + 1_000_000):
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise Refusal(
                f'Line {number} cannot be read: a quotation mark (") is not closed, or stands in the middle of a cell.',
                code="quotes",
            ) from None
        if number > skip and any(value.strip() for value in values):
            yield _row(number, [_text_cell(value) for value in values])


def _separator(line: str) -> str:
    """What parts the first line into most cells, quotation marks respected."""
    plain = re.sub(r'"[^"]*"', "", line)
    return max(SEPARATORS, key=plain.count)


def _text_cell(value: str) -> str | Cell:
    value = value.strip()
    return Cell(value) if value.startswith("=") else value


def _is_list_of_addresses(text: str) -> bool:
    """Whether it is as a mail program copies it: `Ann Lee <ann@uni.example>, ...`, and no table."""
    first = text.strip().split("\n", 1)[0]
    return bool(re.match(r'\s*("[^"]*"|[^,;\t"<>@]*)\s*<[^<>\s]+@[^<>\s]+>\s*([,;]|$)', first))


def _rows_of_addresses(text: str) -> Iterator[Row]:
    yield Row(0, ["e-mail", "name"])
    for number, line in enumerate(text.splitlines(), start=1):
        # Outlook parts addresses with semicolons, others with commas.
        for part in _parted(line):
            for name, address in getaddresses([part]) if part.strip(" ,") else ():
                yield _row(number, [address or part.strip(), name])


def _parted(line: str) -> list[str]:
    """At each semicolon that stands outside of quotation marks, counted from the end: one that is not closed opens nothing."""
    pieces = line.split('"')
    parts: list[list[str]] = [[]]
    for after, piece in zip(reversed(range(len(pieces))), pieces, strict=True):
        first, *rest = piece.split(";") if after % 2 == 0 else [piece]
        parts[-1].append(first)
        parts += [[text] for text in rest]
        if after:
            parts[-1].append('"')
    return ["".join(part) for part in parts]


def _row(number: int, cells: list[str | Cell]) -> Row:
    while cells and not cells[-1]:
        cells.pop()
    if len(cells) > MOST_COLUMNS:
        raise Refusal(
            f"Line {number} has more than {MOST_COLUMNS} columns. Leave out those that are not needed.",
            code="columns",
        )
    return Row(number, cells)


# Workbooks --------------------------------------------------------------------------------------------------------------


def _rows_of_workbook(content: bytes) -> Iterator[Row]:
    _check_archive(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            look = Look(archive)
        book = load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
        sheet = next((item for item in book.worksheets if item.sheet_state == "visible"), None)
        if sheet is None:
            raise Refusal("There is no sheet in the workbook.", code="empty")
        if row := look.far.get(sheet._worksheet_path):
            raise too_far(row)
        # What a sheet says of its size may be wrong; its rows are read one by one, and no further than is needed.
        sheet.reset_dimensions()
        for number, row in enumerate(sheet.iter_rows(max_col=MOST_COLUMNS + 1, max_row=most_rows()), start=1):
            if all(cell.value is None for cell in row):
                continue
            cells = [_sheet_cell(cell) for cell in row]
            if any(cells):
                yield _row(number, cells)
    except Refusal:
        raise
    except (DefusedXmlException, ParseError, zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError,
            AttributeError, IndexError, OverflowError, AssertionError):  # fmt: skip
        raise Refusal(f"This workbook cannot be read; it may be damaged. {SAVE_AS}", code="damaged") from None


def _check_archive(content: bytes) -> None:
    """Before anything of it is unpacked. Python's zipfile reads no more of a part than is declared here."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            is_open_document = "mimetype" in names and archive.getinfo("mimetype").file_size < 200
            kind = archive.read("mimetype") if is_open_document else b""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError):
        raise Refusal(f"This workbook cannot be read; it may be damaged. {SAVE_AS}", code="damaged") from None
    if b"opendocument" in kind:
        raise Refusal(f"This is a file of LibreOffice. {SAVE_AS}", code="opendocument")
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise Refusal(f"This workbook holds macros. {SAVE_AS}", code="macros")
    if "xl/workbook.xml" not in names:
        raise Refusal(f"This is not a workbook of Excel. {SAVE_AS}", code="no-table")
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > 1000 or unpacked > settings.ROSTER_MAX_MB * 10 * 2**20:
        raise Refusal(
            f"Unpacked, this workbook is far too large ({unpacked // 2**20:,} MiB). {SAVE_AS}", code="zip-bomb"
        )


def _sheet_cell(cell: Any) -> str | Cell:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        return Cell(str(getattr(value, "text", value) or "="))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime | date):
        is_day = isinstance(value, datetime) and value.time() == value.time().min
        return (value.date() if is_day and isinstance(value, datetime) else value).isoformat()
    return str(value).strip()
