"""Mail in a real browser: a letter is written and sent, words are tried in the preview, and the policy blocks nothing of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Letter, MailTemplate
from tests.factories import PASSWORD
from tests.support.browser import NO_BROWSER, chromium, complaints_of, sign_in

from .conftest import World

pytestmark = [
    pytest.mark.browser, pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER), pytest.mark.django_db(transaction=True),
]  # fmt: skip


def test_an_owner_writes_a_letter_and_words_of_their_own(live_server: Any, world: World) -> None:
    with chromium() as browser:
        page = browser.new_page(base_url=live_server.url)
        problems = complaints_of(page, kinds=("error",))
        sign_in(page, live_server.url, world.mine.owner.email, PASSWORD)
        problems.clear()
        page.goto(reverse("admin:accounts_letter_add"))
        page.fill("[name=subject]", "Exercise 3")
        page.fill("[name=text]", "It is due on Monday.")
        page.click("button:has-text('Continue')")
        page.click("button:has-text('Send to 3 people')")
        page.wait_for_selector("text=Your message is being sent to 3 people.")
        page.goto(reverse("admin:accounts_mailtemplate_add"))
        page.click("text=Access approved")
        page.fill("[name=subject]", "Welcome, {name}")
        page.fill("[name=body]", "Come in to {instance}.\n\n{link}")
        page.click("button:has-text('Preview')")
        frame = page.frame_locator("iframe[name=preview]")
        frame.locator("text=Subject: Welcome, Mine Owner").wait_for()
        frame.locator("a.button:has-text('Open Mine')").wait_for()
        assert not page.url.endswith("preview/")
        page.click("button:has-text('Save')")
        page.wait_for_selector("text=Saved: Access approved in Mine")
    assert problems == []
    assert Letter.objects.get().count == 3
    assert MailTemplate.objects.get().subject == "Welcome, {name}"
