"""Tables as text: CSV with whatever separator, tables with strokes, and HTML that calls itself a workbook."""

from __future__ import annotations

import csv
import html
import io
import re
from collections import Counter
from collections.abc import Iterator

from .cells import MOST_COLUMNS, Row, is_address, text_cell

SEPARATORS = ",;\t|"
#: Lines and signs of each by which the separator is found.
LOOKED_AT, WIDTH = 40, 2_000
LONGEST_LINE = 100_000
#: A table in HTML, sign by sign: its tags, other tags, and text. Each `<` begins anew, so that no sign is looked at twice.
TAG = re.compile(r"<(/?)(table|tr|td|th|br)\b[^<>]*>|<[^<>]*>|[^<]+|<", re.IGNORECASE)


def first_lines(text: str) -> list[str]:
    """The first lines with something in them, cut."""
    found: list[str] = []
    for line in io.StringIO(text, newline=None):
        if line.strip():
            found.append(line.strip("\r\n")[:WIDTH])
        if len(found) == LOOKED_AT:
            break
    return found


def cells_of(line: str, separator: str) -> list[str]:
    """The cells of one line. A stray quotation mark in it is a sign like any other."""
    try:
        return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True), [])
    except csv.Error:
        return [_unquoted(cell.strip()) for cell in line[:LONGEST_LINE].split(separator)]


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"')
    return cell.removeprefix('"')


def likely_separators(lines: list[str]) -> list[str]:
    """The separators by how evenly they part the lines, the likeliest first."""

    def evenness(separator: str) -> tuple[int, int]:
        counts = Counter(len(cells_of(line, separator)) for line in lines)
        width, many = max(
            ((width, many) for width, many in counts.items() if width > 1), default=(0, 0), key=lambda one: one[1]
        )
        return many, width

    return sorted(SEPARATORS, key=evenness, reverse=True)


def is_even(lines: list[str], separator: str) -> bool:
    """Whether each line has its address in the same place, and a place for it only: a table without names of columns."""
    places = {tuple(place for place, cell in enumerate(cells_of(line, separator)) if "@" in cell) for line in lines}
    rows = [cells_of(line, separator) for line in lines]
    if len(places) != 1 or len({len(row) for row in rows}) != 1:
        return False
    (found,) = places
    if not found or not all(is_address(row[place].strip()) for row in rows for place in found):
        return False
    return len(found) == 1 or (len(lines) > 1 and len(found) < len(rows[0]))


def rows_of_csv(text: str, separator: str) -> Iterator[Row]:
    """The rows with something in them, numbered as a spreadsheet does."""
    for number, values in enumerate(_records(text, separator), start=1):
        if any(value.strip() for value in values):
            yield row_of(number, values)


def row_of(number: int, values: list[str]) -> Row:
    cells = [text_cell(value) for value in values[:MOST_COLUMNS]]
    while cells and not cells[-1]:
        cells.pop()
    return Row(number, cells)


def _records(text: str, separator: str) -> Iterator[list[str]]:
    if _is_quoted_well(text, separator):
        yield from csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
        )  # fmt: skip
        return
    for line in io.StringIO(text, newline=None):
        yield cells_of(line.rstrip("\n"), separator)


def _is_quoted_well(text: str, separator: str) -> bool:
    """Whether every quotation mark is one: one stray mark would take the lines below it into its cell."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True):
            pass
    except csv.Error:
        return False
    return True


def rows_of_html(text: str) -> Iterator[Row]:
    """The rows of the longest table of an HTML page: so PeopleSoft and others write what they call .xls."""
    tables: list[list[list[str]]] = []
    for found in TAG.finditer(text):
        tag = (found[2] or "").lower()
        if not tag:
            if not found[0].startswith("<") and tables and tables[-1] and tables[-1][-1]:
                tables[-1][-1][-1] += found[0]
        elif tag == "br":
            if tables and tables[-1] and tables[-1][-1]:
                tables[-1][-1][-1] += " "
        elif found[1]:
            continue
        elif tag == "table":
            tables.append([])
        elif tag == "tr" and tables:
            tables[-1].append([])
        elif tables and tables[-1] and len(tables[-1][-1]) < MOST_COLUMNS:
            tables[-1][-1].append("")
    longest = max(tables, key=len, default=[])
    for number, cells in enumerate(longest, start=1):
        values = [" ".join(html.unescape(cell).split()) for cell in cells]
        if any(values):
            yield row_of(number, values)
