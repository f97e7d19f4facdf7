"""Colours that can be read, whatever accent an instance chooses: contrast as WCAG 2.2 defines it."""

from __future__ import annotations

#: The papers of the light and the dark theme in site.css, on which the accent is written.
LIGHT_GROUND, DARK_GROUND = "#f5f6f9", "#191f2d"
#: WCAG 2.2, 1.4.3: text of ordinary size.
READABLE = 4.5


def ink_on(ground: str) -> str:
    """Black or white, whichever can be read better on `ground`."""
    return max("#ffffff", "#000000", key=lambda ink: contrast(ink, ground))


def readable_on(colour: str, ground: str) -> str:
    """`colour` itself, or as little darker (on a light ground) or lighter as makes it readable there."""
    goal = 0 if luminance(ground) > 0.4 else 255
    channels = _channels(colour)
    for part in range(21):
        mixed = _hex([round(value + (goal - value) * part / 20) for value in channels])
        if contrast(mixed, ground) >= READABLE:
            return mixed
    return _hex([goal] * 3)


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb", from 0 to 1."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def _hex(channels: list[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in channels)
