"""Lists as people have them: each strange one is read, or refused with a sentence that says what to do."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from openpyxl import Workbook

from accounts.models import RosterUpload
from accounts.services.roster.addresses import rows_of_addresses
from accounts.services.roster.choices import Choices
from labs.errors import Refusal

# ruff: noqa: E501  # the sentences stand as they are shown

Keep = Callable[..., RosterUpload]
PLAIN = "e-mail,name,section\nann@uni.example,Ann Müller,A\n"
EXPECTED = [("ann@uni.example", "Ann Müller", "A")]


def people(upload: RosterUpload) -> list[tuple[str, str, str]]:
    return [(line["email"], line["name"], line["section"]) for line in upload.preview["samples"].get("new", [])]


def wrong(upload: RosterUpload) -> dict[int, str]:
    """What is said of each wrong line, by its number."""
    return {line["line"]: line["problem"] for line in upload.preview["samples"].get("wrong", [])}


def workbook(rows: list[list[Any]]) -> bytes:
    book, file = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    book.save(file)
    return file.getvalue()


def packed(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return file.getvalue()


# Read -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.encode("latin-1"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace(",", ";").encode("cp1252"),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", "|").encode(),
        b"sep=;\r\n" + PLAIN.replace(",", ";").encode(),
        ("\n\n" + PLAIN + "\n,,\n").encode(),
        '"e-mail","name","section"\n"ann@uni.example","Ann\nMüller","A"\n'.encode(),
        workbook([["e-mail", "name", "section"], ["ann@uni.example", "Ann Müller", "A"]]),
    ],
    ids=["utf-8", "excel's mark", "utf-16", "utf-16-le without mark", "utf-16-be without mark", "latin-1", "crlf",
         "semicolons", "tabs", "strokes", "sep=", "empty lines", "quoted newline", "xlsx"],
)  # fmt: skip
def test_a_list_is_read_in_whatever_form_programs_write_it(keep: Keep, content: bytes) -> None:
    upload = keep(content)
    assert people(upload) == EXPECTED
    assert upload.preview["counts"] == {"new": 1, "changed": 0, "unchanged": 0, "wrong": 0, "missing": 0, "let_in": 0}


@pytest.mark.parametrize("name", ["list.csv", "list.xlsx", "list.xls", "list", "list.pdf"])
def test_what_a_file_is_is_seen_from_its_content_not_its_name(keep: Keep, name: str) -> None:
    assert people(keep(PLAIN.encode(), name=name)) == EXPECTED
    assert people(keep(workbook([["mail", "name", "group"], list(EXPECTED[0])]), name=name)) == EXPECTED


@pytest.mark.parametrize(
    "head",
    ["section,e-mail,name", "Gruppe,E-Mail-Adresse,Name", "GROUP,Email Address,Full Name", "Groupe,Adresse e-mail,Nom",
     "Grupo,Correo electrónico,Nombre completo", "Übung,eMail,Teilnehmer/in", "section,E-Mail (university),name"],
)  # fmt: skip
def test_columns_are_found_in_any_order_and_language(keep: Keep, head: str) -> None:
    assert people(keep(f"{head}\nA,ann@uni.example,Ann Müller\n")) == EXPECTED


@pytest.mark.parametrize("head", ["First name,Last name,Email address,Groups", "Vorname,Nachname,E-Mail,Gruppe",
                                  "Vorname,Name,Mail,Gruppe", "Prénom,Nom,Courriel,Groupe"])  # fmt: skip
def test_first_and_last_name_are_put_together(keep: Keep, head: str) -> None:
    assert people(keep(f"{head}\nAnn,Müller,ann@uni.example,A\n")) == EXPECTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@uni.example\nbo@uni.example", [("ann@uni.example", "", ""), ("bo@uni.example", "", "")]),
        ("ann@uni.example;Ann Müller;A", EXPECTED),
        ("Ann Müller\tann@uni.example", [("ann@uni.example", "Ann Müller", "")]),
        ("Ann Müller <ann@uni.example>", [("ann@uni.example", "Ann Müller", "")]),
        ('"Müller, Ann" <ann@uni.example>, Bo <bo@uni.example>', [("ann@uni.example", "Müller, Ann", ""), ("bo@uni.example", "Bo", "")]),
        ("Ann <ann@uni.example>; Bo <bo@uni.example>", [("ann@uni.example", "Ann", ""), ("bo@uni.example", "Bo", "")]),
    ],
)  # fmt: skip
def test_a_list_without_heads_is_read_too(keep: Keep, text: str, expected: list[tuple[str, str, str]]) -> None:
    assert people(keep(text)) == expected


def test_addresses_are_kept_small_and_without_the_name_before_them(keep: Keep) -> None:
    upload = keep('email\n"Ann Müller <Ann@UNI.example>"\n BO@uni.example \nmailto:chi@uni.example\n')
    assert people(upload) == [
        ("ann@uni.example", "Ann Müller", ""),
        ("bo@uni.example", "", ""),
        ("chi@uni.example", "", ""),
    ]


def test_only_chosen_columns_are_kept_as_notes_and_numbers_as_they_look(load: Any, course: Any) -> None:
    """Marks are nobody's business here: a column that nobody has asked for is not kept."""
    rows = [["mail", "Student number", "Score"], ["ann@uni.example", 10001, 1.5]]
    load(workbook(rows))
    assert course.instance.roster.get().notes == {}
    load(workbook(rows), choices=Choices(columns={0: "email", 2: "note"}))
    assert course.instance.roster.get().notes == {"Score": "1.5"}
    rows[1][1:] = [10002, 2]
    load(workbook(rows))
    assert course.instance.roster.get().notes == {"Score": "2"}, "what is a note of the roster already stays one"


