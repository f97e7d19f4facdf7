"""What somebody has chosen about a list that was uploaded: all of it is empty as long as the site is to find out by itself."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .words import OWN_ROLES, WORDS

DOMAIN = re.compile(r"[\w.-]{1,200}")
#: Choices about columns, roles and statuses that are kept.
MOST = 400
#: What becomes of the people with a status.
STATUSES = ("in", "out")


@dataclass(frozen=True)
class Choices:
    sheet: str = ""
    encoding: str = ""
    #: The number of the row that names the columns; 0: none does.
    head: int | None = None
    #: By the place of a column, a key of WORDS or "" for one that is not used.
    columns: dict[int, str] | None = None
    #: Behind login names.
    domain: str = ""
    #: Whether hidden rows are read too.
    hidden: bool = False
    #: Whether suspended people whom the list names are let in again.
    reinstate: bool = False
    #: By the word in the file: a role of ours, or "" to leave it as it is.
    roles: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)

    def pack(self) -> dict[str, Any]:
        """What was chosen, for the data base. Row 0 is a choice, too."""
        return {key: value for key, value in asdict(self).items() if value or (key == "head" and value == 0)}

    def after(self, table: dict[str, Any]) -> Choices:
        """What still holds when the form was filled in for `table`: columns are those of a sheet, an encoding and a row of heads."""
        is_other_sheet = bool(self.sheet) and self.sheet != table.get("sheet", "")
        is_other_text = bool(self.encoding) and self.encoding != table.get("encoding", "")
        if is_other_sheet or is_other_text:
            return replace(self, head=None, columns=None)
        return replace(self, columns=None) if self.head is not None and self.head != table.get("head") else self

    @classmethod
    def unpack(cls, kept: dict[str, Any]) -> Choices:
        """From the data base, or from a form: what is not known is left out."""
        columns = kept.get("columns")
        head = str(kept.get("head", ""))
        domain = str(kept.get("domain", "")).strip().removeprefix("@")
        return cls(
            sheet=str(kept.get("sheet", ""))[:100],
            encoding=str(kept.get("encoding", ""))[:20],
            head=int(head) if head.isdecimal() and len(head) < 8 else None,
            columns=_columns(columns) if columns else None,
            domain=domain.lower() if DOMAIN.fullmatch(domain) else "",
            hidden=bool(kept.get("hidden")),
            reinstate=bool(kept.get("reinstate")),
            roles=_words(kept.get("roles"), ("", *OWN_ROLES)),
            statuses=_words(kept.get("statuses"), STATUSES),
        )


def _columns(given: Any) -> dict[int, str]:
    pairs = ((str(place), str(key)) for place, key in list(given.items())[:MOST])
    return {int(place): key for place, key in pairs if place.isdecimal() and len(place) < 4 and key in ("", *WORDS)}


def _words(given: Any, known: tuple[str, ...]) -> dict[str, str]:
    pairs = ((str(word)[:80], str(value)) for word, value in list((given or {}).items())[:MOST])
    return {word: value for word, value in pairs if value in known}
