"""What goes beyond a limit, as data, and its sentence for each who reads it: the person who asked, or the staff about a person."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from k8s.resources import BY_KEY, MINUTES, duration, number
from labs.errors import OutOfRange, OverLimit, Refusal


@dataclass(frozen=True)
class Voice:
    """How a sentence speaks of the person and of what they asked for."""

    who: str
    whose: str
    this: str
    asks: str


PERSON = Voice("You", "your", "Your", "you asked for")
STAFF = Voice("They", "their", "This", "it asks for")

#: By code and field, or else by code.
SENTENCES = {
    ("over-own-limit", "running"): "{who} have {used} of {whose} {limit} services running. Stop one, or wait until one ends.",
    ("over-limit", "running"): "{this} {kind} has {used} of its {limit} services running. Stop one, or wait until one ends.",
    ("over-limit", "lifetime_minutes"): "At most {limit} here; {asks} {asked}.",
    ("name", "names"): "{who} have used {limit} lab names, which is the maximum.",
    "over-own-limit": "{who} have used {used} of {whose} {limit} {noun}; {asks} {asked}.",
    "over-limit": "{this} {kind} has used {used} of its {limit} {noun}; {asks} {asked}.",
    "no-room": "The machines have no room for this at the moment: {used} of their {limit} {noun} are taken; {asks} {asked}.",
    "too-large": "No machine is that large: {asks} {asked} {noun}, and at most {limit} can be had here.",
    "own-queue-full": "{who} already have {limit} {noun} waiting in {instance}, which is the maximum.",
}  # fmt: skip
#: How an answer can be outside of a range.
BOUNDS = {
    "least": "At least {amount}; {asks} {asked}.",
    "most": "At most {amount}; {asks} {asked}.",
    "step": "In steps of {amount}.",
}
NO_NAME = "No available name was found. Please try again."


def over(
    code: str, field: str, *, limit: int, used: int, asked: int, instance: Any = None, form_field: str = ""
) -> OverLimit:
    """The refusal, with its sentence for the person who asked; beside the field of the form that is meant, if there is one."""
    refusal = OverLimit("", code=code, field=field, limit=limit, used=used, asked=asked, instance=instance)
    refusal.message = _sentence(refusal, PERSON)
    refusal.args = (refusal.message,)
    if form_field:
        refusal.errors = {form_field: refusal.message}
    return refusal


def to_staff(refusal: Refusal) -> str:
    """The sentence of a launch that was refused, for somebody who launches for another."""
    if isinstance(refusal, OverLimit):
        return _sentence(refusal, STAFF)
    if refusal.code == "name":
        return NO_NAME
    ranges = {name: range_in_words(found, STAFF) for name, found in refusal.ranges.items()}
    return " ".join((refusal.errors | ranges).values()) or refusal.message


def _sentence(refusal: OverLimit, voice: Voice) -> str:
    pattern = SENTENCES.get((refusal.code, refusal.field)) or SENTENCES[refusal.code]
    resource = BY_KEY.get(refusal.field)
    said = resource.said if resource else str
    noun = resource.noun if resource else "lab" if refusal.limit == 1 else "labs"
    amounts = {name: said(getattr(refusal, name)) for name in ("limit", "used", "asked")}
    kind = refusal.instance.get_kind_display().lower() if refusal.instance else ""
    return pattern.format(**vars(voice), **amounts, noun=noun, kind=kind, instance=refusal.instance)


def out_of_range(bound: str, amount: Any, asked: str, unit: str) -> OutOfRange:
    """One answer, with its sentence in the units of the service's declaration."""
    most = f"{amount} {unit.removesuffix('s') if amount == 1 else unit}".strip()
    sentence = BOUNDS[bound].format(amount=most, asks=PERSON.asks, asked=asked)
    return OutOfRange(sentence, bound=bound, amount=Decimal(str(amount)), asked=asked, unit=unit)


def range_in_words(found: OutOfRange, voice: Voice = PERSON) -> str:
    """The same in the units of people: GiB, and hours or days."""

    def say(value: Decimal) -> str:
        if found.unit == "MiB":
            return f"{number(value / 1024)} GiB"
        if found.unit == MINUTES:
            return duration(int(value)) if value == int(value) and value >= 0 else f"{number(value)} minutes"
        return number(value)

    is_plain = found.unit not in ("MiB", MINUTES)
    most = f"{say(found.amount)} {found.unit if is_plain else ''}".strip()
    return BOUNDS[found.bound].format(amount=most, asks=voice.asks, asked=say(Decimal(found.asked)))
