"""The console: Django's admin, in unfold's clothes, for owners, staff and site administrators."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from csp.decorators import csp_replace
from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from accounts.rules import authority
from labs.access import reach

#: Of Django's own pages: a second place to change the password, and a redirect that tells whether an object exists.
LEFT_OUT = {"password_change", "password_change_done", "view_on_site"}


class Console(UnfoldAdminSite):
    """One door (the site's own sign-in), its own Content-Security-Policy, and only the site's own pages."""

    site_title = "Console"
    site_header = "Console"
    index_title = "Overview"
    index_template = "admin/overview.html"
    enable_nav_sidebar = True

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.disable_action("delete_selected")

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Take the site's own pages. Those that other packages bring go by Django's permission tables, which nobody keeps here."""
        if getattr(admin_class, "is_of_console", False):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Site administrators, and everybody who owns or helps to run an instance."""
        return reach(request).enters

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        inner = super().admin_view(view, cacheable)

        @csp_replace(settings.CONSOLE_CONTENT_SECURITY_POLICY)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)
            if not self.has_permission(request):
                raise PermissionDenied
            if authority.lacks_second_factor(request.user):
                messages.warning(request, "Set up two-factor authentication first: the console requires it.")
                return redirect("mfa_index")
            return inner(request, *args, **kwargs)

        return update_wrapper(guarded, view)

    def get_urls(self) -> list[Any]:
        return [url for url in super().get_urls() if getattr(url, "name", None) not in LEFT_OUT]

    def app_index(self, request: HttpRequest, app_label: str, extra_context: Any = None) -> HttpResponse:
        """People do not think in Django's apps."""
        return redirect("admin:index")

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one sign-in page."""
        if request.user.is_authenticated:
            return redirect("admin:index")
        return redirect_to_login(request.GET.get("next", reverse("admin:index")), settings.LOGIN_URL)

    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "POST":
            auth.logout(request)
        return redirect(settings.ACCOUNT_LOGOUT_REDIRECT_URL)

    def extra_context(self, context: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
        """The palette stands in static/console/console.css: an inline style would need a hole in the policy."""
        return {**context, "colors": None}
