"""What every page's template may use."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from labs.models import Instance

#: For `<meta name="htmx-config">`: no evaluated expressions, no style element of its own, no other site.
HTMX = {"allowEval": False, "includeIndicatorStyles": False, "selfRequestsOnly": True, "scrollIntoViewOnBoost": False}


def site(request: HttpRequest) -> dict[str, Any]:
    """The site's own name, and whether the person has something to do in the console (asked for only when shown)."""

    def sees_console() -> bool:
        user = getattr(request, "user", None)
        if user is None or not user.is_authenticated:
            return False
        return bool(user.is_superuser or Instance.objects.managed_by(user).exists())

    return {
        "site_title": settings.SITE_TITLE,
        "contact": settings.CONTACT,
        "password_sign_in": settings.PASSWORD_SIGN_IN,
        "can_sign_up": settings.PASSWORD_SIGN_IN and settings.SIGN_UP == "everybody",
        "htmx_config": HTMX,
        "sees_console": SimpleLazyObject(sees_console),
    }
