"""The console without a mouse and by ear: everything that can be pressed is in the tab order and has a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.factories import PASSWORD
from tests.support.browser import NO_BROWSER, chromium, complaints_of, sign_in

from .conftest import World

pytestmark = [
    pytest.mark.browser, pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER), pytest.mark.django_db(transaction=True),
]  # fmt: skip
PAGES = (
    "index",
    "accounts_membership_changelist",
    "labs_lab_changelist",
    "labs_quota_changelist",
    "labs_event_changelist",
)
#: What a person can see and press with a mouse, and nobody with a keyboard.
MOUSE_ONLY = """() => [...document.querySelectorAll('*')].filter(node => node.getClientRects().length
    && [...node.attributes].some(a => /^(x-on:|@)click(\\.|$)/.test(a.name) && !/outside/.test(a.name))
    && !node.matches('button, a[href], input, select, summary, [tabindex], #changelist-filter-close'))
    .map(node => node.outerHTML.slice(0, 200))"""
#: Icons that a reader would spell out.
SPELLED = "() => document.querySelectorAll('.material-symbols-outlined:not([aria-hidden=true])').length"
#: What can be reached and is called nothing, hidden icons aside.
NAMELESS = """() => [...document.querySelectorAll('a[href], button')].filter(node => {
    if (!node.getClientRects().length || node.closest('[aria-hidden=true]')) return false;
    const copy = node.cloneNode(true);
    copy.querySelectorAll('[aria-hidden=true]').forEach(part => part.remove());
    const images = [...copy.querySelectorAll('img')].map(image => image.alt).join('');
    return !(copy.textContent + images + (node.getAttribute('aria-label') || '') + (node.title || '')).trim();
}).map(node => node.outerHTML.slice(0, 200))"""


@pytest.fixture
def page(live_server: Any, world: World) -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(base_url=live_server.url)
        sign_in(page, live_server.url, world.mine.owner.email, PASSWORD)
        yield page


def test_everything_is_in_the_tab_order_and_has_a_name(page: Page, world: World) -> None:
    addresses = [reverse(f"admin:{name}") for name in PAGES]
    addresses.append(reverse("admin:labs_instance_change", args=[world.mine.instance.pk]))
    problems = complaints_of(page, kinds=("error",))
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for address in addresses:
            page.goto(address, wait_until="load")
            page.wait_for_selector("main #content")
            assert page.evaluate(MOUSE_ONLY) == [], (address, width)
            assert page.evaluate(SPELLED) == 0, (address, width)
            assert page.evaluate(NAMELESS) == [], (address, width)
            assert page.locator("main").count() == 1
    assert problems == []


def test_the_menu_opens_and_closes_by_keyboard_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(reverse("admin:index"))
    button = page.get_by_role("button", name="Menu", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Instances", exact=True).wait_for()
    assert button.get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.getElementById('nav-sidebar').contains(document.activeElement)")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Instances", exact=True).wait_for(state="hidden")
    assert page.evaluate("document.activeElement.id") == "menu-button"


def test_filters_and_account_open_and_close_by_keyboard(page: Page) -> None:
    page.goto(reverse("admin:accounts_membership_changelist"))
    page.get_by_role("button", name="Filters").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Filters")
    dialog.wait_for()
    expect(page.locator("#filter-close")).to_be_focused()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    expect(page.locator("#filter-button")).to_be_focused()
    page.locator("button[aria-controls=account-menu]").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Log out").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Log out").wait_for(state="hidden")


def test_a_refused_form_puts_the_cursor_on_what_is_wrong(page: Page, world: World) -> None:
    page.goto(reverse("admin:labs_instance_change", args=[world.mine.instance.pk]))
    page.fill("#id_keep_days", "99999")
    page.evaluate("document.querySelector('form#instance_form').noValidate = true")
    page.click("button[name=_save]")
    page.wait_for_selector("[aria-invalid=true]")
    assert page.evaluate("document.activeElement.id") == "id_keep_days"
