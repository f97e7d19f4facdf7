"""Tables for spreadsheets: streamed, and nothing in them is run."""

from __future__ import annotations

import csv
import datetime
import io
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from labs.services.export import cell, csv_response, lines, original


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


# Formulas ------------------------------------------------------------------------------------------------------------------

EVIL = "=cmd|'/C calc'!A0"


@pytest.mark.parametrize("before", [";", "x;", "x; ", 'x;"', "x;'", "x\t", "x\n", "x\r\n", "x|", ";;", "x;y;"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_no_cell_is_a_formula_for_a_program_that_parts_cells_otherwise(before: str, delimiter: str) -> None:
    """`x;=1` is two cells where semicolons part them, and the quotation marks that we write do not help there."""
    text = "".join(lines(["Name", "Note"], [["Ann", before + EVIL], [before + EVIL, "x"]]))
    found = [value for row in csv.reader(text[1:].splitlines(), delimiter=delimiter) for value in row]
    assert not [value for value in found if value.strip(' "').startswith("=")]


def test_a_sign_in_the_middle_of_a_text_stays_as_it_is() -> None:
    for text in ("x = 1", "a, -b", "ann+lee@uni.example", "2026-05-01", "a;b", "Lee; Ann", "one\ntwo"):
        assert cell(text) == text


def test_what_was_written_is_read_as_it_was() -> None:
    pick = random.Random(1)
    for _ in range(20_000):
        text = "".join(pick.choices("=+-@'; |\t\n\"ab,", k=pick.randrange(9)))
        assert original(cell(text)) == text


@pytest.mark.parametrize(
    "text", [";" * 100_000, "; " * 50_000, ";'" * 50_000, "'" * 100_000, ';"' * 50_000, " " * 100_000]
)
def test_a_long_cell_takes_a_moment(text: str) -> None:
    begun = time.process_time()
    original(cell(text))
    assert time.process_time() - begun < 1
