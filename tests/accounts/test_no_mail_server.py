"""Production without a mail server: a page for whoever waits for a mail, a line in the log, and a warning beforehand."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from mlsite import checks
from tests.factories import PASSWORD, UserFactory

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {"SECRET_KEY": "x" * 50, "SITE_URL": "https://labs.example.org", "DATABASE_URL": "sqlite:///:memory:"}


@pytest.fixture
def no_server(settings: Any) -> None:
    settings.DEBUG = False
    settings.EMAIL_BACKEND = "accounts.backends.NoServer"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True


NEW = {"email": "new@example.org", "name": "New", "password1": PASSWORD, "password2": PASSWORD}


@pytest.mark.django_db
@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("signup", NEW),
        ("signup", {**NEW, "email": "here@example.org"}),
        ("login", {"login": "unproved@example.org", "password": PASSWORD}),
        ("password/reset", {"email": "here@example.org"}),
        ("password/reset", {"email": "nobody@example.org"}),
    ],
)
def test_whoever_waits_for_a_mail_is_told_and_the_log_says_why(
    page: str, sent: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    UserFactory(email="unproved@example.org")
    here = UserFactory(email="here@example.org")
    EmailAddress.objects.create(user=here, email=here.email, verified=True, primary=True)
    answer = Client().post(f"/accounts/{page}/", sent)
    assert answer.status_code == 503
    assert "the site cannot send e-mails at the moment" in answer.text
    assert "contact the site administrators" in answer.text
    lines = [line for line in caplog.records if line.name == "accounts.adapter" and line.levelno == logging.ERROR]
    assert [line.getMessage().endswith("could not be sent: NoMailServer") for line in lines] == [True]
    assert sent.get("email", "unproved@") not in caplog.text


@pytest.mark.django_db
@pytest.mark.usefixtures("no_server")
def test_what_needs_no_mail_works_all_the_same() -> None:
    user = UserFactory()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    client = Client()
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    word = "quite-another-password"
    changed = client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": word, "password2": word})
    assert changed.status_code == 302
    user.refresh_from_db()
    assert user.check_password(word)


@pytest.mark.parametrize(
    ("more", "is_warned"),
    [({}, True), ({"EMAIL_URL": "smtp://mail.example.org"}, False), ({"MAILGUN_API_KEY": "k"}, False)],
)
def test_a_deployment_without_a_mail_server_is_warned(more: dict[str, str], is_warned: bool) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--tag", "mail"], cwd=ROOT, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **more}, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("(mlsite.W001) No mail server is configured" in done.stderr) is is_warned


@pytest.mark.parametrize("backend", ["accounts.backends.Folder", "django.core.mail.backends.console.EmailBackend"])
def test_a_backend_that_reaches_nobody_is_no_mail_server(settings: Any, backend: str) -> None:
    settings.EMAIL_BACKEND = backend
    assert checks.mail_server() == [checks.NO_MAIL_SERVER]
