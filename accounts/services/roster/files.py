"""What people upload or paste, opened: rows of text, whatever program has written them. Nothing here knows what the columns mean.

What cannot be read is refused with a sentence that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from labs.errors import Refusal

from .addresses import rows_of_addresses
from .cells import SAVE_AS, Row
from .choices import Choices
from .columns import find_head
from .delimited import cells_of, first_lines, is_even, likely_separators, row_of, rows_of_csv, rows_of_html
from .encodings import Decoded, decode
from .workbooks import check_archive

WORKBOOK = b"PK\x03\x04"
OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: How the files of other programs begin.
STRANGERS = {
    b"%PDF": "a PDF", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"GIF8": "a picture",
    b"{\\rtf": "a text document", b"\x1f\x8b": "a compressed file", b"Rar!": "a compressed file", b"7z\xbc\xaf": "a compressed file",
}  # fmt: skip
PAGE = re.compile(r"\s{0,100}<(?:!doctype html|html|table|\?xml|meta|head)", re.IGNORECASE)
#: Rows that show what a sheet holds.
LOOKED_AT = 40


@dataclass
class Source:
    """An opened list. `rows` may raise Refusal while they are read on."""

    rows: Iterator[Row]
    #: Names of the sheets to choose from, and the one that is read.
    sheets: list[str] = field(default_factory=list)
    sheet: str = ""
    #: Columns that nobody sees in the file; known once the first row is.
    hidden: set[int] = field(default_factory=set)
    #: How the letters of a text were read, where there is a doubt.
    decoded: Decoded = field(default_factory=lambda: Decoded(""))
    #: A list of addresses, taken apart already into address, name and section.
    is_list: bool = False
    #: A cell stands in its column for certain; in text, a separator too many moves those behind it.
    is_aligned: bool = False


def open_source(content: bytes, choices: Choices) -> Source:
    """Open a file. What it is, is seen from its content, never from its name. Raises Refusal."""
    check(content)
    if content.startswith(WORKBOOK):
        return _workbook(content, choices)
    decoded = decode(content, choices.encoding)
    source = _text(decoded.text)
    source.decoded = decoded
    return source


def check(content: bytes) -> None:
    """Raise Refusal for what is no list at a glance, however large it is."""
    if not content.strip():
        raise Refusal("The file is empty.", code="empty")
    if content.startswith(OLD_EXCEL):
        raise Refusal(f"This file is in an old Excel format or is protected by a password. {SAVE_AS}", code="old-excel")
    if content.startswith(WORKBOOK):
        check_archive(content)
    for start, what in STRANGERS.items():
        if content.startswith(start):
            raise Refusal(f"This is {what}, not a table. {SAVE_AS}", code="no-table")


def _text(text: str) -> Source:
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise Refusal("The list is empty.", code="empty")
    if "\0" in text:
        raise Refusal(f"This is not a text table. {SAVE_AS}", code="binary")
    if text.lstrip()[:2] in ("[{", '{"'):
        raise Refusal(f"This is JSON, not a table. {SAVE_AS}", code="no-table")
    if PAGE.match(text):
        rows = rows_of_html(text)
        first = next(rows, None)
        if first is None:
            raise Refusal(f"This is a web page without a table. {SAVE_AS}", code="no-table")
        return Source(_with(first, rows), is_aligned=True)
    lines = first_lines(text)
    if said := re.fullmatch(r'"?sep=(.)"?,*', lines[0].strip()):
        rows = rows_of_csv(text, said[1])
        return Source(row for row in rows if row.number > 1)
    if separator := _separator_of_table(lines):
        return Source(rows_of_csv(text, separator))
    return Source(rows_of_addresses(text), is_list=True)


def _separator_of_table(lines: list[str]) -> str:
    """The separator, where the lines are a table: the one that shows names of columns, or else parts all lines alike."""
    separators = likely_separators(lines)
    widths = {}
    for separator in separators:
        rows = [row_of(number, cells_of(line, separator)) for number, line in enumerate(lines, start=1)]
        if head := find_head(rows):
            widths[separator] = len(head.cells)
    if widths:
        return max(widths, key=lambda separator: widths[separator])
    if even := next((separator for separator in separators if is_even(lines, separator)), ""):
        return even
    return "" if any("@" in line for line in lines) else separators[0]


def _with(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _workbook(content: bytes, choices: Choices) -> Source:
    from . import sheets  # its library takes 0.2 s to import, and most lists are no workbooks

    book = sheets.open_book(content)
    name = (
        choices.sheet
        if choices.sheet in book.sheets
        else _likely_sheet(list(book.sheets), lambda name: sheets.Sheet(book, name).rows())
    )
    sheet = sheets.Sheet(book, name)
    return Source(sheet.rows(), sheets=list(book.sheets), sheet=name, hidden=sheet.hidden_columns, is_aligned=True)


def _likely_sheet(names: list[str], rows_of: Callable[[str], Iterator[Row]]) -> str:
    """The first sheet that names columns, or holds addresses; else the first."""
    for name in names[:20] if len(names) > 1 else ():
        rows = list(islice(rows_of(name), LOOKED_AT))
        if find_head(rows) or any("@" in str(cell) for row in rows for cell in row.cells):
            return name
    return names[0]
