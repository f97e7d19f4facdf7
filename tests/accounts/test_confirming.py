"""Confirming an address: the site asks for it, and each press of the button says what came of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
SEND = "/accounts/email/"


@pytest.fixture
def ann(client: Client) -> User:
    cache.clear()
    user = UserFactory(email="ann@uni.example")
    EmailAddress.objects.create(user=user, email=user.email, primary=True)
    client.force_login(user)
    return user


@pytest.fixture
def by_code(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True


def test_home_and_profile_ask_to_confirm_until_it_is_done(client: Client, ann: User) -> None:
    for page in ("/", "/profile/"):
        assert 'name="action_send"' in client.get(page).text
    EmailAddress.objects.update(verified=True)
    for page in ("/", "/profile/"):
        assert 'name="action_send"' not in client.get(page).text


def test_after_a_sign_up_the_next_page_asks(client: Client) -> None:
    form = {"email": "new@uni.example", "name": "New", "password1": PASSWORD, "password2": PASSWORD}
    page = client.post("/accounts/signup/", form, follow=True).text
    assert "new@uni.example is not confirmed" in page


def test_a_link_is_called_a_link_and_the_page_says_that_it_was_sent(client: Client, ann: User) -> None:
    assert "Send a link" in client.get(SEND).text
    page = client.post(SEND, {"email": ann.email, "action_send": ""}, follow=True).text
    assert "We have sent a link to ann@uni.example" in page
    assert mail.outbox[-1].subject == "Confirm your address"
    link = re.search(r"http://testserver(/accounts/confirm-email/\S+)", mail.outbox[-1].body)
    assert link
    client.post(link[1])
    assert EmailAddress.objects.get(user=ann).verified


def test_the_second_press_says_why_nothing_more_is_sent(client: Client, ann: User) -> None:
    client.post(SEND, {"email": ann.email, "action_send": ""}, follow=True)
    sent = len(mail.outbox)
    page = client.post(SEND, {"email": ann.email, "action_send": ""}, follow=True).text
    assert len(mail.outbox) == sent
    assert "We have just sent an e-mail to ann@uni.example" in page
    gone = client.post(SEND, {"email": "gone@uni.example", "action_send": ""}, follow=True).text
    assert "no longer on your account" in gone


def test_a_code_is_asked_for_where_it_was_mailed(client: Client, ann: User, by_code: None) -> None:
    assert "Send a code" in client.get(SEND).text
    page = client.post(SEND, {"email": ann.email, "action_send": ""}, follow=True).text
    assert "We have sent a code to" in page
    assert mail.outbox[-1].subject == "Your confirmation code"
    code = re.search(r"^([A-Z0-9]{2,}(?:-[A-Z0-9]{2,})*)$", mail.outbox[-1].body, re.M)
    assert code
    client.post("/accounts/confirm-email/", {"code": code[1]})
    assert EmailAddress.objects.get(user=ann).verified
