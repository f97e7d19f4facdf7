"""Tables for other programs. Everything that leaves the site as CSV or XLSX goes through here.

A cell that begins like a formula gets an apostrophe before it, so that no spreadsheet runs what somebody has typed into a
name (OWASP, "CSV Injection"). `original` takes it away again: an export that is imported changes nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

#: With any number of apostrophes before it: else one that was there would be taken for ours.
DANGEROUS = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def safe(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula. Numbers and nothing stay as they are."""
    if value is None or isinstance(value, bool | int | float):
        return "" if value is None else value
    text = str(value)
    return f"'{text}" if DANGEROUS.match(text) else text


def original(text: str) -> str:
    """What a cell of ours was before `safe`."""
    return text[1:] if text.startswith("'") and DANGEROUS.match(text[1:]) else text


def csv_lines(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """CSV as Excel opens it rightly by a double click: with a mark of UTF-8 at its start."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    yield "\ufeff"
    for row in _with_head(head, rows):
        writer.writerow([safe(value) for value in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def xlsx(head: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "Sheet") -> bytes:
    """A workbook with one sheet; no cell of it is a formula."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(re.sub(r"[\\/*?:\[\]]", " ", title)[:31])
    for row in _with_head(head, rows):
        sheet.append([_plain(safe(value)) for value in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _with_head(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    yield head
    yield from rows


def _plain(value: Any) -> Any:
    return ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value
