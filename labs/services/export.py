"""Tables for a spreadsheet, as CSV or XLSX, with nothing in them that a spreadsheet would run.

Everything that leaves the site as a table goes through here. `original` undoes what `cell` does: a table that is imported
again says what it said.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone

#: Where a formula would begin, in Excel, LibreOffice and Google Sheets (OWASP, "CSV Injection"): at the start of a cell, and behind
#: what parts cells elsewhere. A program that expects semicolons, as Excel does in half of Europe, splits `x;=1+1` whatever the
#: quotation marks around it, and breaks the row at a line break inside of them. A comma needs nothing: a cell with one is quoted.
#: With any number of apostrophes before the sign: else one that was there would be taken for ours.
SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
FORMULA = re.compile(rf"""(?:^(?='*[{SIGNS}\t\r\n])|[;|\t\r\n](?=[ "]*'*[{SIGNS}]))[ "]*""")
#: The same place with an apostrophe of ours.
OURS = re.compile(rf"({FORMULA.pattern})'")
#: Control characters that XML, and with it a workbook, cannot hold.
NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: Rows that are read from the data base at a time; so many are in memory, whatever the number of rows.
CHUNK = 500


def cell(value: Any) -> str:
    """One cell as text: a moment in the site's time zone, nothing for None, and a formula as the text that it is.

    An apostrophe is put before each sign that a spreadsheet could take for the start of a formula. So it is before a lone sign; a
    plain number stays one, for spreadsheets count with it and never run it.
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
    return FORMULA.sub(r"\g<0>'", text)


def original(text: str) -> str:
    """What a cell of ours was before `cell`."""
    return OURS.sub(r"\1", text) if "'" in text else text


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


def xlsx_response(name: str, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> HttpResponse:
    """An answer that is saved as `<name>.xlsx`: one sheet, and no cell of it a formula."""
    from openpyxl import Workbook  # 0.2 s, which programs that write no workbook need not wait for

    book, file = Workbook(write_only=True), io.BytesIO()
    sheet = book.create_sheet("Sheet 1")
    sheet.append([_sheet_cell(value) for value in head])
    for row in rows:
        sheet.append([_sheet_cell(value) for value in row])
    book.save(file)
    response = HttpResponse(file.getvalue(), content_type=XLSX_TYPE)
    response["Content-Disposition"] = f'attachment; filename="{name}.xlsx"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _sheet_cell(value: Any) -> Any:
    is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    return value if is_number else NOT_IN_XML.sub("", cell(value))
