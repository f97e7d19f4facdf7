"""How the letters of a text file are written. What says so itself, or can be UTF-8, is sure; of the rest the reader is asked."""

from __future__ import annotations

import codecs
import unicodedata
from dataclasses import dataclass, field
from itertools import pairwise

#: What people's programs write beside Unicode.
TITLES = {
    "cp1252": "Western European (Windows)", "cp1250": "Central European (Windows)", "cp1251": "Cyrillic (Windows)",
    "cp1253": "Greek (Windows)", "cp1254": "Turkish (Windows)", "mac_roman": "Western European (Mac)",
    "cp932": "Japanese (Shift-JIS)", "gb18030": "Chinese, simplified (GBK)", "big5": "Chinese, traditional (Big5)",
    "cp949": "Korean",
}  # fmt: skip
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
#: So much is looked at to find out.
SAMPLE = 1 << 16
#: Signs that stand between the letters of a word in the west, and around words.
IN_WORDS = "’´·"
AROUND_WORDS = "‘’“”„«»–—…€§°ºª\xa0´·"


@dataclass(frozen=True)
class Decoded:
    """The text, and how it was read: a key of TITLES, or empty where there is no doubt.

    `samples`: a line with its letters, as each other way of reading shows it. `is_guess`: the way is not certain, and nothing
    of the file is to be used before somebody has looked.
    """

    text: str
    encoding: str = ""
    samples: dict[str, str] = field(default_factory=dict)
    is_guess: bool = False


def decode(content: bytes, chosen: str = "") -> Decoded:
    """The text of a file; "\\0" for what is no text. `chosen`: a key of TITLES, where somebody has said it."""
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return Decoded(content.removeprefix(mark).decode(encoding, "replace"))
    if b"\0" in content[:2000]:
        return Decoded(_without_mark(content))
    try:
        return Decoded(content.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    samples = _samples(content)
    encoding = chosen if chosen in TITLES else next(iter(samples), "cp1252")
    text = content.decode(encoding, "replace").replace("\ufffd", "?")
    is_guess = not chosen and not _is_western(content[:SAMPLE].decode("cp1252", "replace"))
    if not chosen and not is_guess:
        encoding, text = "cp1252", content.decode("cp1252", "replace").replace("\ufffd", "?")
    return Decoded(text, encoding, samples, is_guess)


def _without_mark(content: bytes) -> str:
    """Text in UTF-16 without its mark has a null in every second place; nothing else that is text has any."""
    head = content[:2000]
    encoding = "utf-16-le" if head[1::2].count(0) > head[0::2].count(0) else "utf-16-be"
    try:
        found = content.decode(encoding)
    except UnicodeDecodeError:
        return "\0"
    nulls = max(head[0::2].count(0), head[1::2].count(0))
    return found if nulls > len(head) // 4 else "\0"


def _samples(content: bytes) -> dict[str, str]:
    """A line with letters beyond ASCII in each way in which the file can be read, the likeliest first."""
    part = content[:SAMPLE]
    part = part[: part.rfind(b"\n") + 1] or part
    lines = [line for line in part.splitlines() if not line.isascii()][:200]
    found: dict[str, str] = {}
    for encoding in TITLES:
        try:
            texts = [line.decode(encoding) for line in lines]
        except UnicodeDecodeError:
            continue
        found[encoding] = "\n".join(texts)
    ranked = sorted(found, key=lambda encoding: -_likely(found[encoding], encoding))
    return {encoding: next(iter(found[encoding].split("\n")), "")[:80].strip() for encoding in ranked}


def _likely(text: str, encoding: str) -> float:
    """From 0 to 1: how many of the words with letters beyond ASCII are of one script, and look like words."""
    words = [word for word in text.replace(",", " ").replace(";", " ").split() if not word.isascii()][:500]
    if encoding == "cp1252":
        return sum(_is_western(word) for word in words) / max(len(words), 1)
    return sum(_is_word(word) for word in words) / max(len(words), 1) - 0.01 * (encoding in ("mac_roman", "cp1254"))


def _is_word(word: str) -> bool:
    letters = [sign for sign in word if not sign.isascii()]
    if not all(sign.isalpha() for sign in letters):
        return False
    scripts = {unicodedata.name(sign, "?").split(" ")[0] for sign in word if sign.isalpha()}
    cases = any(a.islower() and b.isupper() for a, b in pairwise(word))
    is_run = "LATIN" in scripts and any(
        not a.isascii() and not b.isascii() and not c.isascii()
        for a, b, c in zip(word, word[1:], word[2:], strict=False)
    )
    return len(scripts - {"HIRAGANA", "KATAKANA", "CJK"}) <= 1 and not cases and not is_run


def _is_western(text: str) -> bool:
    """Whether it looks like names of western Europe: no signs inside of words, no capitals behind small letters, no long runs."""
    run = 0
    padded = f" {text} "
    for at, sign in enumerate(text):
        if sign.isascii():
            run = 0
            continue
        before, after = padded[at], padded[at + 2]
        if sign.isalpha() and sign not in "ªº":
            run += 1
            if run > 2 or (sign.isupper() and before.islower()) or ord(sign) > 0x17F:
                return False
            continue
        run = 0
        is_inside = before.isalpha() and after.isalpha()
        if sign not in AROUND_WORDS or (is_inside and sign not in IN_WORDS):
            return False
    return True
