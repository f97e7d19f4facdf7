"""How the console looks, for django-unfold. What it shows is decided in `labs.admin`."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse


def _stylesheet(request: HttpRequest) -> str:
    return static("console/console.css")


def _script(request: HttpRequest) -> str:
    return static("console/console.js")


def _icon(request: HttpRequest) -> str:
    return static("mlsite/icon.svg")


def _account_links(request: HttpRequest) -> list[dict[str, Any]]:
    return [
        {"title": "Profile", "link": reverse("profile")},
    ]


UNFOLD = {
    "SITE_TITLE": "Console",
    "SITE_HEADER": "Console",
    "SITE_URL": "/",
    "SITE_SYMBOL": "science",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "9px",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _icon}],
    "STYLES": [_stylesheet],
    "SCRIPTS": [_script],
    "DASHBOARD_CALLBACK": "labs.admin.overview.dashboard",
    "TABS": "labs.admin.navigation.tabs",
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "labs.admin.navigation.navigation"},
    "ACCOUNT": {"navigation": _account_links},
}
