"""Tables for spreadsheets: streamed, and nothing in them is run."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterator
from typing import Any

import pytest

from labs.services.export import cell, csv_response, lines


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_what_begins_as_a_formula_is_text(start: str) -> None:
    assert cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("plain", "plain"),
        (" =1+1", " =1+1"),
        ("", ""),
        (None, ""),
        (-5, "-5"),
        (1.5, "1.5"),
        (True, "yes"),
        (False, "no"),
        ("a\0b", "ab"),
        ("\0=1", "'=1"),
        (datetime.datetime(2024, 5, 1, 10, 0, tzinfo=datetime.UTC), "2024-05-01 10:00:00"),
    ],
)
def test_a_cell_is_written_for_people(value: Any, wanted: str) -> None:
    assert cell(value) == wanted


def test_quotes_commas_and_lines_come_back_as_they_were() -> None:
    row = ['a "word"', "one, two", "two\nlines", "Zoë"]
    text = "".join(lines(["A", "B", "C", "D"], [row]))
    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text[1:], newline="")))[1] == row


def test_a_head_is_guarded_too() -> None:
    assert "'=x" in "".join(lines(["=x"], []))


def test_rows_are_read_only_as_they_are_sent() -> None:
    read: list[int] = []

    def rows() -> Iterator[tuple[int]]:
        for number in range(1000):
            read.append(number)
            yield (number,)

    content = iter(csv_response("table", ["Number"], rows()))
    next(content)
    next(content)
    assert len(read) < 3


def test_it_is_saved_as_a_file_and_never_shown_as_a_page() -> None:
    response = csv_response("members", ["A"], [])
    assert response["Content-Disposition"] == 'attachment; filename="members.csv"'
    assert response["Content-Type"] == "text/csv; charset=utf-8"
