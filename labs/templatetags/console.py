"""Filters for the console's templates."""

from __future__ import annotations

import datetime
from typing import Any

from django import template
from django.utils.dateparse import parse_datetime

register = template.Library()


@register.filter
def moment(text: str | None) -> datetime.datetime | None:
    """A time that stands in JSON, such as a cluster's; None when it is not one."""
    return parse_datetime(text) if text else None


@register.inclusion_tag("admin/parts/tabs.html")
def tabs_of(changelist: Any, parameter: str, label: str) -> dict[str, Any]:
    """One filter of a list as a row of links, which keep the other filters and the search: what is filtered is in view."""
    spec = next(spec for spec in changelist.filter_specs if getattr(spec, "parameter_name", "") == parameter)
    chosen = spec.value() or ""
    tabs = [
        {
            "title": title,
            "is_chosen": value == chosen,
            "link": changelist.get_query_string({"p": None, parameter: value or None}),
        }
        for value, title in spec.tabs
        if value == chosen or value not in spec.kept_back
    ]
    return {"label": label, "tabs": tabs}