# Wrong lines ------------------------------------------------------------------------------------------------------------


def test_the_same_address_twice_counts_once_also_in_capitals(keep: Keep) -> None:
    upload = keep("email,name\nann@uni.example,Ann\nbo@uni.example,Bo\nANN@uni.example,Anna\n")
    assert wrong(upload) == {4: "Same address as row 2, which is used instead."}
    assert [line[0] for line in people(upload)] == ["ann@uni.example", "bo@uni.example"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ann.uni.example,,,", "“ann.uni.example” is not an e-mail address."),
        ("ann@,,,", "“ann@” is not an e-mail address: the domain after the @ is missing."),
        ("a@b.example c@d.example,,,", "“a@b.example c@d.example” contains more than one e-mail address."),
        (",Ann,,", "The e-mail address is missing."),
        ("ann@uni.example,Ann\u202egnp,A,", "The cell “name” contains a character that cannot be displayed."),
        ("ann@uni.example,Ann,A,,extra", "This row has 5 cells, but the list has 4 columns."),
    ],
)  # fmt: skip
def test_a_wrong_line_is_told_with_its_number_and_reason(keep: Keep, line: str, problem: str) -> None:
    upload = keep(f"e-mail,name,section,role\nbo@uni.example,Bo,A,\n{line}\n")
    assert wrong(upload) == {3: problem}
    assert people(upload) == [("bo@uni.example", "Bo", "A")]


@pytest.mark.parametrize(
    ("head", "cell", "problem"),
    [
        ("cpu", "lots", "“lots” is not a valid value for CPU. Use a number such as 2 or 0.5."),
        ("cpu", "-1", "“-1” is not a valid value for CPU. Use a number such as 2 or 0.5."),
        ("cpu", "NaN", "“NaN” is not a valid value for CPU. Use a number such as 2 or 0.5."),
        ("memory", "8 TB", "“8 TB” is not a valid value for memory. Use a number such as 8 (GiB)."),
        ("gpus", "0.5", "“0.5” has too many decimal places for GPUs. Use a number such as 0 or 1."),
        ("cpu", "999999999", "“999999999” is out of range for CPU."),
        ("lifetime", "0", "“0” is out of range for longest lifetime."),
    ],
)
def test_a_limit_that_is_no_number_is_told(keep: Keep, head: str, cell: str, problem: str) -> None:
    assert wrong(keep(f"e-mail,{head}\nann@uni.example,{cell}\n")) == {2: problem}


def test_limits_are_read_in_the_units_of_people(load: Any, course: Any) -> None:
    load("e-mail;cpu;memory;gpus;running;lifetime\nann@uni.example;0,5;8 GiB;1;2;1 d\n")
    assert course.instance.roster.get().limits == {
        "cpu_millis": 500, "memory_mib": 8192, "gpus": 1, "running": 2, "lifetime_minutes": 1440,
    }  # fmt: skip


