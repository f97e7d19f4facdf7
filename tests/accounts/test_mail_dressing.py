"""Allauth's own mails have the look of the site's."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.core import mail as django_mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from accounts import dressing
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_a_forgotten_password_is_a_mail_with_html() -> None:
    user = UserFactory()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    Client().post("/accounts/password/reset/", {"email": user.email})
    (sent,) = django_mail.outbox
    assert isinstance(sent, EmailMultiAlternatives)
    ((html, kind),) = sent.alternatives
    assert kind == "text/html"
    assert "prefers-color-scheme: dark" in str(html)
    assert "/accounts/password/reset/key/" in str(html)
    assert sent.extra_headers["Auto-Submitted"] == "auto-generated"


def test_an_address_of_the_site_is_a_button_and_a_code_stands_by_itself() -> None:
    html = dressing.html(
        "Your confirmation code",
        "Type this:\n\nABCD-1234\n\nor go to\n\nhttp://testserver/a/?b=c&d=e\n\nnot to https://evil.example",
    )
    assert '<p class="code">ABCD-1234</p>' in html
    assert '<a class="button" href="http://testserver/a/?b=c&amp;d=e">' in html
    assert html.count('class="button"') == 1


def test_what_a_visitor_typed_stays_text() -> None:
    assert "<script" not in dressing.html("<script>", "<script>alert(1)</script>\n\n<b>x</b>")
