"""My labs, a lab's page and the history: what is shown, when the page asks again, and at which cost."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from labs.models import Lab, State
from tests.factories import EventFactory, InstanceFactory, LabFactory, MembershipFactory

SignIn = Callable[[User], Client]
FAILURE = {
    "cause": "image-not-found",
    "title": "The software does not exist",
    "text": "<i>",
    "next_step": "Tell.",
    "fatal": True,
}


@pytest.fixture
def browser(world: SimpleNamespace, signed_in: SignIn) -> Client:
    return signed_in(world.member)


@pytest.fixture
def make(world: SimpleNamespace) -> Callable[..., Lab]:
    return lambda **fields: LabFactory(instance=world.instance, owner=world.member, template=world.template, **fields)


def seen(page: str) -> list[str]:
    return re.findall(r'name="s" value="(\w+)"', page)


def rate(page: str) -> str | None:
    found = re.search(r'hx-trigger="every (\d+)s', page)
    return found[1] if found else None


@pytest.mark.parametrize(
    ("state", "ready", "shown"),
    [
        (State.RUNNING, True, True),
        (State.RUNNING, False, False),
        (State.STARTING, False, False),
        (State.STOPPING, False, False),
    ],
)
def test_the_link_is_there_only_while_the_lab_answers(
    browser: Client, make: Callable[..., Lab], state: State, ready: bool, shown: bool
) -> None:
    lab = make(state=state, is_ready=ready)
    for page in ("/", "/labs/", f"/labs/{lab.pk}/"):
        assert (f'href="{lab.address}"' in browser.get(page).text) is shown


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.REQUESTED, "2"),
        (State.QUEUED, "2"),
        (State.STARTING, "2"),
        (State.RUNNING, "30"),
        (State.STOPPING, "2"),
        (State.ENDED, None),
    ],
)
def test_a_page_asks_again_only_while_something_can_change(
    browser: Client, make: Callable[..., Lab], state: State, expected: str | None
) -> None:
    lab = make(state=state)
    assert rate(browser.get("/labs/").text) == expected
    assert rate(browser.get(f"/labs/{lab.pk}/").text) == expected


def test_nothing_new_is_answered_with_nothing(browser: Client, make: Callable[..., Lab]) -> None:
    lab = make(state=State.STARTING)
    page = browser.get("/labs/").text
    assert browser.get("/labs/changes/", {"s": seen(page), "rate": "2"}).status_code == 204
    digest = re.search(r"live/\?s=(\w+)", browser.get(f"/labs/{lab.pk}/").text)
    assert digest
    assert browser.get(f"/labs/{lab.pk}/live/", {"s": digest[1]}).status_code == 204


def test_only_the_card_that_changed_is_sent(browser: Client, make: Callable[..., Lab]) -> None:
    lab, other = make(state=State.STARTING), make(state=State.STARTING)
    page = browser.get("/labs/").text
    now = timezone.now()
    Lab.objects.filter(pk=lab.pk).update(state=State.RUNNING, is_ready=True, started_at=now, expires_at=now)
    answer = browser.get("/labs/changes/", {"s": seen(page), "rate": "2"}).text
    assert f'id="lab-{lab.pk.hex[:12]}"' in answer
    assert f'id="lab-{other.pk.hex[:12]}"' not in answer
    assert f"{lab.name}: Running." in answer


def test_polling_slows_down_and_stops(browser: Client, make: Callable[..., Lab]) -> None:
    lab = make(state=State.STARTING)
    page = browser.get("/labs/").text
    now = timezone.now()
    later = now + datetime.timedelta(hours=1)
    Lab.objects.filter(pk=lab.pk).update(state=State.RUNNING, is_ready=True, started_at=now, expires_at=later)
    page = browser.get("/labs/changes/", {"s": seen(page), "rate": "2"}).text
    assert rate(page) == "30"
    Lab.objects.filter(pk=lab.pk).update(state=State.ENDED, is_ready=False, end_reason="user", ended_at=now)
    page = browser.get("/labs/changes/", {"s": seen(page), "rate": "30"}).text
    assert "Stopped by its owner" in page
    assert 'id="poll"' in page
    assert rate(page) is None
    assert rate(browser.get(f"/labs/{lab.pk}/live/").text) is None


def test_a_lab_launched_elsewhere_appears(browser: Client, make: Callable[..., Lab]) -> None:
    make(state=State.STARTING)
    page = browser.get("/labs/").text
    make(state=State.REQUESTED, name="another")
    answer = browser.get("/labs/changes/", {"s": seen(page), "rate": "2"}).text
    assert 'hx-swap-oob="afterbegin:#cards"' in answer
    assert "another" in answer


@pytest.mark.parametrize("state", [State.STOPPING, State.ENDED])
def test_a_failure_says_why_and_what_to_do_and_is_escaped(
    browser: Client, make: Callable[..., Lab], state: State
) -> None:
    lab = make(
        state=state, end_reason="failed", started_at=None, diagnosis=FAILURE, log_tail="<script>alert(1)</script>"
    )
    for address in ("/labs/", f"/labs/{lab.pk}/"):
        page = browser.get(address).text
        assert "The software does not exist" in page
        assert "Launch again" in page
        assert "&lt;i&gt;" in page
    assert "<script>alert(1)" not in browser.get(f"/labs/{lab.pk}/log/").text
    assert "&lt;script&gt;alert(1)" in browser.get(f"/labs/{lab.pk}/log/", headers={"HX-Request": "true"}).text


def test_a_failure_that_was_launched_again_is_out_of_the_way(browser: Client, make: Callable[..., Lab]) -> None:
    now = timezone.now()
    make(
        name="fit",
        state=State.ENDED,
        end_reason="failed",
        diagnosis=FAILURE,
        created_at=now - datetime.timedelta(hours=1),
    )
    make(name="fit", state=State.RUNNING)
    assert len(seen(browser.get("/labs/").text)) == 1


def test_the_place_in_the_queue_is_shown(browser: Client, world: SimpleNamespace, make: Callable[..., Lab]) -> None:
    earlier = timezone.now() - datetime.timedelta(minutes=5)
    LabFactory(instance=world.instance, state=State.QUEUED, created_at=earlier)
    LabFactory(instance=InstanceFactory(), state=State.QUEUED, created_at=earlier)
    make(state=State.QUEUED)
    assert "Number <b>2</b> in the queue" in browser.get("/labs/").text


def test_events_of_the_cluster_are_escaped(world: SimpleNamespace, signed_in: SignIn, make: Callable[..., Lab]) -> None:
    event = {"at": "2026-11-24T10:00:00Z", "type": "Warning", "reason": "Failed", "message": "<script>x</script>"}
    page = signed_in(world.staff).get(f"/labs/{make(state=State.STARTING, cluster_events=[event]).pk}/").text
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page


RAW = "0/2 nodes are available: 2 Insufficient cpu."
WAITING = {
    "cause": "no-free-cpu", "title": "The lab waits for free CPU", "text": "It needs 4 CPUs.", "next_step": "Wait.",
    "fatal": False, "technical": RAW, "since": "2026-11-24T10:00:00Z",
}  # fmt: skip


def test_the_clusters_own_words_are_for_the_staff(
    world: SimpleNamespace, signed_in: SignIn, make: Callable[..., Lab]
) -> None:
    event = {"at": "2026-11-24T10:00:00Z", "type": "Warning", "reason": "FailedScheduling", "message": RAW}
    lab = make(state=State.STARTING, diagnosis=WAITING, cluster_events=[event])
    for address in (f"/labs/{lab.pk}/", f"/labs/{lab.pk}/live/", "/labs/", f"/api/labs/{lab.pk}/"):
        text = signed_in(world.member).get(address).text
        assert RAW not in text, address
        assert "The lab waits for free CPU" in text, address
    assert "No machine could take it yet" in signed_in(world.member).get(f"/labs/{lab.pk}/").text
    assert signed_in(world.staff).get(f"/labs/{lab.pk}/").text.count(RAW) == 2


def test_extending_adds_time_and_too_much_is_refused_in_words(browser: Client, make: Callable[..., Lab]) -> None:
    lab = make(state=State.RUNNING, lifetime_minutes=60)
    browser.post(f"/labs/{lab.pk}/extend/", {"more": "2", "more_unit": "hours"})
    lab.refresh_from_db()
    assert lab.lifetime_minutes == 180
    page = browser.post(f"/labs/{lab.pk}/extend/", {"more": "3", "more_unit": "days", "back": "list"}, follow=True)
    assert page.status_code == 400
    assert "may get 21 hours more; you asked for 3 days" in page.text
    for wrong in ("", "x", "-1", "1e9", "0.001"):
        browser.post(f"/labs/{lab.pk}/extend/", {"more": wrong, "more_unit": "minutes"})
    lab.refresh_from_db()
    assert lab.lifetime_minutes == 180


def test_stopping_ends_the_lab(browser: Client, make: Callable[..., Lab]) -> None:
    lab = make(state=State.RUNNING)
    assert "is being stopped" in browser.post(f"/labs/{lab.pk}/stop/", follow=True).text
    lab.refresh_from_db()
    assert (lab.state, lab.end_reason) == (State.STOPPING, "user")


def test_history_has_ones_own_ended_labs_page_by_page(
    browser: Client, world: SimpleNamespace, make: Callable[..., Lab]
) -> None:
    for number in range(60):
        make(state=State.ENDED, name=f"mine-{number}")
    make(state=State.RUNNING, name="still-there")
    LabFactory(instance=world.instance, state=State.ENDED, name="theirs")
    page = browser.get("/labs/history/").text
    assert page.count("mine-") == 25
    assert "Page 1 of 3" in page
    assert "still-there" not in page
    assert "theirs" not in page
    assert browser.get("/labs/history/?page=3").text.count("mine-") == 10


@pytest.mark.parametrize(
    "address", ["/", "/labs/", "/labs/changes/", "/labs/history/", "/i/physics/", "/api/labs/", "/api/instances/"]
)
def test_a_page_of_200_labs_takes_as_many_queries_as_one_of_2(
    browser: Client, world: SimpleNamespace, make: Callable[..., Lab], address: str
) -> None:
    def labs(count: int) -> None:
        for state in State:
            for _ in range(count):
                make(state=state, diagnosis=FAILURE if state == State.ENDED else None, gpus=1, gpu_model="a100")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert browser.get(address).status_code == 200
        return len(caught)

    labs(2)
    MembershipFactory(user=world.member)
    browser.get(address)  # the session is read, and the content types, once
    few = queries()
    labs(33)
    for _ in range(5):
        MembershipFactory(user=world.member)
        InstanceFactory()
    assert queries() == few


def test_a_labs_page_takes_the_same_queries_whatever_happened(
    browser: Client, make: Callable[..., Lab], world: SimpleNamespace
) -> None:
    lab = make(state=State.RUNNING)

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            browser.get(f"/labs/{lab.pk}/")
        return len(caught)

    EventFactory(actor=world.member, workload=lab, instance=world.instance)
    few = queries()
    EventFactory.create_batch(20, actor=world.staff, workload=lab, instance=world.instance)
    assert queries() == few


def test_every_page_is_free_of_inline_script_and_style(
    browser: Client, make: Callable[..., Lab], world: SimpleNamespace
) -> None:
    lab: Any = make(state=State.RUNNING)
    pages = ["/", "/about/", "/labs/", "/labs/history/", "/i/physics/", world.launch, f"/labs/{lab.pk}/", "/profile/",
             "/accounts/password/change/", "/accounts/logout/"]  # fmt: skip
    for page in pages:
        answer = browser.get(page)
        assert "default-src 'self'" in answer["Content-Security-Policy"], page
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", answer.text), page
        assert not re.search(r'(src|href)="https?://(?!lab|[\w.-]*example)', answer.text), page
