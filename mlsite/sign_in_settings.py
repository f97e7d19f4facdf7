"""With whom people may sign in, from the environment, in the form that allauth reads. Options: docs/operators.md, section Sign-in."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured

from accounts import addresses

from . import env

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: Not plain OpenID Connect, so that allauth has a provider of its own for it.
GITHUB = "github"
#: What is known of a provider by its name: title, issuer, scopes.
KNOWN: dict[str, dict[str, str]] = {
    "globus": {"title": "Globus", "issuer": "https://auth.globus.org"},
    "cilogon": {
        "title": "CILogon",
        "issuer": "https://cilogon.org",
        "scopes": "openid profile email org.cilogon.userinfo",
    },
    "gitlab": {"title": "GitLab", "issuer": "https://gitlab.com"},
    "orcid": {"title": "ORCID", "issuer": "https://orcid.org", "scopes": "openid"},
    GITHUB: {"title": "GitHub", "issuer": "https://github.com", "scopes": "read:user user:email"},
}


def providers(*, allow_http: bool) -> dict[str, Any]:
    """SOCIALACCOUNT_PROVIDERS, from SIGN_IN_PROVIDERS and the options of each; in the order in which they are offered.

    `allow_http`: whether an issuer may be reached without https. Raises ImproperlyConfigured with the name of the option.
    """
    names = env.words("SIGN_IN_PROVIDERS")
    if len(set(names)) != len(names):
        raise ImproperlyConfigured("SIGN_IN_PROVIDERS has the same name twice.")
    made: dict[str, Any] = {
        "openid_connect": {"provider_class": "accounts.oidc.provider.InstitutionProvider", "APPS": []}
    }
    for rank, name in enumerate(names):
        app = _app(name, rank, allow_http=allow_http)
        if name == GITHUB:
            made[GITHUB] = {"APPS": [app]}
        else:
            made["openid_connect"]["APPS"].append(app)
    return made


def _app(name: str, rank: int, *, allow_http: bool) -> dict[str, Any]:
    if not NAME.fullmatch(name) or name == "openid-connect":
        raise ImproperlyConfigured(
            f"SIGN_IN_PROVIDERS: {name!r} is not a valid name. Use lower-case letters, digits and single hyphens."
        )
    prefix = f"SIGN_IN_{name.upper().replace('-', '_')}"
    known = KNOWN.get(name, {})
    issuer = env.text(f"{prefix}_ISSUER", known.get("issuer")).rstrip("/")
    address = urlsplit(issuer)
    if address.scheme not in (("http", "https") if allow_http else ("https",)) or not address.hostname:
        raise ImproperlyConfigured(f"{prefix}_ISSUER must be an https:// address, not {issuer!r}.")
    app: dict[str, Any] = {
        "name": env.text(f"{prefix}_TITLE", known.get("title", name)),
        "client_id": env.text(f"{prefix}_CLIENT_ID"),
        "secret": env.text(f"{prefix}_CLIENT_SECRET"),
        "settings": {
            "server_url": issuer,
            "scope": env.text(f"{prefix}_SCOPES", known.get("scopes", "openid profile email")).split(),
            "auth_params": dict(parse_qsl(env.text(f"{prefix}_PARAMETERS", ""), strict_parsing=False)),
            "oauth_pkce_enabled": True,
            "trusted_domains": _domains(env.words(f"{prefix}_TRUSTED_DOMAINS"), prefix),
            "trusts_unstated": env.flag(f"{prefix}_TRUST_UNSTATED"),
            "rank": rank,
        },
    }
    return app if name == GITHUB else {**app, "provider_id": name}


def _domains(words: list[str], prefix: str) -> list[str]:
    """In the form that domains have in addresses; "*" is all of them."""
    try:
        return [word if word == "*" else addresses.domain(word) for word in words]
    except addresses.BadAddress as problem:
        raise ImproperlyConfigured(f"{prefix}_TRUSTED_DOMAINS: {problem}") from problem
