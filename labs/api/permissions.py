"""Who may use the JSON interface at all; what they may do with it, the services decide."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from accounts.rules import authority


class SignedIn(IsAuthenticated):
    """Who is signed in, and has a second factor where they must (REQUIRE_TWO_FACTOR): else this would be a way round the pages."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not super().has_permission(request, view):
            return False
        if authority.lacks_second_factor(request.user):
            page = f"{settings.SITE_URL}{reverse('mfa_index')}"
            raise PermissionDenied(f"Set up two-factor authentication first, at {page}: the API requires it.")
        return True
