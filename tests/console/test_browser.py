"""The console in a real browser: its policy blocks nothing that its pages need, and its buttons work."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Status
from labs.models import State
from tests.factories import PASSWORD
from tests.support.browser import NO_BROWSER, chromium, complaints_of, sign_in

from .conftest import World

pytestmark = [
    pytest.mark.browser, pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER), pytest.mark.django_db(transaction=True),
]  # fmt: skip


def test_an_owner_approves_stops_and_limits_without_a_blocked_script_or_style(live_server: Any, world: World) -> None:
    mine = world.mine
    lab_page = reverse("admin:labs_lab_change", args=[mine.lab.pk])
    instance_page = reverse("admin:labs_instance_change", args=[mine.instance.pk])
    lists = [
        reverse(f"admin:{name}_changelist")
        for name in ("accounts_membership", "labs_quota", "labs_instance", "labs_event")
    ]
    with chromium() as browser:
        page = browser.new_page()
        problems = complaints_of(page, kinds=("error",))
        sign_in(page, live_server.url, mine.owner.email, PASSWORD)
        problems.clear()
        page.goto(live_server.url + reverse("admin:index"))
        page.fill("input[name=word]", "welcome")
        page.click("text=Approve")
        page.wait_for_selector("text=No access requests.")
        page.goto(live_server.url + lab_page)
        page.click("a:has-text('Stop')")
        page.click("button:has-text('Stop')")
        page.wait_for_selector("text=Stopping")
        page.goto(live_server.url + instance_page)
        page.fill("[data-inline-type=tabular] input[name$='-0-cpu_millis'] >> nth=0", "1.5")
        page.click("text=Add another Person")
        page.click("button[name=_save]")
        page.wait_for_selector("text=was changed successfully")
        for path in lists:
            page.goto(live_server.url + path, wait_until="networkidle")
        page.goto(live_server.url + lists[0])
        page.check("input.action-select >> nth=0")
        page.wait_for_selector("select[name=action]")
        page.click("button:has-text('Filters')")
    assert problems == []
    for row in (mine.request, mine.lab, mine.default):
        row.refresh_from_db()
    assert (mine.request.status, mine.request.decision_note) == (Status.APPROVED, "welcome")
    assert mine.lab.state == State.STOPPING
    assert mine.default.cpu_millis == 1500
