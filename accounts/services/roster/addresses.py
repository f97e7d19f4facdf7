"""Lists of addresses as mail programs, chats and people write them: with names, marks of lists, and any separators.

Each line is taken apart by one pass over its signs, so that the time it takes grows with its length and no faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .cells import ADDRESS, Row

#: What lists put before their points: "- ", "• ", "3. ", "3) ".
POINT = re.compile(r"\s{0,50}(?:[-*•·–—▪◦]|\d{1,5}[.)])\s{1,50}")
#: The names of the fields of a mail, in front of its addresses.
FIELD = re.compile(r"\s{0,50}(?:to|cc|bcc|from|an|von|kopie|à|a|para|de|cci)\s{0,5}:\s{0,50}", re.IGNORECASE)
#: A text in quotation marks, a word, a run of blanks, or one sign.
TOKEN = re.compile(r'"[^"]*"|[^\s"<>()\[\],;|，；、]+|\s+|.', re.DOTALL)
SEPARATORS = ",;\t|，；、"
#: What surrounds a name and is no part of it.
AROUND = " \t\"'<>,;|，；、:"


@dataclass
class Found:
    """An address with the text before it. `in_brackets`: the text is a display name, whatever commas it holds."""

    address: str
    before: str
    in_brackets: bool = False


def rows_of_addresses(text: str) -> Iterator[Row]:
    """One row a person: address, name, section. A line without an address is a row of its own, for the preview to say so."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip(AROUND):
            continue
        people, after = _people(_without_marks(line))
        if not people:
            yield Row(number, [line.strip()])
        elif len(people) == 1:
            yield Row(number, [people[0].address, *_name_and_section(people[0], after)])
        else:
            yield from (Row(number, [address, name]) for address, name in _named(people, after))


def split_one(text: str) -> tuple[str, str]:
    """The one address of a cell, and the name beside it; two empty texts where there is none, or more than one."""
    people, after = _people(text)
    if len(people) != 1:
        return "", ""
    return people[0].address, _bare(people[0].before) or _bare(after)


def _without_marks(line: str) -> str:
    for mark in (POINT, FIELD):
        if found := mark.match(line):
            line = line[found.end() :]
    return line


def _people(line: str) -> tuple[list[Found], str]:
    """The addresses of a line, and the text behind the last of them."""
    people: list[Found] = []
    before: list[str] = []
    opened = ""
    for token in TOKEN.findall(line):
        address = _address(token)
        if not address:
            opened = _opened(token, opened)
            before.append(token)
            continue
        text = "".join(before)
        before = []
        if people and opened and not text.strip(" <([\"'"):
            # `ann@x<mailto:ann@x>`, `ann@x <lee@x>`: the second says where mail goes, the first is how it looks.
            people[-1].address, people[-1].in_brackets = address, True
            continue
        people.append(Found(address, text, bool(opened)))
        opened = ""
    return people, "".join(before)


def _opened(sign: str, before: str) -> str:
    """The bracket that stands open just before the next word."""
    if sign.isspace():
        return before
    return sign if sign in ("<", "(", "[") else ""


def _address(token: str) -> str:
    """The token as an address; empty when it is none."""
    bare = token.strip("\"'").rstrip(".")
    return bare if "@" in bare and (bare.lower().startswith("mailto:") or ADDRESS.fullmatch(bare)) else ""


def _named(people: list[Found], after: str) -> Iterator[tuple[str, str]]:
    """The name of each: the text before its address or, where the line begins with an address and ends with a name, behind it."""
    texts = [one.before for one in people]
    if not _bare(texts[0]) and _bare(after):
        texts = [*texts[1:], after]
    return zip((one.address for one in people), map(_bare, texts), strict=True)


def _name_and_section(one: Found, after: str) -> list[str]:
    """Of a line with one address: `Lee, Ann <a@x>, C`, `a@x, Ann Lee, C`, `Lee, Ann, a@x`."""
    name = _bare(one.before)
    behind = [text for part in _parts(after) if (text := _bare(part))]
    if not name and behind:
        name = behind.pop(0)
    return [name, *behind[:1]]


def _parts(text: str) -> list[str]:
    """At each separator outside of quotation marks."""
    parts = [""]
    for token in TOKEN.findall(text):
        for sign in [token] if token.isspace() and "\t" not in token else token if token.isspace() else [token]:
            if sign in SEPARATORS:
                parts.append("")
            else:
                parts[-1] += sign
    return parts


def _bare(text: str) -> str:
    """A name without what stands around it. A bracket stays where it has its partner, as in “Ann Lee (Staff)”."""
    text = " ".join(text.replace("\t", ", ").split()).strip(AROUND)
    for left, right in ("()", "[]"):
        if text.startswith(left) and text.endswith(right):
            text = text[1:-1]
        if text.count(left) != text.count(right):
            text = text.strip(left + right)
    return text.strip(AROUND).replace('"', "")
