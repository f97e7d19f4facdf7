"""What the site answers in production: error pages, foreign hosts and forms, cookies, what a browser may keep, where sign-in leads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import ROOT, environment

Answers = dict[str, Any]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder: Path = tmp_path_factory.mktemp("production")
    env = environment(
        f"sqlite:///{folder}/site.sqlite3", DEBUG="off", SITE_URL="https://courses.example.org",
        BEHIND_PROXY="on", EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend", SECURE_SSL_REDIRECT="off",
    )  # fmt: skip
    command = [sys.executable, "-m", "tests.support.production"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: Answers = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("name", "status"),
    [("fault", 500), ("missing", 404), ("refused", 403), ("not understood", 400), ("another host", 400),
     ("without a token", 403), ("from another site", 403), ("missing of the interface", 404)],
)  # fmt: skip
def test_an_error_page_is_plain_and_tells_nothing_of_the_inside(answers: Answers, name: str, status: int) -> None:
    answer = answers[name]
    assert answer["status"] == status
    for word in (
        "Traceback",
        "RuntimeError",
        "never shown",
        "in-a-local-variable",
        "site-packages",
        "DEBUG",
        "urlpatterns",
    ):
        assert word not in answer["text"]


def test_a_form_of_another_site_is_refused_by_the_interface_too(answers: Answers) -> None:
    assert answers["without a token, by JSON"]["status"] == 403


def test_a_host_that_a_header_claims_is_not_believed(answers: Answers) -> None:
    assert "evil.example.org" not in answers["a host in a header"]["text"]


def test_a_method_is_what_the_request_says_and_no_other(answers: Answers) -> None:
    assert answers["by another method"]["status"] == 405
    assert answers["trace"]["status"] == 405


@pytest.mark.parametrize("name", ["home", "profile", "history", "interface", "refused"])
def test_a_browser_keeps_nothing_that_was_made_for_a_person(answers: Answers, name: str) -> None:
    """The back button after signing out."""
    assert "no-store" in answers[name]["headers"].get("Cache-Control", "")


@pytest.mark.parametrize("number", range(4))
def test_signing_in_leads_to_no_other_site(answers: Answers, number: int) -> None:
    answer = answers[f"next {number}"]
    assert answer["status"] == 302
    assert answer["headers"]["Location"] in ("/", "/accounts/confirm-email/")


def test_a_wrong_password_is_not_repeated(answers: Answers) -> None:
    assert answers["sign-in"]["status"] == 200
    assert "wrong-pass-phrase" not in answers["sign-in"]["text"]


def test_a_lab_cannot_plant_a_cookie_of_the_site(answers: Answers) -> None:
    """Labs may stand under the same domain, and their people write their pages (RFC 6265bis, 4.1.3.2: prefix __Host-)."""
    assert answers["names"] == {"session": "__Host-mlsite_session", "csrf": "__Host-mlsite_csrf"}
    [cookie] = answers["sign-in"]["cookies"].values()
    assert cookie["secure"] is True
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/"
    assert "domain" not in cookie


def test_headers_of_every_page(answers: Answers) -> None:
    headers = answers["visitor"]["headers"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "max-age=31536000" in headers["Strict-Transport-Security"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_behind_a_proxy_each_person_has_tries_of_their_own(answers: Answers) -> None:
    """Counted by the proxy's address, ten wrong passwords of one would shut everybody out for a minute."""
    assert answers["proxies"] == 1


@pytest.mark.parametrize("page", ["signup", "password/reset", "login"])
def test_nobody_learns_who_has_an_account(answers: Answers, page: str) -> None:
    known, unknown = answers[f"{page} person"], answers[f"{page} nobody"]
    assert known["status"] == unknown["status"]
    assert known["headers"].get("Location") == unknown["headers"].get("Location")
    assert _words(known) == _words(unknown)


def _words(answer: dict[str, Any]) -> list[str]:
    """The page without what differs each time, and without the address that was typed."""
    lines = answer["text"].replace("person@", "nobody@").splitlines()
    return [line for line in lines if "csrf" not in line.lower() and 'name="now"' not in line]
