"""Cores, GiB and hours: the units in which people think, over the whole numbers in which the rows count."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from labs.services.admission import number


@dataclass(frozen=True)
class Scale:
    """`factor` of the row's units make one of the person's."""

    factor: int
    label: str
    unit: str
    help_text: str = ""

    def shown(self, value: int | None) -> str:
        """A number without needless zeros; empty for no limit."""
        return "" if value is None else number(Decimal(value) / self.factor)

    def text(self, value: int | None) -> str:
        """With its unit, for a sentence or a table."""
        if value is None:
            return "no limit"
        unit = self.unit.removesuffix("s") if value == self.factor else self.unit
        return f"{self.shown(value)} {unit}"


#: Of the fields of Quota and Workload.
SCALES = {
    "cpu_millis": Scale(1000, "CPU", "cores"),
    "memory_mib": Scale(1024, "Memory", "GiB"),
    "lifetime_minutes": Scale(60, "Longest lifetime", "hours", "Including extensions."),
}


class ScaledField(forms.DecimalField):
    """A whole number of small units, shown and asked for in the person's units."""

    def __init__(self, *, scale: Scale, most: int | None = None, **kwargs: Any) -> None:
        self.scale = scale
        super().__init__(
            label=f"{scale.label} ({scale.unit})",
            help_text=kwargs.pop("help_text", scale.help_text),
            min_value=Decimal(0),
            max_value=Decimal(most) / scale.factor if most else None,
            widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any", "class": "c-number"}),
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        return self.scale.shown(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        """Rounded to the row's unit: a thousandth of a core, a MiB, a minute."""
        asked = super().clean(value)
        return None if asked is None else round(asked * self.scale.factor)

    def has_changed(self, initial: Any, data: Any) -> bool:
        if self.disabled:
            return False
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


def scaled_formfield(db_field: Any) -> ScaledField | None:
    """The form field of a scaled model field; None for any other."""
    scale = SCALES.get(db_field.name)
    if scale is None:
        return None
    most = min((v.limit_value for v in db_field.validators if isinstance(v, MaxValueValidator)), default=None)
    return ScaledField(scale=scale, most=most, required=not db_field.blank)


def duration(span: datetime.timedelta) -> str:
    """In words: 2 d 3 h, 3 h 20 min, 12 min, under a minute."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "under a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (rest, "min")] if not days else [(days, "d"), (hours, "h")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)
