"""Days in forms of the console: chosen in the browser's calendar, and read in one form only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models
from unfold.widgets import INPUT_CLASSES

ISO = "%Y-%m-%d"


def day_field(db_field: Any) -> forms.DateField | None:
    """The form field of a day; None for fields of other kinds.

    No form but 2026-05-12 is read: 12/05/2026 is the twelfth of May to some people and the fifth of December to others.
    """
    if not isinstance(db_field, models.DateField) or isinstance(db_field, models.DateTimeField):
        return None
    return forms.DateField(
        label=db_field.verbose_name.capitalize(),
        help_text=db_field.help_text,
        required=not db_field.blank,
        input_formats=[ISO],
        widget=forms.DateInput(attrs={"type": "date", "class": " ".join(INPUT_CLASSES)}, format=ISO),
        error_messages={
            "invalid": "Choose the day in the calendar, or enter it as year, month and day, such as 2026-05-12."
        },
    )
