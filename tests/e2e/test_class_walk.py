"""A class, in a browser: its list is imported, two new people follow their invitations, labs are started for all, and stopped."""

from __future__ import annotations

import email
import email.policy
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import openid
from tests.support.browser import NO_BROWSER, chromium, sign_in
from tests.support.site import ROOT
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)]

DEMO_PASSWORD, NEW_PASSWORD = "open-the-labs", "a-long-password-1"
STUDENTS, KNOWN = 30, 28
#: The demo has two members of its own.
EVERYBODY = STUDENTS + 2
PEOPLE = "/i/physics-250/people/"
#: Accounts of students who have been here before, with a verified address.
ACCOUNTS = """
from allauth.account.models import EmailAddress
from accounts.models import User
users = User.objects.bulk_create(User(email=f"student{{n}}.{mark}@uni.example", name=f"Student {{n}}") for n in range({known}))
EmailAddress.objects.bulk_create(EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in users)
"""
LIVE = "from labs.models import Lab; print(Lab.objects.exclude(state='ended').count())"
#: How a new person signs in, once the page of the invitation is open: the page, the provider, the address.
SignIn = Callable[[Page, openid.Provider, str], None]


@pytest.fixture
def provider() -> Iterator[openid.Provider]:
    with openid.running() as running:
        yield running


@pytest.fixture
def class_stack(tmp_path: Path, demo_on_postgres: str, provider: openid.Provider) -> Iterator[Stack]:
    """A site that knows the provider, and whose node only pretends to run pods."""
    stack = Stack(tmp_path / "stack", database_url=demo_on_postgres, hollow=True)
    stack.env |= {
        "SIGN_IN_PROVIDERS": "campus", "SIGN_IN_CAMPUS_TITLE": "Campus", "SIGN_IN_CAMPUS_ISSUER": provider.url,
        "SIGN_IN_CAMPUS_CLIENT_ID": "walk", "SIGN_IN_CAMPUS_CLIENT_SECRET": "not so secret",
    }  # fmt: skip
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def by_password(page: Page, provider: openid.Provider, address: str) -> None:
    page.get_by_role("button", name="Create an account").click()
    page.fill("input[name=email]", address)
    page.fill("input[name=name]", "Nina New")
    for name in ("password1", "password2"):
        page.fill(f"input[name={name}]", NEW_PASSWORD)
    page.locator("main form:has(input[name=password1]) button[type=submit]").click()
    page.get_by_role("button", name="Accept the invitation").click()


def by_institution(page: Page, provider: openid.Provider, address: str) -> None:
    """With another address than the roster's: the link, not the account, was sent to the roster's mailbox."""
    provider.knows("nina", name="Nina New", email=f"nina.{address}", email_verified=True)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Continue with Campus").click()
    page.fill("input[name=sub]", "nina")
    page.get_by_role("button", name="Authorize").click()
    page.get_by_role("button", name="Accept the invitation").click()


#: How each of those whom the site does not know yet comes in.
NEW: list[SignIn] = [by_password, by_institution]


def test_a_class_is_imported_joined_started_and_stopped(
    class_stack: Stack, provider: openid.Provider, tmp_path: Path
) -> None:
    stack, mark = class_stack, uuid4().hex[:8]
    stack.shell(ACCOUNTS.format(mark=mark, known=KNOWN))
    with chromium() as browser:
        staff = browser.new_page(base_url=stack.url)
        sign_in(staff, stack.url, "staff@example.org", DEMO_PASSWORD)
        _import(staff, _list(tmp_path, mark))
        _invite(staff)
        for number, sign_on in enumerate(NEW, KNOWN):
            _join(browser, stack, provider, f"student{number}.{mark}@uni.example", sign_on)
        _start(staff, stack)
        _stop(staff, stack)


def _list(folder: Path, mark: str) -> Path:
    """As Excel saves it in Europe: semicolons, a mark of UTF-8, capitals in addresses."""
    lines = [f"Student{n}.{mark}@Uni.Example;Student {n};{'AB'[n % 2]}" for n in range(STUDENTS)]
    path = folder / "class.csv"
    path.write_text("\ufeffE-Mail-Adresse;Name;Gruppe\r\n" + "\r\n".join(lines), encoding="utf-8")
    return path


def _import(page: Page, path: Path) -> None:
    page.goto("/i/physics-250/")
    page.get_by_role("link", name="People and roster").click()
    page.get_by_role("link", name="Import a roster").first.click()
    page.set_input_files("input[type=file]", path)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".tally")).to_contain_text(f"{STUDENTS} new")
    page.get_by_role("button", name=f"Import {STUDENTS} people").click()
    expect(page.get_by_role("status")).to_contain_text(f"{STUDENTS} new. {KNOWN} of them already had an account")


def _invite(page: Page) -> None:
    page.get_by_role("button", name="Invite 2 people by e-mail").click()
    expect(page.get_by_role("status")).to_contain_text("2 people invited by e-mail.")


def _join(browser: Browser, stack: Stack, provider: openid.Provider, address: str, sign_on: SignIn) -> None:
    page = browser.new_context(base_url=stack.url).new_page()
    # The provider's page asks another site for its style sheet.
    page.route(lambda url: "localhost" not in url and "127.0.0.1" not in url, lambda route: route.abort())
    page.goto(_link_of(address))
    expect(page.locator("h1")).to_have_text("You are invited to Physics 250")
    sign_on(page, provider, address)
    expect(page.locator("main")).to_contain_text("Member")
    expect(page.get_by_role("link", name="Launch").first).to_be_visible()
    page.context.close()


def _link_of(address: str) -> str:
    """From the mail, which the site puts into a folder where there is no mail server."""

    def found() -> str:
        for path in (ROOT / ".run" / "mail").glob(f"*{address}*.eml"):
            body = email.message_from_bytes(path.read_bytes(), policy=email.policy.default).get_body(("plain",))
            if body and (link := re.search(r"http\S+/join/\S+", body.get_content())):
                path.unlink()
                return link[0]
        return ""

    return str(until(found, 60, "the invitation is mailed"))


def _start(page: Page, stack: Stack) -> None:
    page.goto(f"{PEOPLE}labs/")
    page.get_by_role("link", name="Prepare a JupyterLab").click()
    page.fill("#id_title", "Week 3")
    page.fill("#id_cpu", "0.5")
    page.fill("#id_memory", "1")
    page.get_by_role("button", name="Save").click()
    begun = time.monotonic()
    page.get_by_role("button", name="Start for everyone").click()
    expect(page.locator(".tally .running")).to_contain_text(str(EVERYBODY), timeout=120_000)
    print(f"{EVERYBODY} labs run {time.monotonic() - begun:.1f} s after the button")
    page.goto(f"{PEOPLE}labs/")
    page.get_by_role("button", name="Start for everyone").click()
    expect(page.locator(".tally .has-one")).to_contain_text(str(EVERYBODY), timeout=60_000)
    assert int(stack.shell(LIVE)) == EVERYBODY


def _stop(page: Page, stack: Stack) -> None:
    page.goto(f"{PEOPLE}labs/")
    page.locator("summary", has_text="Stop all").click()
    page.get_by_role("button", name="Stop labs").click()
    expect(page.get_by_role("status")).to_contain_text(f"{EVERYBODY} labs are being stopped.")
    until(lambda: not int(stack.shell(LIVE)), 120, "all have ended")
