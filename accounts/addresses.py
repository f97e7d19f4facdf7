"""E-mail addresses in one form, whoever wrote them down: the same mailbox is always the same text.

People copy addresses out of mails, PDFs and spreadsheets, with signs that nobody sees, full-width punctuation or curly quotes,
and write a domain with its umlaut or as `xn--`. Whatever compares, keeps or looks up an address brings it into this form first.
Pure functions, below the models; only a proof (a code that was answered, a provider's word) makes an address somebody's.
"""

from __future__ import annotations

import re
import unicodedata

import idna

#: Characters of an address, and of a text that is looked at as one.
LONGEST, LONGEST_TEXT = 254, 1000
#: Signs without a shape of their own: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties, 15.0), and the empty Braille cell.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
#: Of these, the two that mean something inside words of some scripts.
JOINERS = re.compile("[\u200c\u200d]")
#: Accents that stand alone, which Unicode would join to the letter before them.
MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
#: Scripts whose letters pass for Latin ones. No registry lets a name mix them.
LOOK_ALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
#: What input methods and word processors write in the place of plain punctuation.
PLAIN: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(map(ord, "。｡"), "."), **dict.fromkeys(map(ord, "、､"), ","), **dict.fromkeys(map(ord, "‘’‚‛ʼ′"), "'"),
    **dict.fromkeys(map(ord, "“”„‟«»″"), '"'), **dict.fromkeys(map(ord, "〈《⟨"), "<"), **dict.fromkeys(map(ord, "〉》⟩"), ">"),
}  # fmt: skip
#: Around an address in a list or a sentence. No mailbox begins or ends with one of these.
AROUND = " \t\r\n\v\f,;:<>()[]\"'."
LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
WORDS = {
    " ": "a space",
    ",": "a comma",
    ";": "a semicolon",
    '"': "a quotation mark",
    "\t": "a tab",
    "\n": "a line break",
}


class BadAddress(ValueError):
    """The text is no e-mail address. Its message is a sentence for whoever wrote it, and names the sign that is wrong."""


def normalised(text: str) -> str:
    """The address in its one form: small letters, no sign that cannot be seen, the domain in ASCII (`xn--`).

    `text`: as somebody typed it, or as a file or a provider has it; one address. Raises BadAddress, with a sentence.
    """
    shown = _shown(text)
    kept = _plain(text) if len(text) <= LONGEST_TEXT else ""
    if found := MARKS.search(kept):
        raise BadAddress(_sentence(found[0], shown))
    local, at, host = kept.rpartition("@")
    if not at:
        raise BadAddress(f"“{shown}” is not an e-mail address.")
    if "@" in local:
        raise BadAddress(f"“{shown}” contains more than one e-mail address.")
    local = local.rstrip(" ").translate({ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
    _refuse_sign(local, shown)
    address = f"{local}@{_domain(host.lstrip(' '), text, shown)}"
    if not LOCAL.fullmatch(local) or len(address) > LONGEST:
        raise BadAddress(f"“{shown}” is not an e-mail address.")
    return address


def searched(text: str) -> str:
    """The form under which an address is looked up: the normal one, or for what is no address the text in small letters, so that an
    account of long ago, whose address would be refused today, is still found. Raises nothing.
    """
    try:
        return normalised(text)
    except BadAddress:
        return text.strip().lower()


def is_as_said(text: str) -> bool:
    """Whether the mailbox stands in the text sign by sign. Where signs had to be taken out of it, somebody's word for that text is
    no proof of the address that is left.
    """
    return text.rpartition("@")[0].strip().lower() == searched(text).rpartition("@")[0]


def domain(text: str) -> str:
    """A domain by itself, such as `uni.example`, in the form that it has in addresses; also with an @ before it. Raises BadAddress."""
    return _domain(_plain(text[:LONGEST_TEXT]).removeprefix("@"), text, _shown(text))


def domain_of(address: str) -> str:
    """What stands behind the last @."""
    return searched(address).rpartition("@")[2]


def without_tag(address: str) -> str:
    """The mailbox behind `name+tag@domain`, to which the same person reads the mail."""
    local, _, host = address.lower().rpartition("@")
    return f"{local.partition('+')[0] or local}@{host}"


def _plain(text: str) -> str:
    kept = INVISIBLE.sub("", text).translate(PLAIN)
    return " ".join(kept.split()).strip(AROUND) if kept.split() else ""


def _domain(host: str, text: str, shown: str) -> str:
    host = host.lower()
    if not host.isascii() or "xn--" in host:
        if odd := _odd_letter(host, text):
            raise BadAddress(_sentence(odd, shown))
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError:
            odd = next((sign for sign in host if not sign.isalnum() and sign not in "-."), "")
            raise BadAddress(_sentence(odd, shown) if odd else _no_domain(host, shown)) from None
    labels = host.split(".")
    if len(labels) < 2 or not all(map(LABEL.fullmatch, labels)) or len(labels[-1]) < 2 or labels[-1].isdigit():
        odd = next((sign for sign in host if not sign.isascii() or not (sign.isalnum() or sign in "-.")), "")
        raise BadAddress(_sentence(odd, shown) if odd else _no_domain(host, shown))
    return host


def _odd_letter(host: str, text: str) -> str:
    """A sign that may be part of the name or not, or that stands in the place of a Latin letter."""
    if host.isascii():
        return ""
    if found := JOINERS.search(text):
        return found[0]
    mixed = "".join(label for label in host.split(".") if re.search("[a-z]", label))
    return next((sign for sign in mixed if _name(sign).upper().startswith(LOOK_ALIKE)), "")


def _refuse_sign(local: str, shown: str) -> None:
    for sign in local:
        if sign != "." and not LOCAL.fullmatch(sign):
            raise BadAddress(_sentence(sign, shown))


def _sentence(sign: str, shown: str) -> str:
    visible = f"{sign} " if sign.isprintable() and not unicodedata.combining(sign) else ""
    name = WORDS.get(sign) or f"the character {visible}({_name(sign)})"
    return f"“{shown}” contains {name}, which is not allowed in an e-mail address on this site. Type the address again."


def _no_domain(host: str, shown: str) -> str:
    if not host:
        return f"“{shown}” is not an e-mail address: the domain after the @ is missing."
    return f"“{shown}” is not an e-mail address: “{host[:80]}” is not a complete domain, such as uni.example."


def _shown(text: str) -> str:
    """As much of the text as a sentence can quote."""
    kept = " ".join(INVISIBLE.sub("", text[:LONGEST_TEXT]).split())[:80]
    return "".join(sign for sign in kept if sign.isprintable())


def _name(sign: str) -> str:
    return unicodedata.name(sign, f"U+{ord(sign):04X}").lower()
