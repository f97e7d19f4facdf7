"""Cells and rows, as every kind of file gives them; and the most that is looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Columns of a table that are looked at; what stands further to the right is left out.
MOST_COLUMNS = 200
#: Characters of one cell. Cells are cut there before anything else looks at them.
LONGEST_CELL = 5_000
#: Signs that no text of a roster has: of control, and those that turn the text around them.
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
SAVE_AS = "Save the list as CSV or as an Excel workbook (.xlsx), and upload that file."
#: A link as Excel writes it, with what it shows.
LINK = re.compile(r'=HYPERLINK\("[^"]*"(?:[,;] ?"([^"]*)")?\)', re.IGNORECASE)
#: One bare address, at a glance; `lines` looks closer.
ADDRESS = re.compile(r"[^\s@<>()\[\]\",;|]{1,200}@[^\s@<>()\[\]\",;|]{1,200}")


@dataclass(frozen=True)
class Cell:
    """A formula whose value the file does not hold, or an error in the place of a value."""

    formula: str

    def __str__(self) -> str:
        return self.formula


@dataclass(frozen=True)
class Row:
    """One row, with its number as a spreadsheet counts it, from 1. `is_hidden`: by a filter, or by hand."""

    number: int
    cells: list[str | Cell]
    is_hidden: bool = False


def text_cell(value: str) -> str | Cell:
    """A cell of a text file. `="00123"` is how people keep Excel from making a number of it: it means what it shows."""
    value = value[: LONGEST_CELL + 1].strip()
    if not value.startswith("="):
        return value
    if len(value) > 3 and value[1] == value[-1] == '"' and '"' not in value[2:-1].replace('""', ""):
        return value[2:-1].replace('""', '"').strip()
    return formula_cell(value)


def formula_cell(formula: str) -> str | Cell:
    """A formula without a value. That of a link to an address says what it shows."""
    found = LINK.fullmatch(formula[:LONGEST_CELL])
    return found[1].strip() if found and found[1] else Cell(formula[:LONGEST_CELL])


def is_address(cell: str | Cell) -> bool:
    """Whether the cell is one bare address, as far as can be seen at a glance."""
    return isinstance(cell, str) and bool(ADDRESS.fullmatch(cell))
