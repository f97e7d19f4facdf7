"""Two-factor authentication: setting it up, signing in with it, being asked for it before the console opens."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client

from accounts.models import Role, User
from accounts.rules import authority
from accounts.services import second_factor
from labs.models import State
from labs.services import vault
from tests.factories import PASSWORD, LabFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


def code_of(secret: str) -> str:
    """What an authenticator app shows now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def signed_in(user: User) -> Client:
    client = Client()
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    return client


def with_app(user: User) -> tuple[Client, str]:
    """A client that has set up an authenticator app through the pages; the app's secret."""
    client = signed_in(user)
    assert client.get("/accounts/2fa/totp/activate/")["Location"].startswith("/accounts/reauthenticate/")
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    page = client.get("/accounts/2fa/totp/activate/")
    assert "data:image/svg+xml" in page.text
    found = re.search(r"Key: <span class=\"mono\">([A-Z2-7]+)<", page.text)
    assert found
    secret = found.group(1)
    assert client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)}).status_code == 302
    cache.clear()  # A code is good for one use.
    return client, secret


def test_signing_in_asks_for_the_code_and_each_code_is_good_once() -> None:
    user = UserFactory()
    _, secret = with_app(user)
    client = signed_in(user)
    assert "_auth_user_id" not in client.session
    assert "code is incorrect" in client.post("/accounts/2fa/authenticate/", {"code": "000000"}).text
    code = code_of(secret)
    assert client.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302
    assert int(client.session["_auth_user_id"]) == user.pk
    other = signed_in(user)
    other.post("/accounts/2fa/authenticate/", {"code": code})
    assert "_auth_user_id" not in other.session


def test_a_recovery_code_is_the_way_in_without_the_app_and_good_once() -> None:
    user = UserFactory()
    client, _ = with_app(user)
    page = client.get("/accounts/2fa/recovery-codes/")
    codes = re.findall(r"<div>(\d{8})</div>", page.text)
    assert len(codes) == 10
    other = signed_in(user)
    assert other.post("/accounts/2fa/authenticate/", {"code": codes[0]}).status_code == 302
    assert int(other.session["_auth_user_id"]) == user.pk
    again = signed_in(user)
    again.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert "_auth_user_id" not in again.session


def test_secrets_are_kept_encrypted_and_come_under_a_new_key(settings: Any) -> None:
    user = UserFactory()
    _, secret = with_app(user)
    kept = {row.type: row.data for row in Authenticator.objects.filter(user=user)}
    assert secret not in str(kept)
    assert vault.open(kept["totp"]["secret"]) == secret
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert second_factor.reseal_all() == 2
    settings.SECRET_KEY_FALLBACKS = []
    row = Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
    assert row.wrap().validate_code(code_of(secret))


@pytest.mark.parametrize("role", [Role.OWNER, Role.STAFF])
def test_the_console_waits_for_the_second_factor_of_who_runs_something(settings: Any, role: Role) -> None:
    settings.REQUIRE_TWO_FACTOR = "managers"
    user = MembershipFactory(role=role).user
    client = signed_in(user)
    answer = client.get("/console/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/")
    assert "the console requires it" in client.get("/accounts/2fa/").text
    assert "set up two-factor authentication" in client.get("/profile/").text
    assert client.get("/").status_code == 200
    client, _ = with_app(user)
    assert client.get("/console/").status_code == 200


def test_the_staff_pages_of_an_instance_wait_for_it_too(settings: Any) -> None:
    settings.REQUIRE_TWO_FACTOR = "managers"
    membership = MembershipFactory(role=Role.STAFF)
    page = f"/i/{membership.instance.slug}/people/"
    answer = signed_in(membership.user).get(page)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/")
    client, _ = with_app(membership.user)
    assert client.get(page).status_code == 200
    assert signed_in(MembershipFactory(instance=membership.instance).user).get(page).status_code == 404


API = [("get", "/api/instances/"), ("get", "/api/labs/"), ("post", "/api/labs/"), ("post", "/api/labs/{lab}/stop/")]


@pytest.mark.parametrize(("method", "address"), API)
@pytest.mark.parametrize("role", [Role.OWNER, Role.STAFF])
def test_the_json_interface_waits_for_it_too_and_says_where(
    settings: Any, role: Role, method: str, address: str
) -> None:
    settings.REQUIRE_TWO_FACTOR = "managers"
    membership = MembershipFactory(role=role)
    lab = LabFactory(instance=membership.instance, owner=membership.user)
    address = address.format(lab=lab.pk)
    answer = getattr(signed_in(membership.user), method)(address)
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/json")
    assert (
        answer.json()["message"]
        == "Set up two-factor authentication first, at http://testserver/accounts/2fa/: the API requires it."
    )
    lab.refresh_from_db()
    assert lab.state == State.REQUESTED
    client, _ = with_app(membership.user)
    assert getattr(client, method)(address).status_code != 403


def test_the_json_interface_opens_for_members_and_where_it_is_off(settings: Any) -> None:
    owner = MembershipFactory(role=Role.OWNER)
    assert signed_in(owner.user).get("/api/labs/").status_code == 200
    settings.REQUIRE_TWO_FACTOR = "managers"
    assert signed_in(owner.user).get("/api/labs/").status_code == 403
    assert signed_in(UserFactory(is_superuser=True)).get("/api/labs/").status_code == 403
    member = signed_in(MembershipFactory(instance=owner.instance).user)
    assert member.get("/api/labs/").status_code == 200
    assert "two-factor" not in Client().get("/api/labs/").text


def test_recovery_codes_alone_are_no_second_factor(settings: Any) -> None:
    settings.REQUIRE_TWO_FACTOR = "managers"
    user = UserFactory(is_superuser=True)
    Authenticator.objects.create(user=user, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert authority.lacks_second_factor(user)
    Authenticator.objects.create(user=user, type=Authenticator.Type.WEBAUTHN, data={})
    assert not authority.lacks_second_factor(user)


def test_members_are_not_asked_and_nobody_is_where_it_is_off(settings: Any) -> None:
    member, owner = MembershipFactory().user, MembershipFactory(role=Role.OWNER).user
    assert not authority.lacks_second_factor(owner)
    settings.REQUIRE_TWO_FACTOR = "managers"
    assert not authority.lacks_second_factor(member)
    assert authority.lacks_second_factor(owner)
