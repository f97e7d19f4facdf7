"""The pages in a real browser: what site.js and htmx do, under the site's Content-Security-Policy, wide and narrow."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from labs.models import Lab, ServiceTemplate, State
from tests.factories import PASSWORD, LabFactory
from tests.support.browser import NO_BROWSER, chromium, complaints_of, sign_in

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER),
    pytest.mark.django_db(transaction=True),
]
NARROW = {"width": 390, "height": 844}


@pytest.fixture
def page(live_server: Any, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A page of the member, signed in; every complaint of the browser's is a failure."""
    # Playwright's loop runs in this thread, and Django takes that for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "on")
    with chromium() as browser:
        page = browser.new_page(base_url=live_server.url)
        complaints = complaints_of(page)
        sign_in(page, live_server.url, world.member.email, PASSWORD)
        yield page
    assert not complaints


def lab_of(world: SimpleNamespace, **fields: Any) -> Lab:
    template = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    return LabFactory(instance=world.instance, owner=world.member, template=template, **fields)


def test_the_launch_form_answers_while_it_is_filled_in(page: Page, world: SimpleNamespace) -> None:
    lab_of(world, name="taken", state=State.RUNNING)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(world.launch)
    page.fill("#id_name", "taken")
    expect(page.locator("#name-answer")).to_contain_text("You already have a lab called")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#id_name")).to_have_value("taken-2")
    expect(page.locator("#name-answer")).to_contain_text("Available.")
    page.fill("#id_password", "a secret word")
    page.locator("input[type=range]").first.fill("4")
    expect(page.locator("#id_cpu")).to_have_value("4")
    expect(page.locator("aside")).to_contain_text("1 + 4 of 4 cores")
    expect(page.locator("aside")).to_contain_text("you asked for 4")
    page.select_option("#id_image", label="TensorFlow")
    expect(page.locator("#id_image_choice")).to_contain_text("Keras")
    page.fill("#id_cpu", "2")
    expect(page.locator("input[type=range]").first).to_have_value("2")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.locator("h1")).to_have_text("taken-2")
    assert not [address for address in addresses if "secret" in address]


def test_a_card_follows_its_lab_without_a_reload(page: Page, world: SimpleNamespace) -> None:
    lab = lab_of(world, state=State.STARTING)
    page.goto("/labs/")
    expect(page.locator("article .pill")).to_have_text("Starting")
    expect(page.get_by_role("link", name="Open JupyterLab")).to_have_count(0)
    now = timezone.now()
    until = now + datetime.timedelta(hours=2)
    Lab.objects.filter(pk=lab.pk).update(state=State.RUNNING, is_ready=True, started_at=now, expires_at=until)
    expect(page.get_by_role("link", name="Open JupyterLab")).to_be_visible(timeout=10_000)
    expect(page.locator("article .clock")).to_have_text("1 h 59 min")
    expect(page.locator("#announce")).to_contain_text("Running")
    expect(page.locator("#poll")).to_have_attribute("hx-trigger", "every 30s, refresh")
    page.locator("summary", has_text="Stop").click()
    page.get_by_role("button", name="Stop lab").click()
    expect(page.locator("article .pill")).to_have_text("Stopping")
    Lab.objects.filter(pk=lab.pk).update(state=State.ENDED, ended_at=now)
    expect(page.locator("article .pill")).to_have_text("Ended", timeout=10_000)
    expect(page.locator("#poll")).not_to_have_attribute("hx-trigger", re.compile(""))


def test_a_labs_page_offers_more_time_as_soon_as_it_runs(page: Page, world: SimpleNamespace) -> None:
    lab = lab_of(world, state=State.STARTING, lifetime_minutes=60)
    page.goto(f"/labs/{lab.pk}/")
    expect(page.locator("#extend form")).to_have_count(0)
    now = timezone.now()
    until = now + datetime.timedelta(hours=1)
    Lab.objects.filter(pk=lab.pk).update(state=State.RUNNING, is_ready=True, started_at=now, expires_at=until)
    page.locator("#extend input[name=more]").fill("2", timeout=10_000)
    page.locator("#extend").get_by_role("button", name="Extend").click()
    expect(page.get_by_role("status").first).to_contain_text("extended by 2 hours")
    page.get_by_role("button", name="Show access key").click()
    expect(page.locator("#the-token")).to_have_text(re.compile("^[0-9a-f]{48}$"))
    assert page.url.endswith(f"/labs/{lab.pk}/")


def test_light_or_dark_is_remembered(page: Page) -> None:
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="Light or dark").click()
    page.goto("/labs/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_every_page_fits_a_telephone(page: Page, world: SimpleNamespace) -> None:
    failure = {"cause": "crashed", "title": "It failed", "text": "x" * 200, "next_step": "", "fatal": True}
    event = {"at": "2026-11-24T10:00:00Z", "type": "Warning", "reason": "Failed", "message": "y" * 300}
    labs = [
        lab_of(world, state=state, name="n" * 33 + state, diagnosis=failure, cluster_events=[event]) for state in State
    ]
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    pages = [
        "/",
        "/labs/",
        "/labs/history/",
        "/i/physics/",
        world.launch,
        "/profile/",
        "/about/",
        "/accounts/password/change/",
    ]
    for address in [*pages, *(f"/labs/{lab.pk}/" for lab in labs)]:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], address
        expect(page.get_by_role("navigation", name="Site").get_by_role("link", name="My labs")).to_be_visible()
