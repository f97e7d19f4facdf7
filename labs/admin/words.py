"""What an Event tells of a change, in the words and units of people."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts.models import Role, Status
from k8s.resources import BY_KEY, RESOURCES
from labs.models import EndReason, Event, Policy, State
from labs.models.instance import Kind

NAMES = {
    # What a lab has of it is told, too: "Lifetime", not "Longest lifetime".
    **{item.key: item.label if item.answer_factor else item.title for item in RESOURCES},
    "end_reason": "End reason",
    "expires_at": "Ends",
    "archived_at": "Archived",
    "starts_on": "Starts",
    "ends_on": "Last day",
    "is_public": "Listed on the home page",
    "policy": "Access",
    "email_domains": "Domains",
    "staff_may_approve": "Staff can approve requests",
    "staff_may_write": "Staff can write to members",
    "is_active": "Can sign in",
    "is_superuser": "Site administrator",
}
NOTHING = "–"
#: Values that are one of several words.
CHOICES: dict[str, dict[str, str]] = {
    name: {value: str(label) for value, label in choices.choices}
    for name, choices in {
        "state": State, "end_reason": EndReason, "role": Role, "status": Status, "policy": Policy, "kind": Kind,
    }.items()
}  # fmt: skip


def name_words(name: str) -> str:
    return NAMES.get(name) or name.replace("_", " ").capitalize()


def value_words(name: str, value: Any) -> str:
    """One value: limits with their unit, moments in the site's time zone."""
    if value in (None, "", [], {}, "None"):
        return NOTHING
    if name in CHOICES:
        return str(CHOICES[name].get(str(value), value))
    if name in BY_KEY and isinstance(value, int):
        return BY_KEY[name].text(value)
    if isinstance(value, bool) or value in ("True", "False"):
        return "yes" if value in (True, "True") else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{key}: {item}" for key, item in value.items())
    moment = parse_datetime(value) if isinstance(value, str) and name.endswith("_at") else None
    return f"{timezone.localtime(moment):%-d %b %Y, %H:%M}" if moment else str(value)


def change_words(told: dict[str, Any]) -> str:
    """One side of a change in one line."""
    return "; ".join(f"{name_words(name)}: {value_words(name, told[name])}" for name in sorted(told))


def change_lines(event: Event) -> list[tuple[str, str, str]]:
    """What became of what: name, before, after."""
    names = sorted({*event.before, *event.after})
    found = [
        (name_words(name), value_words(name, event.before.get(name)), value_words(name, event.after.get(name)))
        for name in names
    ]
    return [line for line in found if line[1:] != (NOTHING, NOTHING)]
