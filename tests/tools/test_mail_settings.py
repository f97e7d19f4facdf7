"""How mail leaves the site is said by the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from mlsite import mail_settings

NAMES = (
    "EMAIL_BACKEND",
    "EMAIL_URL",
    "MAILGUN_API_KEY",
    "MAILGUN_SENDER_DOMAIN",
    "MAILGUN_API_URL",
    "MAILGUN_WEBHOOK_SIGNING_KEY",
)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def reader(*, debug: bool = False, **given: str) -> dict[str, Any]:
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return mail_settings.read(debug=debug, folder=tmp_path)

    return reader


def test_nothing_said_is_a_folder_on_a_laptop_and_no_server_in_production(read: Any) -> None:
    assert read(debug=True)["EMAIL_BACKEND"] == "accounts.backends.Folder"
    assert read()["EMAIL_BACKEND"] == "accounts.backends.NoServer"


def test_a_key_of_mailguns_is_enough_and_may_lie_in_a_file(read: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    said = read(MAILGUN_API_KEY_FILE=str(tmp_path / "key"), MAILGUN_SENDER_DOMAIN="mail.example.org")
    assert said["EMAIL_BACKEND"] == mail_settings.MAILGUN
    assert said["ANYMAIL"]["MAILGUN_API_KEY"] == "secret"
    assert said["ANYMAIL"]["MAILGUN_SEND_DEFAULTS"] == {"track_clicks": False, "track_opens": False}
    assert "MAILGUN_API_URL" not in said["ANYMAIL"], "Anymail's own default"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "smtp+tls://me:p%40ss@mail.example.org",
            {"EMAIL_PORT": 587, "EMAIL_USE_TLS": True, "EMAIL_HOST_PASSWORD": "p@ss"},
        ),
        ("smtps://mail.example.org:466", {"EMAIL_PORT": 466, "EMAIL_USE_SSL": True, "EMAIL_HOST_USER": ""}),
        ("smtp://127.0.0.1", {"EMAIL_PORT": 25, "EMAIL_HOST": "127.0.0.1"}),
    ],
)
def test_an_smtp_server_is_one_address(read: Any, url: str, expected: dict[str, Any]) -> None:
    said = read(EMAIL_URL=url)
    assert said["EMAIL_BACKEND"] == mail_settings.SMTP
    assert expected.items() <= said.items()
    assert said["EMAIL_TIMEOUT"]


@pytest.mark.parametrize("url", ["imap://me:password@x", "smtp://me:password@x:port", "smtp://:password@"])
def test_a_wrong_address_is_said_without_its_password(read: Any, url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as wrong:
        read(EMAIL_URL=url)
    assert "password@" not in str(wrong.value).replace("user:password@host", "")


def test_another_backend_wins(read: Any) -> None:
    assert read(EMAIL_BACKEND="x.Y", EMAIL_URL="smtp://h")["EMAIL_BACKEND"] == "x.Y"
