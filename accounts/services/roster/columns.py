"""Which column of a table is what: by its head, in the languages and words of the lists that people have."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from labs.errors import Refusal
from labs.services.export import original

from .files import HIDDEN, Cell

#: Heads as people write them, small and without signs and spaces.
ALIASES = {
    "email": """email mail emailaddress emailadresse mailadresse emailadres adressemail adresseemail adresseelectronique
        courriel correo correoelectronico direcciondecorreo correio eposta epost posta indirizzoemail contactemail
        studentemail primaryemail institutionalemail universityemail emailid sisemail eadresse メール メールアドレス 邮箱
        电子邮件 电子邮箱 이메일""",
    "name": """name fullname displayname student studentname studentin participant participantname teilnehmer teilnehmerin
        vollername nomcomplet nombrecompleto nomecompleto nomecognome naam vollstandigername 姓名 氏名 名前 이름""",
    "given": "firstname givenname givennames forename vorname vornamen prenom prenoms nombre nombres voornaam nomeproprio",
    "family": """lastname surname familyname nachname familienname nom nomdefamille apellido apellidos cognome achternaam
        sobrenome apelido""",
    "section": """section sections group groups gruppe gruppen groupe groupes grupo grupos gruppo class klasse tutorial
        tutorium tutorialgroup ubung ubungsgruppe labsection cohort team turma abschnitt seccion sezione 组 班级""",
    "role": "role roles rolle rol ruolo funktion fonction",
    "cpu": "cpu cpus cores cpucores cpuscores kerne coeurs",
    "memory": "memory ram memorygib memorygb ramgib ramgb speicher arbeitsspeicher memoire memoria",
    "gpus": "gpu gpus",
    "running": "running services servicesatonce labs labsatonce runninglabs",
    "lifetime": "lifetime longestlifetime lifetimehours lifetimeh longestlifetimehours hours",
}  # fmt: skip
LIMITS = ("cpu", "memory", "gpus", "running", "lifetime")
WORDS = {
    "email": "e-mail", "name": "name", "given": "first name", "family": "last name", "section": "section", "role": "role",
    "cpu": "CPU", "memory": "memory", "gpus": "GPUs", "running": "services at once", "lifetime": "longest lifetime",
}  # fmt: skip
LONGEST_HEAD = 60
#: What our own export tells beside, and nobody can change by a file: "(state)".
ASIDE = re.compile(r"\(.*\)")


@dataclass(frozen=True)
class Columns:
    """What each column of a table is: a key of WORDS, "" for one that is left out, or a note under its own head."""

    keys: list[str]
    notes: dict[int, str] = field(default_factory=dict)
    #: The first row names the columns; otherwise it is a person already.
    has_head: bool = True

    @property
    def found(self) -> set[str]:
        return {key for key in self.keys if key}

    @property
    def in_words(self) -> list[str]:
        """What was understood, in the order of the table."""
        named = [WORDS[key] if key else self.notes.get(place, "") for place, key in enumerate(self.keys)]
        return [name for name in named if name]


def normal(head: str) -> str:
    """A head without capitals, accents, signs and spaces, and without a remark in brackets."""
    head = re.sub(r"[\[(].*?[\])]", "", head) or head
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", head) if not unicodedata.combining(letter))
    # NFKD takes syllables of Hangul and voiced kana apart; put together again, they are as they stand in the table above.
    return unicodedata.normalize("NFC", re.sub(r"[\W_]+", "", plain.lower()))


KNOWN = {normal(alias): column for column, aliases in ALIASES.items() for alias in aliases.split()}


def understand(first: Sequence[str | Cell]) -> Columns:
    """The columns by the first row of a table. Raises Refusal when no column can be the e-mail, or two are."""
    heads = [HIDDEN.sub("", original(str(cell))).strip() for cell in first]
    keys = [KNOWN.get(normal(head), "") for head in heads]
    if "email" not in keys:
        if any("@" in head for head in heads):
            return _without_head(heads)
        named = ", ".join(f"“{head[:30]}”" for head in heads[:8] if head) or "nothing"
        raise Refusal(
            f"There is no column with the e-mail. The first line must name the columns, one of them “e-mail”; it says {named}.",
            code="no-email",
        )
    keys = _names(keys)
    for key in set(keys) - {""}:
        if keys.count(key) > 1:
            two = " and ".join(f"“{head[:30]}”" for head, found in zip(heads, keys, strict=True) if found == key)
            raise Refusal(f"Two columns could be the {WORDS[key]}: {two}. Please keep one.", code="columns-twice")
    return Columns(keys, _notes(heads, keys))


def _names(keys: list[str]) -> list[str]:
    """“Name” beside “First name” is the last name; a last name alone is the name."""
    if "given" in keys and "family" not in keys:
        return ["family" if key == "name" else key for key in keys]
    if "family" in keys and "given" not in keys and "name" not in keys:
        return ["name" if key == "family" else key for key in keys]
    return keys


def _notes(heads: list[str], keys: list[str]) -> dict[int, str]:
    notes: dict[int, str] = {}
    for place, (head, key) in enumerate(zip(heads, keys, strict=True)):
        name = " ".join(head.split())[:LONGEST_HEAD]
        if key or not name or ASIDE.fullmatch(name):
            continue
        if name in notes.values():
            raise Refusal(f"Two columns are called “{name}”. Please rename one.", code="columns-twice")
        notes[place] = name
    return notes


def _without_head(cells: list[str]) -> Columns:
    """A list without heads: the address, then name and section in the order in which they come."""
    places = [place for place, cell in enumerate(cells) if "@" in cell]
    if len(places) > 1:
        raise Refusal(
            "The first line must name the columns: it has more than one address, and which counts cannot be told.",
            code="no-email",
        )
    others = [place for place in range(len(cells)) if place not in places]
    if len(others) > 2:
        raise Refusal(
            f"The first line must name the columns, such as: e-mail, name, section. This list has {len(cells)} columns.",
            code="no-head",
        )
    keys = [""] * len(cells)
    keys[places[0]] = "email"
    for place, key in zip(others, ("name", "section"), strict=False):
        keys[place] = key
    return Columns(keys, has_head=False)
