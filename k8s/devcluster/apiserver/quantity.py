"""Amounts of resources as the API reads and writes them (k8s.io/apimachinery, resource.Quantity)."""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any

_PATTERN = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?")
MALFORMED = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_BINARY = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)}
_SMALL = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")}
_SUFFIXES = _BINARY | _DECIMAL | _SMALL


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Decimal, bool]:
    match = _PATTERN.fullmatch(text)
    if match is None or len(text) > 40:
        raise ValueError(MALFORMED)
    number, suffix, exponent = match.groups()
    factor = _SUFFIXES[suffix] if suffix else Decimal(10) ** int(exponent or 0)
    return Decimal(number) * factor, suffix in _BINARY


def parse(value: Any) -> Decimal:
    """The amount. Raises ValueError in the API's words."""
    return _parse(str(value))[0]


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    amount, binary = _parse(text)
    return show(amount, binary=binary)


def canonical(value: Any) -> str:
    """The shortest way to write the amount, in the family of units that it came in: "0.5" is "500m", "1024Mi" is "1Gi"."""
    return _canonical(str(value))


def show(amount: Decimal, *, binary: bool = False) -> str:
    """An amount in units of 1024 (`binary`) or of 1000."""
    if binary and abs(amount) >= 1024:
        amount = amount.to_integral_value(rounding=ROUND_CEILING)
        for suffix, factor in reversed(_BINARY.items()):
            if amount % factor == 0:
                return f"{int(amount / factor)}{suffix}"
        return str(int(amount))
    if amount == amount.to_integral_value():
        for suffix, factor in reversed(_DECIMAL.items()):
            if amount and amount % factor == 0:
                return f"{int(amount / factor)}{suffix}"
        return str(int(amount))
    for suffix, factor in reversed(_SMALL.items()):
        scaled = amount / factor
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int((amount / _SMALL['n']).to_integral_value(rounding=ROUND_CEILING))}n"


def is_binary(value: Any) -> bool:
    """Whether the amount is written in units of 1024."""
    return _parse(str(value))[1]
