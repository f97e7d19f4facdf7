"""What a lab's page says when something happens to it: files lost, its end, why it failed, its log."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from labs.models import EndReason, Lab, State
from labs.services.logs import Log
from labs.services.stopping import end, stop
from tests.factories import LabFactory

SignIn = Callable[[User], Client]


@pytest.fixture
def browser(world: SimpleNamespace, signed_in: SignIn) -> Client:
    return signed_in(world.member)


@pytest.fixture
def make(world: SimpleNamespace) -> Callable[..., Lab]:
    return lambda **fields: LabFactory(instance=world.instance, owner=world.member, template=world.template, **fields)


LOST = {"lost_why": "Its machine was taken out of service."}


@pytest.mark.parametrize(("ready", "says"), [(True, "it is empty"), (False, "will be empty")])
def test_a_lab_that_lost_its_files_says_so_while_it_lives(
    browser: Client, make: Callable[..., Lab], ready: bool, says: str
) -> None:
    lab = make(state=State.RUNNING, is_ready=ready, lost_at=timezone.now(), **LOST)
    for page in ("/labs/", f"/labs/{lab.pk}/"):
        text = browser.get(page).text
        assert "This lab lost its files at" in text
        assert LOST["lost_why"] in text
        assert says in text
    Lab.objects.filter(pk=lab.pk).update(state=State.ENDED, end_reason="user", ended_at=timezone.now())
    assert "This lab lost its files" not in browser.get(f"/labs/{lab.pk}/").text


def test_a_page_that_is_open_learns_of_a_loss(browser: Client, make: Callable[..., Lab]) -> None:
    lab = make(state=State.RUNNING)
    page = browser.get("/labs/").text
    seen = page.split('name="s" value="')[1].split('"')[0]
    Lab.objects.filter(pk=lab.pk).update(lost_at=timezone.now(), **LOST)
    assert "This lab lost its files at" in browser.get("/labs/changes/", {"s": seen, "rate": "30"}).text


# Its end -----------------------------------------------------------------------------------------------------------------

MINUTE = datetime.timedelta(minutes=1)


def ends_in(make: Callable[..., Lab], minutes: int, lifetime: int = 240) -> Lab:
    now = timezone.now()
    return make(
        state=State.RUNNING, lifetime_minutes=lifetime, created_at=now - (lifetime - minutes) * MINUTE,
        expires_at=now + minutes * MINUTE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lifetime", "left", "told"), [(240, 61, False), (240, 59, True), (60, 11, False), (60, 9, True)]
)
def test_a_lab_that_ends_soon_says_so_and_gets_an_hour_by_one_click(
    browser: Client, make: Callable[..., Lab], lifetime: int, left: int, told: bool
) -> None:
    lab = ends_in(make, left, lifetime)
    for page in ("/labs/", f"/labs/{lab.pk}/"):
        text = browser.get(page).text
        assert ('data-cause="ends-soon"' in text) is told
        assert ("1 hour more</button>" in text) is told
    if told:
        form = re.search(r'name="more" value="(\d+)"><input type="hidden" name="more_unit" value="(\w+)"', text)
        assert form
        browser.post(f"/labs/{lab.pk}/extend/", {"more": form[1], "more_unit": form[2]})
        assert Lab.objects.get(pk=lab.pk).expires_at == lab.expires_at + 60 * MINUTE
        assert 'data-cause="ends-soon"' not in browser.get(page).text


@pytest.mark.parametrize(("lifetime", "button"), [(1420, "20 minutes more</button>"), (1440, None)])
def test_one_click_gives_no_more_than_there_may_be(
    browser: Client, make: Callable[..., Lab], lifetime: int, button: str | None
) -> None:
    text = browser.get(f"/labs/{ends_in(make, 30, lifetime).pk}/").text
    assert 'data-cause="ends-soon"' in text
    assert (button or "reached its maximum lifetime. Download") in text
    assert button or "more</button>" not in text


def test_what_was_typed_for_more_time_stays_with_the_reason(browser: Client, make: Callable[..., Lab]) -> None:
    lab = make(state=State.RUNNING, lifetime_minutes=60)
    page = browser.post(f"/labs/{lab.pk}/extend/", {"more": "1381", "more_unit": "minutes", "back": "list"})
    assert page.status_code == 400
    assert 'value="1381"' in page.text
    assert '<option value="minutes" selected>' in page.text
    assert "It has 1 hour and may get 23 hours more; you asked for 23 hours 1 minute." in page.text


def test_time_is_said_in_days_and_hours(browser: Client, make: Callable[..., Lab]) -> None:
    lab = make(state=State.RUNNING, lifetime_minutes=5)
    assert "by up to 23 hours 55 minutes" in browser.get(f"/labs/{lab.pk}/").text


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (EndReason.EXPIRED, "because its lifetime was over"),
        (EndReason.INSTANCE_OVER, "because Physics ended"),
        (EndReason.USER, "because someone chose Shut Down in its File menu"),
    ],
)
def test_an_ended_lab_says_first_how_and_why(
    browser: Client, make: Callable[..., Lab], reason: EndReason, says: str
) -> None:
    lab = make(state=State.RUNNING, created_at=timezone.now() - 90 * MINUTE)
    end(lab, reason, now=timezone.now())
    assert f"This lab ends {says}" in browser.get(f"/labs/{lab.pk}/").text
    Lab.objects.filter(pk=lab.pk).update(state=State.ENDED, ended_at=timezone.now())
    text = browser.get(f"/labs/{lab.pk}/").text
    assert f"This lab ended {says}" in text
    assert "It ran for 1 h 30 min. Its files have been deleted." in text
    assert f"?like={lab.pk}" in text
    assert text.index(says) < text.index("About this lab")


def test_a_lab_that_the_staff_stopped_says_who_and_why_and_tells_no_old_incident(
    browser: Client, make: Callable[..., Lab], world: SimpleNamespace, signed_in: SignIn
) -> None:
    old = {"cause": "restarted", "title": "The lab was interrupted", "text": "Your files are still there.", "next_step": "Open it.",
           "fatal": False}  # fmt: skip
    lab = make(state=State.RUNNING, diagnosis=old)
    stop(lab, actor=world.staff, now=timezone.now(), reason="The room is needed.")
    pages = [f"/labs/{lab.pk}/", f"/console/labs/lab/{lab.pk}/change/", "/console/labs/lab/?which=all"]
    for state in (State.STOPPING, State.ENDED):
        Lab.objects.filter(pk=lab.pk).update(state=state, ended_at=timezone.now())
        text = browser.get(pages[0]).text
        assert f"{world.staff} stopped this lab" in text
        assert "The room is needed." in text
        for page, client in zip(pages, (browser, *[signed_in(world.staff)] * 2), strict=True):
            assert "interrupted" not in client.get(page).text
    assert "You stopped this lab" in signed_in(world.staff).get(pages[0]).text


def test_nothing_is_launched_again_where_the_instance_is_over(
    browser: Client, make: Callable[..., Lab], world: SimpleNamespace
) -> None:
    lab = make(state=State.ENDED, end_reason=EndReason.INSTANCE_OVER)
    world.instance.ends_on = timezone.localdate() - datetime.timedelta(days=1)
    world.instance.save()
    assert "Launch again" not in browser.get(f"/labs/{lab.pk}/").text


# Its log, and what does not go away --------------------------------------------------------------------------------------


def test_a_log_says_whose_it_is_and_can_be_taken_along(
    browser: Client, make: Callable[..., Lab], world: SimpleNamespace, signed_in: SignIn
) -> None:
    lab = make(state=State.ENDED, log_tail="<b>one</b>\nthe last line\n")
    address = f"/labs/{lab.pk}/log/"
    page = browser.get(address).text
    assert f"<h1>Log of {lab.name}</h1>" in page
    assert "Your lab in Physics." in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert f"A lab of {world.member} in Physics." in signed_in(world.staff).get(address).text
    console = signed_in(world.staff).get(f"/console/labs/lab/{lab.pk}/log/").text
    assert f"the log of {lab.name}, a lab of {world.member} in Physics." in console
    assert f"{address}?download=1" in console
    file = browser.get(address, {"download": "1"})
    assert file["Content-Disposition"] == f'attachment; filename="{lab.name}.log"'
    assert file["Content-Type"].startswith("text/plain")
    assert file.text == lab.log_tail


@pytest.mark.parametrize(("state", "follows"), [(State.RUNNING, True), (State.ENDED, False)])
def test_a_log_is_followed_while_there_is_something_to_follow(
    browser: Client, make: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, state: State, follows: bool
) -> None:
    monkeypatch.setattr("labs.services.logs.fetch", lambda row, lines: Log("a line"))
    lab = make(state=state)
    assert (">Follow</a>" in browser.get(f"/labs/{lab.pk}/log/").text) is follows
    page = browser.get(f"/labs/{lab.pk}/log/", {"follow": "1"}, headers={"HX-Request": "true"}).text
    assert ('hx-trigger="every 3s"' in page) is follows


def test_what_holds_a_lab_is_on_the_pages_and_what_to_do_is_for_the_staff(
    browser: Client, make: Callable[..., Lab], world: SimpleNamespace, signed_in: SignIn
) -> None:
    held = {"cause": "held-by-others", "title": "The lab cannot be removed yet", "text": "It is held.", "next_step": "Nothing.",
            "technical": "kubectl patch", "since": "2026-01-01T00:00:00Z", "fatal": False}  # fmt: skip
    lab = make(state=State.STOPPING, removal=held)
    for page in ("/labs/", f"/labs/{lab.pk}/"):
        text = browser.get(page).text
        assert held["title"] in text
        assert "kubectl" not in text
    staff = signed_in(world.staff)
    for page in (f"/labs/{lab.pk}/", f"/console/labs/lab/{lab.pk}/change/"):
        assert "kubectl patch" in staff.get(page).text
    assert held["title"] in staff.get("/console/labs/lab/?which=stuck").text
    assert "cannot be removed" in staff.get("/console/").text
