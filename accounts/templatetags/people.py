"""With whom people sign in, as pages show it."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django import template
from django.template import RequestContext

from accounts.rules import claims

register = template.Library()
#: What a browser calls itself, in the order in which it is looked for: each also names those after it.
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip

#: Labels of allauth's forms, in the words of the other pages.
LABELS = {
    "Email": "E-mail", "Remember Me": "Remember me", "Current Password": "Current password",
    "New Password": "New password", "New Password (again)": "New password (again)",
}  # fmt: skip


@register.simple_tag(takes_context=True)
def providers(context: RequestContext) -> list[dict[str, str]]:
    """Those that are offered, in the order of the settings: title, id, and the address that a form is sent to."""
    request = context["request"]
    found = sorted(get_adapter().list_providers(request), key=lambda provider: provider.app.settings.get("rank", 0))
    return [
        {"title": provider.name, "id": provider.sub_id, "address": provider.get_login_url(request)}
        for provider in found
    ]


@register.filter
def plain_label(label: object) -> str:
    """The label of a field; allauth's are put into our own words."""
    return LABELS.get(str(label), str(label))


@register.filter
def sign_in_title(account: SocialAccount) -> str:
    """The provider of a linked sign-in, by its title; also when it is no longer offered."""
    apps: list[Any] = get_adapter().list_apps(None, provider=account.provider)
    return apps[0].name if apps else account.provider


@register.filter
def sign_in_who(account: SocialAccount) -> str:
    """As whom one signs in there, as far as the provider tells."""
    told = claims.of(account.extra_data)
    keys = ("email", "eppn", "preferred_username", "login", "nickname", "name")
    return next((claims.line(told[key], 200) for key in keys if claims.line(told.get(key), 200)), account.uid)


@register.filter
def browser(session: UserSession) -> str:
    """The browser of a session, in two words: "Firefox on Linux"."""
    what = next((title for mark, title in BROWSERS if mark in session.user_agent), "A browser")
    where = next((title for mark, title in SYSTEMS if mark in session.user_agent), "")
    return f"{what} on {where}" if where else what
