"""Cores, GiB and hours: the units in which people think, over the whole numbers in which the rows count."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from k8s.resources import BY_KEY, Resource


class ScaledField(forms.DecimalField):
    """A whole number of small units, shown and asked for in the person's units."""

    def __init__(self, *, resource: Resource, **kwargs: Any) -> None:
        self.resource = resource
        super().__init__(
            label=resource.head,
            help_text=kwargs.pop("help_text", resource.help_text),
            min_value=Decimal(0),
            max_value=Decimal(resource.most) / resource.factor,
            widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any", "class": "c-number"}),
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        return self.resource.shown(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        """Rounded to the row's unit: a thousandth of a core, a MiB, a minute."""
        asked = super().clean(value)
        return None if asked is None else round(asked * self.resource.factor)

    def has_changed(self, initial: Any, data: Any) -> bool:
        if self.disabled:
            return False
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


def scaled_formfield(db_field: Any) -> ScaledField | None:
    """The form field of a scaled model field; None for any other."""
    resource = BY_KEY.get(db_field.name)
    if resource is None or resource.factor == 1:
        return None
    return ScaledField(resource=resource, required=not db_field.blank)


def duration(span: datetime.timedelta) -> str:
    """In words: 2 d 3 h, 3 h 20 min, 12 min, under a minute."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "under a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (rest, "min")] if not days else [(days, "d"), (hours, "h")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value)
