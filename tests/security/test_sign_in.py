"""What somebody who knows an address, sees a code or writes a lab's page can do about another person's sign-in: nothing."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth.hashers import get_hasher
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.models import Role, User
from accounts.rules import authority
from accounts.services import browsers
from mlsite.logs import NoLinks
from tests.factories import PASSWORD, LabFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    cache.clear()


def try_to_sign_in(client: Client, user: User, password: str, address: str = "192.0.2.1") -> Any:
    sent = {"login": user.email, "password": password}
    return client.post("/accounts/login/", sent, REMOTE_ADDR=address)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_nobody_locks_the_password_sign_in_of_a_browser_that_was_used_before(settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, "login_failed_in_all": "10/h/key"}
    user = UserFactory()
    mine = Client()
    assert try_to_sign_in(mine, user, PASSWORD).status_code == 302
    mine.post("/accounts/logout/")
    for number in range(12):
        refused = try_to_sign_in(Client(), user, "wrong", f"198.51.100.{number}")
    assert "Forgot your password" in refused.text
    stranger = Client()
    try_to_sign_in(stranger, user, PASSWORD, "203.0.113.1")
    assert not is_in(stranger), "tries are few from wherever else"
    try_to_sign_in(mine, user, PASSWORD)
    assert is_in(mine)


def test_a_known_browser_has_few_tries_as_well_and_is_known_for_its_own_address_only() -> None:
    user, other = UserFactory(), UserFactory()
    mine = Client()
    try_to_sign_in(mine, user, PASSWORD)
    mine.post("/accounts/logout/")
    for number in range(11):
        try_to_sign_in(mine, user, "wrong", f"198.51.100.{number}")
    try_to_sign_in(mine, user, PASSWORD, "198.51.100.99")
    assert not is_in(mine)
    kept = mine.cookies["mlsite_browser"].value
    assert browsers.known(kept, user.email)
    assert not browsers.known(kept, other.email)
    assert not browsers.known(kept[:-1] + ("A" if kept[-1] != "A" else "B"), user.email)
    assert user.email not in kept


def test_signing_up_takes_the_same_work_for_an_address_that_has_an_account(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
    known = UserFactory()
    EmailAddress.objects.create(user=known, email=known.email, verified=True, primary=True)
    hasher, made = type(get_hasher()), []
    encode = hasher.encode
    monkeypatch.setattr(hasher, "encode", lambda *args, **kwargs: made.append(1) or encode(*args, **kwargs))
    work = {}
    for email in (known.email, "new@uni.example"):
        made.clear()
        form = {"email": email, "name": "N", "password1": "a-long-pass-phrase", "password2": "a-long-pass-phrase"}
        assert Client().post("/accounts/signup/", form).status_code == 302
        work[email] = len(made)
    assert work[known.email] == work["new@uni.example"] == 1


@pytest.mark.parametrize("form", [("password/reset/", "email"), ("signup/", "email")])
def test_links_in_mails_lead_to_the_site_whatever_the_request_says(
    form: tuple[str, str], settings: Any, client: Client
) -> None:
    settings.SITE_URL, settings.ALLOWED_HOSTS = "https://courses.example.org", ["*"]
    user = UserFactory()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    sent = {"email": user.email, "name": "N", "password1": "a-long-pass-phrase", "password2": "a-long-pass-phrase"}
    client.post(f"/accounts/{form[0]}", sent, headers={"host": "courses.example.org:9999"})
    body = mail.outbox[-1].body
    assert "9999" not in body
    links = re.findall(r"https?://\S+", body)
    assert links
    assert all(link.startswith("https://courses.example.org") for link in links)


@pytest.mark.parametrize("path", ["/accounts/password/reset/key/3-abc-def/", "/accounts/confirm-email/MQ:1abc:x/"])
def test_no_log_has_a_link_that_sets_a_password(path: str) -> None:
    line = logging.LogRecord("django.request", 30, "", 1, "Forbidden (%s): %s", ("no cookie", path), None)
    assert NoLinks().filter(line)
    assert "abc" not in line.getMessage()


def test_what_is_said_to_a_person_is_kept_in_their_session(client: Client) -> None:
    client.force_login(UserFactory())
    client.post("/profile/", {"name": "Ann"})
    assert "messages" not in client.cookies
    client.post("/accounts/logout/")
    client.force_login(UserFactory())
    assert "Saved." not in client.get("/profile/").text


def test_too_many_cookies_get_a_page_that_says_what_to_do(client: Client) -> None:
    answer = client.get("/", headers={"cookie": "; ".join(f"planted{number}={'x' * 1000}" for number in range(20))})
    assert answer.status_code == 431
    assert "delete the cookies" in answer.text
    assert answer["Clear-Site-Data"] == '"cookies"'
    assert client.get("/", headers={"cookie": f"other={'x' * 4000}"}).status_code == 200


# Two-factor authentication ------------------------------------------------------------------------------------------------------


def code_of(secret: str, at: float) -> str:
    return totp.format_hotp_value(totp.hotp_value(secret, int(at) // 30))


def test_a_code_of_the_app_is_good_once_as_long_as_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    user = UserFactory()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(user, secret)
    start = time.time()
    code = code_of(secret, start)

    def enter(after: int) -> bool:
        monkeypatch.setattr(time, "time", lambda: start + after)
        client = Client()
        try_to_sign_in(client, user, PASSWORD)
        client.post("/accounts/2fa/authenticate/", {"code": code})
        return is_in(client)

    assert enter(0)
    assert not enter(31), "the code is still taken, by the tolerance, and was used"


@pytest.mark.parametrize("role", [Role.STAFF, Role.OWNER])
def test_without_the_second_factor_that_they_must_have_staff_reach_no_lab_of_others(
    role: Role, settings: Any, client: Client
) -> None:
    member = MembershipFactory()
    lab = LabFactory(instance=member.instance, owner=member.user)
    staff = MembershipFactory(instance=member.instance, role=role).user
    own = LabFactory(instance=member.instance, owner=staff)
    client.force_login(staff)
    pages = [f"/labs/{lab.pk}/", f"/labs/{lab.pk}/live/", f"/labs/{lab.pk}/log/"]
    assert [client.get(page).status_code for page in pages[:2]] == [200, 200]
    settings.REQUIRE_TWO_FACTOR = "managers"
    assert [client.get(page).status_code for page in pages] == [404, 404, 404]
    assert client.post(f"/labs/{lab.pk}/stop/").status_code == 404
    assert not authority.can_stop_workload(staff, lab)
    assert authority.stoppable_by(staff, [lab, own]) == [own]
    assert client.get(f"/labs/{own.pk}/").status_code == 200, "what is one's own needs none"