# Refused as a whole -----------------------------------------------------------------------------------------------------


def refusal(keep: Keep, content: bytes | str, **more: Any) -> str:
    with pytest.raises(Refusal) as caught:
        keep(content, **more)
    assert not RosterUpload.objects.exists()
    return caught.value.message


SAVE_AS = " Save the list as CSV or as an Excel workbook (.xlsx), and upload that file."
SHEET = {"xl__workbook_dot_xml": b"<workbook/>"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty."),
        (b" \r\n\r\n ", "The file is empty."),
        (b"\xef\xbb\xbf", "The list is empty."),
        (b",,\n,,\n", "The list is empty."),
        (b"e-mail,name\n", "The list has only a row of column names, and no people."),
        (b"e-mail\na@b.example\0\n", "This is not a text table." + SAVE_AS),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old", "This file is in an old Excel format or is protected by a password." + SAVE_AS),
        (b"%PDF-1.7 ...", "This is a PDF, not a table." + SAVE_AS),
        (b"\x89PNG\r\n", "This is a picture, not a table." + SAVE_AS),
        (b"PK\x03\x04 broken", "This workbook cannot be read; it may be damaged." + SAVE_AS),
        (packed(word__document_dot_xml=b"<x/>"), "This is not an Excel workbook." + SAVE_AS),
        (packed(mimetype=b"application/vnd.oasis.opendocument.spreadsheet", content_dot_xml=b"<x/>"), "This is a LibreOffice file." + SAVE_AS),
        (packed(**SHEET, xl__vbaProject_dot_bin=b"x"), "This workbook contains macros." + SAVE_AS),
        (packed(**SHEET), "This workbook cannot be read; it may be damaged." + SAVE_AS),
        (packed(**SHEET, xl__a_dot_xml=b"0" * (101 * 2**20)), "This workbook is too large when unpacked (101 MiB)." + SAVE_AS),
    ],
    ids=["empty", "blank", "only a mark", "only separators", "nobody", "null", "old excel", "pdf", "picture", "damaged", "word",
         "libreoffice", "macros", "no sheets", "zip bomb"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_what_to_do(keep: Keep, content: bytes, message: str) -> None:
    assert refusal(keep, content) == message


def test_a_workbook_that_unfolds_entities_is_not_unfolded(keep: Keep) -> None:
    book = io.BytesIO(workbook([["e-mail"], ["ann@uni.example"]]))
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><worksheet><sheetData><row>'
    bomb += b'<c t="inlineStr"><is><t>&b;</t></is></c></row></sheetData></worksheet>'
    file = io.BytesIO()
    with zipfile.ZipFile(book) as source, zipfile.ZipFile(file, "w") as target:
        for part in source.infolist():
            target.writestr(part, bomb if "sheet1" in part.filename else source.read(part))
    assert "cannot be read" in refusal(keep, file.getvalue())


def replaced(part: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one person, of which one part is another."""
    file = io.BytesIO()
    book = io.BytesIO(workbook([["e-mail"], ["ann@uni.example"]]))
    with zipfile.ZipFile(book) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for found in source.infolist():
            content = source.read(found)
            target.writestr(found.filename, change(content) if found.filename == part else content)
        if part not in source.namelist():
            target.writestr(part, change(b""))
    return file.getvalue()


SHEET_1 = "xl/worksheets/sheet1.xml"
SST = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">%s</sst>'


def more_rows(rows: bytes) -> bytes:
    return replaced(SHEET_1, lambda sheet: sheet.replace(b"</sheetData>", rows + b"</sheetData>"))


VALUE = b'<c t="inlineStr"><is><t>x</t></is></c>'
TOO_MUCH = "This workbook contains far more than a list of people."


@pytest.mark.parametrize(
    "content",
    [
        replaced("xl/styles.xml", lambda part: part + b" " * 2**20),
        replaced("xl/styles.xml", lambda part: part.replace(b"</cellXfs>", b"<xf/>" * 50_000 + b"</cellXfs>")),
        replaced("xl/sharedStrings.xml", lambda _: SST % (b"<si/>" * 500_001)),
        replaced("xl/sharedStrings.xml", lambda _: SST % (b"<si>" + b"<r/>" * 50_000 + b"</si>")),
        replaced("xl/workbook.xml", lambda part: part.replace(b"</workbook>", b"<x/>" * 50_000 + b"</workbook>")),
        more_rows(b"<row>" + b"<c/>" * 50_000 + b"</row>"),
        more_rows(b"<x:row xmlns:x='y'>" + b"<c/>" * 50_000 + b"</x:row>"),
        more_rows(b"<row/>" * 100_000),
        more_rows(b"<row><c><v>" + b"1" * 4_000_001 + b"</v></c></row>"),
    ],
    ids=["large styles", "many styles", "many texts", "one text of many", "another part", "one row", "with a prefix",
         "many rows", "one long value"],
)  # fmt: skip
def test_a_workbook_that_would_fill_the_memory_is_refused(keep: Keep, content: bytes) -> None:
    assert refusal(keep, content).startswith(TOO_MUCH)


def test_no_more_of_a_workbook_is_looked_at_than_of_twenty_thousand_people(keep: Keep, monkeypatch: Any) -> None:
    monkeypatch.setattr("accounts.services.roster.workbooks.MOST_ELEMENTS", 1_000)
    keep(workbook([["e-mail"], ["ann@uni.example"]]))
    RosterUpload.objects.all().delete()
    rows = [[f"p{number}@uni.example"] for number in range(400)]
    assert refusal(keep, workbook([["e-mail"], *rows])).startswith(TOO_MUCH)


@pytest.mark.parametrize("row", [1_048_576, 2_000_000_000])
def test_something_far_below_the_list_is_refused_at_once_and_empty_rows_are_not(keep: Keep, row: int) -> None:
    told = f"Row {row:,}, far below the list, is not empty. Only rows up to 40,000 are read. Copy only the list"
    assert refusal(keep, more_rows(b'<row r="%d">%s</row>' % (row, VALUE))).startswith(told)
    upload = keep(more_rows(b'<row r="%d" ht="15"><c s="0"/></row>' % row))
    assert [email for email, *_ in people(upload)] == ["ann@uni.example"]


def test_a_row_that_is_no_number_is_damaged(keep: Keep) -> None:
    assert "it may be damaged" in refusal(keep, more_rows(b'<row r="x"/>'))
    assert "it may be damaged" in refusal(keep, more_rows(b'<row r="inf"/>'))


def test_columns_beyond_those_that_are_read_are_left_out(keep: Keep) -> None:
    cells = ["x"] * 1000
    assert people(keep(workbook([["e-mail", *cells], ["ann@uni.example", *cells]])))
    assert people(keep(f"e-mail,{','.join(cells)}\nann@uni.example,{','.join(cells)}\n"))
    assert people(keep(workbook([["e-mail"], ["ann@uni.example", "", "beside the list"]])))


def test_many_addresses_on_one_line_are_read_in_a_moment(keep: Keep) -> None:
    parts = [f'"Lee; Ann" <p{number}@uni.example>' for number in range(10_000)]
    begun = time.process_time()
    found = list(rows_of_addresses("; ".join(parts)))
    assert time.process_time() - begun < 3, "as long as the square of their number would be a minute"
    assert [row.cells for row in found[:2]] == [["p0@uni.example", "Lee; Ann"], ["p1@uni.example", "Lee; Ann"]]
    assert len(found) == 10_000
    text = 'Ann Lee <ann@uni.example>; "Berg; Bo" <bo@uni.example>; c@uni.example'
    assert [(email, name) for email, name, _ in people(keep(text))] == [
        ("ann@uni.example", "Ann Lee"), ("bo@uni.example", "Berg; Bo"), ("c@uni.example", ""),
    ]  # fmt: skip


def test_a_list_with_too_many_lines_is_refused(keep: Keep, settings: Any) -> None:
    settings.ROSTER_MAX_LINES = 5
    lines = "\n".join(f"p{number}@uni.example" for number in range(6))
    assert refusal(keep, f"e-mail\n{lines}") == "The list has more than 5 people. Please upload it in parts."


def test_a_file_that_is_too_large_is_refused_by_the_service_too(keep: Keep, settings: Any) -> None:
    settings.ROSTER_MAX_MB = 1
    assert refusal(keep, b"e" * (2**20 + 1)).startswith("The file is too large: the limit is 1 MiB.")
