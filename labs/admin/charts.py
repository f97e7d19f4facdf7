"""Plots, drawn on the server as SVG: they need no script, follow light and dark, and can be read as a table.

A plot stretches with its page, so text stands beside the SVG and never in it. Coordinates are those of its viewBox.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from accounts.services.growth import Point
from k8s.resources import number

WIDTH, HEIGHT = 1000, 100
STEPS = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Series:
    name: str
    values: Sequence[float]
    #: Each value holds until the next one, as an hour's average does; else they are joined.
    is_stepped: bool = False

    def points(self, top: float) -> list[tuple[float, float]]:
        count = len(self.values)
        if self.is_stepped:
            width = WIDTH / count
            return [(x, _y(value, top)) for at, value in enumerate(self.values) for x in (at * width, (at + 1) * width)]
        if count == 1:
            return [(0, _y(self.values[0], top)), (WIDTH, _y(self.values[0], top))]
        return [(at * WIDTH / (count - 1), _y(value, top)) for at, value in enumerate(self.values)]


@dataclass(frozen=True)
class Shape:
    """One series as the template draws it."""

    name: str
    line: str
    area: str


@dataclass(frozen=True)
class Chart:
    """`key` is unique on its page. `text` says in a sentence what is to be seen; `head` and `rows` are the same as a table."""

    key: str
    title: str
    text: str
    series: Sequence[Series]
    ticks: Sequence[str]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    #: A level that is not to be passed; None where there is none.
    limit: float | None = None
    limit_text: str = ""
    hints: Sequence[str] = field(default_factory=list)

    @property
    def top(self) -> float:
        """The end of the scale: a round number that nothing is above."""
        most = max([*(value for series in self.series for value in series.values), self.limit or 0, 1])
        power = 10 ** math.floor(math.log10(most))
        return float(next(step * power for step in STEPS if step * power >= most - 1e-9))

    @property
    def most(self) -> str:
        return plain(max(value for series in self.series for value in series.values))

    @property
    def scale(self) -> list[str]:
        return [plain(self.top), plain(self.top / 2), "0"]

    @property
    def shapes(self) -> list[Shape]:
        return [_shape(series, self.top) for series in self.series]

    @property
    def limit_line(self) -> str:
        return "" if self.limit is None else f"M0 {_y(self.limit, self.top):.2f}H{WIDTH}"

    @property
    def bands(self) -> list[tuple[str, str, str]]:
        """Where a pointer rests to read one value: left edge, width, words."""
        width = WIDTH / max(1, len(self.hints))
        return [(f"{at * width:.2f}", f"{width:.2f}", text) for at, text in enumerate(self.hints)]


def _y(value: float, top: float) -> float:
    return HEIGHT - HEIGHT * min(value, top) / top


def _shape(series: Series, top: float) -> Shape:
    line = "L".join(f"{x:.2f} {y:.2f}" for x, y in series.points(top))
    return Shape(series.name, f"M{line}", f"M0 {HEIGHT}L{line}L{WIDTH} {HEIGHT}Z")


def plain(value: float) -> str:
    """At most one decimal, and none where it says nothing."""
    return number(Decimal(str(round(value, 1))))


def cores_chart(
    key: str, values: Sequence[float], hours: Sequence[datetime.datetime], limit: float | None = None
) -> Chart:
    """Cores in use over the last days, hour by hour; as a table, day by day."""
    days: dict[datetime.date, list[float]] = {}
    for hour, value in zip(hours, values, strict=True):
        days.setdefault(hour.date(), []).append(value)
    most, now = max(values), values[-1]
    text = f"{plain(now)} in this hour, {plain(most)} at peak."
    return Chart(
        key=key,
        title="Cores in use, last 7 days",
        text=text + (f" The limit is {plain(limit)}." if limit is not None else ""),
        series=[Series("Cores in use", values, is_stepped=True)],
        ticks=[f"{day:%a %-d}" for day in list(days)[1:]],
        head=["Day", "Average", "Hourly peak"],
        rows=[[f"{day:%a %-d %b}", plain(sum(found) / len(found)), plain(max(found))] for day, found in days.items()],
        limit=limit,
        limit_text=f"Limit: {plain(limit)}" if limit is not None else "",
        hints=[f"{hour:%a %-d %b, %H:%M}: {plain(value)}" for hour, value in zip(hours, values, strict=True)],
    )


def growth_chart(key: str, points: Sequence[Point]) -> Chart | None:
    """People over time; None where there is nobody yet."""
    if not points:
        return None
    last = points[-1]
    marks = sorted({round(at * (len(points) - 1) / 4) for at in range(5)})
    return Chart(
        key=key,
        title="Members over time",
        text=f"{last.registered} registered, {last.approved} of them approved.",
        series=[
            Series("Registered", [point.registered for point in points]),
            Series("Approved", [point.approved for point in points]),
        ],
        ticks=[f"{points[at].day:%-d %b}" for at in marks],
        head=["Day", "Registered", "Approved"],
        rows=[[f"{point.day:%-d %b %Y}", str(point.registered), str(point.approved)] for point in points],
        hints=[f"{p.day:%-d %b %Y}: {p.registered} registered, {p.approved} approved" for p in points],
    )
