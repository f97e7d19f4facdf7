"""Tables as CSV, for a spreadsheet: streamed line by line, and with nothing in them that a spreadsheet would run."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

#: What a cell of a formula begins with, in Excel, LibreOffice and Google Sheets (OWASP, "CSV Injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
#: Rows that are read from the data base at a time; so many are in memory, whatever the number of rows.
CHUNK = 500


def cell(value: Any) -> str:
    """One cell as text: a moment in the site's time zone, nothing for None, and a formula as the text that it is.

    Text that begins as a formula does gets a leading apostrophe. So does a lone sign; a plain number stays one, for
    spreadsheets count with it and never run it.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    text = str(value).replace("\0", "")
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


class _Echo:
    """What `csv.writer` writes to: it hands each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def lines(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The table as text, line by line, with a byte order mark so that Excel reads UTF-8."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow([cell(name) for name in head])
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def csv_response(name: str, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """An answer that is saved as `<name>.csv`. `rows` are read while it is sent; give an iterator that reads in chunks."""
    response = StreamingHttpResponse(lines(head, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["X-Content-Type-Options"] = "nosniff"
    return response
