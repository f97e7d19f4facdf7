"""Signing in through a provider in a real browser, and signing out everywhere; a passkey; under the site's own policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from tests.factories import PASSWORD, UserFactory
from tests.support.browser import NO_BROWSER, chromium, sign_in
from tests.support.openid import Provider

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER),
    pytest.mark.django_db(transaction=True),
]
NARROW = {"width": 390, "height": 844}


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright's loop runs in this thread, and Django takes that for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "on")
    with chromium() as started:
        yield started


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browser says on the site's own pages; a complaint is a failure."""
    said: list[str] = []
    yield said
    assert not said


def page_of(browser: Browser, url: str, complaints: list[str]) -> Page:
    """A page with cookies of its own."""
    page = browser.new_context(base_url=url).new_page()

    def hear(message: Any) -> None:
        if message.type in ("error", "warning") and url in message.location.get("url", ""):
            complaints.append(message.text)

    page.on("console", hear)
    # The provider's page asks another site for its style sheet.
    page.route(lambda address: "localhost" not in address and "127.0.0.1" not in address, lambda route: route.abort())
    return page


def through_the_provider(page: Page, sub: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Continue with Globus").click()
    page.fill("input[name=sub]", sub)
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("link", name="My labs")).to_be_visible()


def test_in_through_the_provider_and_out_everywhere(
    browser: Browser, live_server: Any, provider: Provider, complaints: list[str]
) -> None:
    provider.knows("ada", name="Ada Example", email="ada@uni.example", organization="Example University")
    pages = [page_of(browser, live_server.url, complaints) for _ in range(2)]
    for page in pages:
        through_the_provider(page, "ada")
    assert User.objects.get().email == "ada@uni.example"
    here, there = pages
    here.goto("/profile/")
    expect(here.get_by_role("listitem").filter(has_text="Globus")).to_contain_text("ada@uni.example")
    here.get_by_role("link", name="In 2 browsers").click()
    here.get_by_role("button", name="Sign out everywhere", exact=True).click()
    expect(here.get_by_role("status")).to_contain_text("signed out everywhere")
    there.goto("/profile/")
    expect(there).to_have_url(f"{live_server.url}/accounts/login/?next=/profile/")


def test_a_passkey_is_made_and_signs_in(browser: Browser, live_server: Any, complaints: list[str]) -> None:
    user = UserFactory()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    # A passkey belongs to a name, and an address of numbers is none.
    url = live_server.url.replace("127.0.0.1", "localhost")
    page = page_of(browser, url, complaints)
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }})  # fmt: skip
    sign_in(page, url, user.email, PASSWORD)
    page.goto("/accounts/2fa/webauthn/add/")
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Use it to sign in without a password").check()
    page.get_by_role("button", name="Add key").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).count() == 1
    page.goto("/accounts/logout/")
    page.locator("main").get_by_role("button", name="Sign out").click()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("link", name="My labs")).to_be_visible()


def test_every_page_of_an_account_fits_a_telephone(
    browser: Browser, live_server: Any, provider: Provider, complaints: list[str]
) -> None:
    provider.knows("ada", name="Ada Example", email="ada@uni.example", organization="A very long name " * 8)
    page = page_of(browser, live_server.url, complaints)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]

    def fits(address: str) -> None:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], address

    for address in ("login/", "signup/", "password/reset/", "oidc/globus/login/", "inactive/"):
        fits(f"/accounts/{address}")
    through_the_provider(page, "ada")
    for address in (
        "email/",
        "sessions/",
        "3rdparty/",
        "password/set/",
        "2fa/",
        "2fa/totp/activate/",
        "2fa/webauthn/add/",
    ):
        fits(f"/accounts/{address}")
    for address in ("/profile/", "/profile/delete/", "/profile/again/"):
        fits(address)
