"""Filters for the console's templates."""

from __future__ import annotations

import datetime

from django import template
from django.utils.dateparse import parse_datetime

register = template.Library()


@register.filter
def moment(text: str | None) -> datetime.datetime | None:
    """A time that stands in JSON, such as a cluster's; None when it is not one."""
    return parse_datetime(text) if text else None
