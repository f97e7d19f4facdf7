"""Domains of e-mail addresses, as people write them: one a line."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts import addresses
from labs.models.instance import DOMAIN

HELP = (
    "One per line, such as uni.example. If access by domain is chosen above, people with a confirmed address there get access "
    "right away. Only exact matches count: student.uni.example is a different domain."
)


class DomainsField(forms.CharField):
    """A list of domains in small letters; an @ before one, commas and repetitions are forgiven."""

    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false", "placeholder": "uni.example"})
        super().__init__(required=False, label="Domains", help_text=HELP, max_length=5000, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        words = re.split(r"[\s,;]+", super().to_python(value) or "")
        return list(dict.fromkeys(_domain(word) for word in words if word))

    def validate(self, value: list[str]) -> None:
        if wrong := [item for item in value if not DOMAIN.fullmatch(item)]:
            raise ValidationError(
                "Not a domain: %(item)s. Enter one domain per line, such as uni.example.", params={"item": wrong[0]}
            )

    def run_validators(self, value: Any) -> None:
        """Those of a text are of no use to a list."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.to_python(data) != (initial or [])
        except ValidationError:
            return True


def _domain(word: str) -> str:
    """In the form that domains have in addresses; what is none stays as it is, and is refused by `validate`."""
    try:
        return addresses.domain(word)
    except addresses.BadAddress:
        return word
