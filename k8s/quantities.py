"""Amounts as Kubernetes writes them ("250m", "1.5Gi") to whole numbers, and back.

The grammar is that of k8s.io/apimachinery's resource.Quantity, without the sign: nothing that we ask for or count is
negative. The client library's own parser also takes "Infinity", "1 Gi" and "-1", hence this one.
"""

import re
from decimal import ROUND_CEILING, Decimal

_QUANTITY = re.compile(
    r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?"
)
_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
_LARGEST = 2**63 - 1


def cpu_millis(text: str | int) -> int:
    """Thousandths of a CPU, rounded up: "250m" is 250, "2" and 2 are 2000. Raises ValueError."""
    return _whole(_parse(text) * 1000, text)


def memory_bytes(text: str | int) -> int:
    """Bytes, rounded up: "512Mi" is 536870912, "1G" is 1000000000. Raises ValueError."""
    return _whole(_parse(text), text)


def memory_mib(text: str | int) -> int:
    """Mebibytes, rounded up: "1Gi" is 1024. Raises ValueError."""
    return -(-memory_bytes(text) // 2**20)


def count(text: str | int) -> int:
    """A number of things, such as pods or GPUs: "3" is 3, "1k" is 1000. Raises ValueError for a part of one."""
    parsed = _parse(text)
    if parsed != parsed.to_integral_value():
        raise ValueError(f"not a whole number: {str(text)[:40]!r}")
    return _whole(parsed, text)


def format_cpu(millis: int) -> str:
    """The shortest way to write thousandths of a CPU: 250 is "250m", 2000 is "2"."""
    _require_positive(millis)
    return f"{millis // 1000}" if millis % 1000 == 0 else f"{millis}m"


def format_memory(size: int) -> str:
    """The shortest exact way to write bytes in binary units: 536870912 is "512Mi"."""
    _require_positive(size)
    for power, letter in reversed(list(enumerate("KMGTPE", start=1))):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{letter}i"
    return str(size)


def _parse(text: str | int) -> Decimal:
    match = _QUANTITY.fullmatch(str(text)) if isinstance(text, str | int) and not isinstance(text, bool) else None
    if match is None:
        raise ValueError(f"not a quantity: {str(text)[:40]!r}")
    number, suffix, exponent = match.groups()
    return Decimal(number) * (_SUFFIX[suffix] if suffix else Decimal(10) ** int(exponent or 0))


def _whole(value: Decimal, text: str | int) -> int:
    if value > _LARGEST:
        raise ValueError(f"too large: {str(text)[:40]!r}")
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def _require_positive(value: int) -> None:
    if value < 0:
        raise ValueError(f"negative: {value}")
