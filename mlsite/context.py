"""What every page's template may use."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    """The site's own name, and whether the person has something to do in the console."""
    return {"site_title": settings.SITE_TITLE}
