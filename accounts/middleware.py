"""What holds for all pages of signing in, whoever made them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.services import browsers

#: Pages that are not there where nobody signs in with a password.
PASSWORD_PAGES = {
    "account_signup", "account_change_password", "account_set_password", "account_reset_password",
    "account_reset_password_done", "account_reset_password_from_key", "account_reset_password_from_key_done",
}  # fmt: skip


class SignInRules:
    """No password pages where there are no passwords; and a page between us and a provider."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if (address := getattr(request, "signed_in_with", "")) and request.user.is_authenticated:
            _remember(response, address)
        if request.method == "POST" and response.status_code == 302:
            host = urlsplit(response["Location"]).netloc
            if host and host != request.get_host():
                return self._on_the_way(request, response["Location"])
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        if not settings.PASSWORD_SIGN_IN and _name(request) in PASSWORD_PAGES:
            raise Http404

    def _on_the_way(self, request: HttpRequest, address: str) -> HttpResponse:
        """Our policy lets a form lead to us only, redirects included, and a provider may send people on to anywhere.

        So the form ends here, with a page that goes on by itself.
        """
        context = {"address": address, "host": urlsplit(address).hostname}
        response = render(request, "socialaccount/on_the_way.html", context)
        response["Cache-Control"] = "no-store"
        return response


def _remember(response: HttpResponse, address: str) -> None:
    """This browser's next tries with the address are counted apart from those of others."""
    response.set_cookie(
        settings.BROWSER_COOKIE_NAME, browsers.mark(address), max_age=browsers.REMEMBERED, httponly=True, samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )  # fmt: skip


def _name(request: HttpRequest) -> str:
    return request.resolver_match.url_name or "" if request.resolver_match else ""
