"""A page that stays open while its person is signed out, or signs in again in another tab."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from labs.models import Lab, ServiceTemplate, State
from tests.factories import PASSWORD, LabFactory
from tests.support.browser import NO_BROWSER, chromium, sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def page(live_server: Any, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A page of the member, signed in."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "on")
    with chromium() as browser:
        page = browser.new_context(base_url=live_server.url).new_page()
        sign_in(page, live_server.url, world.member.email, PASSWORD)
        yield page


def again_in_another_tab(page: Page, live_server: Any, world: SimpleNamespace) -> None:
    """Out, and in again: the token of forms is another one afterwards."""
    Session.objects.all().delete()
    other = page.context.new_page()
    sign_in(other, live_server.url, world.member.email, PASSWORD)
    other.close()


def test_a_page_says_that_its_person_was_signed_out(page: Page, live_server: Any, world: SimpleNamespace) -> None:
    template = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    lab = LabFactory(instance=world.instance, owner=world.member, template=template, state=State.STARTING)
    page.goto(f"/labs/{lab.pk}/")
    Session.objects.all().delete()
    expect(page.locator("#signed-out")).to_be_visible(timeout=20_000)
    expect(page.locator("input[name=password]")).to_have_count(0)
    expect(page.locator("h1")).to_have_text(lab.name)
    again_in_another_tab(page, live_server, world)
    Lab.objects.update(is_ready=True)
    expect(page.locator("#signed-out")).to_be_hidden(timeout=20_000)
    page.get_by_role("button", name="Show access key").click()
    expect(page.locator("#token")).to_contain_text("Copy", timeout=20_000)


def test_a_form_that_was_open_before_is_sent_all_the_same(page: Page, live_server: Any, world: SimpleNamespace) -> None:
    page.goto(world.launch)
    page.fill("#id_name", "typed-before")
    again_in_another_tab(page, live_server, world)
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.locator("h1")).to_have_text("typed-before")


def test_what_was_typed_is_there_again_after_signing_in(page: Page, live_server: Any, world: SimpleNamespace) -> None:
    page.goto(world.launch)
    page.fill("#id_name", "typed-before")
    page.fill("#id_cpu", "2")
    Session.objects.all().delete()
    page.get_by_role("button", name="Launch", exact=True).click()
    page.fill("input[name=login]", world.member.email)
    page.fill("input[name=password]", PASSWORD)
    page.locator("main form:has(input[name=password]) button[type=submit]").first.click()
    expect(page.locator("#id_name")).to_have_value("typed-before")
    expect(page.locator("#id_cpu")).to_have_value("2")
