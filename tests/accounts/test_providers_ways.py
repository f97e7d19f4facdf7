"""What providers do that is allowed, or happens: long subjects, signed answers, keys without a name, clocks that are off."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from accounts.oidc import provider as oidc
from accounts.oidc.provider import InstitutionAdapter, InstitutionProvider
from tests.support.openid import Provider, come_back, set_out, sign_in

pytestmark = pytest.mark.django_db
ISSUER = "https://idp.uni.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize("length", [191, 192, 255])
def test_a_subject_of_any_length_that_is_allowed_signs_in_and_stays_the_same_person(length: int) -> None:
    subject = "s" * length
    found = {InstitutionProvider.extract_uid(None, {"userinfo": {"sub": subject}}) for _ in range(2)}  # type: ignore[arg-type]
    assert len(found) == 1
    assert len(found.pop()) <= SocialAccount._meta.get_field("uid").max_length
    other = InstitutionProvider.extract_uid(None, {"userinfo": {"sub": f"{subject[:-1]}t"}})  # type: ignore[arg-type]
    assert other != InstitutionProvider.extract_uid(None, {"userinfo": {"sub": subject}})  # type: ignore[arg-type]


def test_a_longer_subject_is_refused() -> None:
    with pytest.raises(OAuth2Error):
        InstitutionProvider.extract_uid(None, {"userinfo": {"sub": "s" * 256}})  # type: ignore[arg-type]


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that hears `answer` from the provider, and knows its key."""
    made: Any = InstitutionAdapter.__new__(InstitutionAdapter)
    config = {"issuer": ISSUER, "userinfo_endpoint": f"{ISSUER}/userinfo", "jwks_uri": f"{ISSUER}/jwks"}
    monkeypatch.setattr(InstitutionAdapter, "openid_config", config)
    monkeypatch.setattr(InstitutionAdapter, "profile_url", config["userinfo_endpoint"])
    session = SimpleNamespace(get=lambda *args, **kwargs: made.answer, __enter__=None)

    class Session:
        def __enter__(self) -> Any:
            return session

        def __exit__(self, *args: object) -> None:
            return None

    monkeypatch.setattr(oidc, "get_adapter", lambda: SimpleNamespace(get_requests_session=Session))
    return made


def jwks(*names: str | None) -> Any:
    keys = []
    for name in names:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        keys.append({**key, "use": "sig", "alg": "RS256"} | ({"kid": name} if name else {}))
    return SimpleNamespace(json=lambda: {"keys": keys}, raise_for_status=lambda: None, headers={})


APP = SimpleNamespace(client_id="site")


def test_signed_userinfo_is_read_when_it_is_for_this_site(adapter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InstitutionAdapter, "_key", lambda self, kid: KEY.public_key())

    def told(**changes: Any) -> Any:
        token = jwt.encode({"iss": ISSUER, "aud": "site", "sub": "ann"} | changes, KEY, algorithm="RS256")
        headers = {"Content-Type": "application/jwt; charset=utf-8"}
        return SimpleNamespace(text=token, headers=headers, raise_for_status=lambda: None)

    adapter.answer = told()
    assert adapter._user_info(APP, "token")["sub"] == "ann"
    for wrong in ({"aud": "another"}, {"iss": "https://evil.example"}):
        adapter.answer = told(**wrong)
        with pytest.raises(jwt.PyJWTError):
            adapter._user_info(APP, "token")


@pytest.mark.parametrize(("names", "wanted"), [((None,), "k1"), ((None,), None), (("k1", None), "k1"), (("k1",), None)])
def test_a_key_or_a_token_may_leave_the_name_out(adapter: Any, names: Any, wanted: str | None) -> None:
    adapter.answer = jwks(*names)
    assert adapter._key(wanted)


@pytest.mark.parametrize(("names", "wanted"), [(("k1",), "k2"), ((None, None), "k1")])
def test_which_key_it_is_must_be_clear(adapter: Any, names: Any, wanted: str) -> None:
    adapter.answer = jwks(*names)
    with pytest.raises(OAuth2Error):
        adapter._key(wanted)


@pytest.mark.parametrize(("off", "works"), [(90, True), (-90, True), (400, False)])
def test_a_clock_may_be_a_little_off(adapter: Any, monkeypatch: pytest.MonkeyPatch, off: int, works: bool) -> None:
    monkeypatch.setattr(InstitutionAdapter, "_key", lambda self, kid: KEY.public_key())
    now = int(time.time()) + off
    said = {"iss": ISSUER, "aud": "site", "sub": "ann", "iat": now, "exp": now + (60 if off > 0 else 1)}
    token = jwt.encode(said, KEY, algorithm="RS256")
    if works:
        assert adapter._decode_id_token(APP, token)["sub"] == "ann"
    else:
        with pytest.raises(jwt.PyJWTError):
            adapter._decode_id_token(APP, token)


def test_a_provider_that_is_unavailable_is_not_called_a_sign_in_that_was_used(
    client: Client, provider: Provider
) -> None:
    state = set_out(client).partition("state=")[2].partition("&")[0]
    answer = client.get(f"/accounts/oidc/campus/login/callback/?error=temporarily_unavailable&state={state}")
    assert answer.status_code == 401
    assert "could not sign you in at the moment" in answer.text
    assert "already been used" not in answer.text


def test_the_back_button_after_a_sign_in_leads_home(client: Client, provider: Provider) -> None:
    provider.knows("ann-2", name="Ann", email="ann@uni.example")
    back = provider.consents(set_out(client, "globus"), "ann-2")
    assert come_back(client, back).status_code == 302
    again = come_back(client, back)
    assert (again.status_code, again["Location"]) == (302, "/")
    client.logout()
    assert come_back(client, back).status_code == 401
    assert sign_in(client, provider, "ann-2", "globus").status_code == 302
