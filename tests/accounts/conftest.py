"""A site that knows three providers, and one provider that plays them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from mlsite import sign_in_settings
from tests.support import openid

#: globus is trusted for uni.example and its silence is a yes; cilogon only where it says so; campus not at all.
OPTIONS = {
    "SIGN_IN_PROVIDERS": "globus,cilogon,campus",
    "SIGN_IN_GLOBUS_TRUSTED_DOMAINS": "uni.example",
    "SIGN_IN_GLOBUS_TRUST_UNSTATED": "on",
    "SIGN_IN_CILOGON_TRUSTED_DOMAINS": "uni.example, lab.example",
    "SIGN_IN_CAMPUS_TITLE": "Campus",
}


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    """Tries of other tests do not count against this one."""
    cache.clear()


@pytest.fixture(scope="session")
def session_provider() -> Iterator[openid.Provider]:
    with openid.running() as provider:
        yield provider


@pytest.fixture
def provider(session_provider: openid.Provider, settings: Any, monkeypatch: pytest.MonkeyPatch) -> openid.Provider:
    """The provider; the site knows it under three names, and has addresses confirmed as in production."""
    session_provider.lies.clear()
    configure(session_provider.url, settings, monkeypatch)
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
    return session_provider


def configure(url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the site know the provider at this address."""
    for name in ("GLOBUS", "CILOGON", "CAMPUS"):
        monkeypatch.setenv(f"SIGN_IN_{name}_ISSUER", url)
        monkeypatch.setenv(f"SIGN_IN_{name}_CLIENT_ID", f"client-{name.lower()}")
        monkeypatch.setenv(f"SIGN_IN_{name}_CLIENT_SECRET", "not so secret")
    for name, value in OPTIONS.items():
        monkeypatch.setenv(name, value)
    settings.SOCIALACCOUNT_PROVIDERS = sign_in_settings.providers(allow_http=True)
