"""Providers from the environment: what is known of them, and one clear line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from mlsite import sign_in_settings


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The options of three providers, all that is required."""
    monkeypatch.setenv("SIGN_IN_PROVIDERS", "github, cilogon, my-campus")
    monkeypatch.setenv("SIGN_IN_MY_CAMPUS_ISSUER", "https://login.uni.example/")
    for name in ("GITHUB", "CILOGON", "MY_CAMPUS"):
        monkeypatch.setenv(f"SIGN_IN_{name}_CLIENT_ID", name.lower())
        monkeypatch.setenv(f"SIGN_IN_{name}_CLIENT_SECRET", "hush")
    return monkeypatch


def test_known_providers_need_a_client_only_and_trust_nobody(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    env.delenv("SIGN_IN_CILOGON_CLIENT_SECRET")
    env.setenv("SIGN_IN_CILOGON_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    made = sign_in_settings.providers(allow_http=False)
    cilogon, campus = made["openid_connect"]["APPS"]
    assert (cilogon["name"], cilogon["secret"]) == ("CILogon", "from a file")
    assert cilogon["settings"]["server_url"] == "https://cilogon.org"
    assert "org.cilogon.userinfo" in cilogon["settings"]["scope"]
    assert (campus["provider_id"], campus["settings"]["server_url"]) == ("my-campus", "https://login.uni.example")
    (github,) = made["github"]["APPS"]
    assert "provider_id" not in github
    assert [app["settings"]["rank"] for app in (github, cilogon, campus)] == [0, 1, 2]
    assert all(app["settings"]["trusted_domains"] == [] for app in (github, cilogon, campus))
    assert "cilogon" not in made, "allauth's own reads the wrong claim"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SIGN_IN_PROVIDERS", "cilogon,cilogon", "twice"),
        ("SIGN_IN_PROVIDERS", "My Campus", "not a valid name"),
        (
            "SIGN_IN_MY_CAMPUS_ISSUER",
            "http://login.uni.example",
            "SIGN_IN_MY_CAMPUS_ISSUER must be an https",
        ),
        ("SIGN_IN_MY_CAMPUS_ISSUER", "login.uni.example", "SIGN_IN_MY_CAMPUS_ISSUER"),
        ("SIGN_IN_MY_CAMPUS_ISSUER", None, "SIGN_IN_MY_CAMPUS_ISSUER is not set"),
        ("SIGN_IN_CILOGON_CLIENT_ID", None, "SIGN_IN_CILOGON_CLIENT_ID is not set"),
        ("SIGN_IN_CILOGON_TRUST_UNSTATED", "maybe", "on or off"),
    ],
)
def test_what_is_wrong_is_named(env: pytest.MonkeyPatch, name: str, value: str | None, said: str) -> None:
    if value is None:
        env.delenv(name)
    else:
        env.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=said):
        sign_in_settings.providers(allow_http=False)
