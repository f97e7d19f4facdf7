"""Long lists are read and written by a worker, whose task may be lost."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from accounts import tasks
from accounts.models import RosterEntry, RosterUpload, UploadState
from accounts.services.roster import uploads
from accounts.services.sweep import sweep
from labs.models import Event, Verb

MINUTE = datetime.timedelta(minutes=1)
pytestmark = pytest.mark.django_db


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as large."""
    monkeypatch.setattr(uploads, "AT_ONCE", 0)


@pytest.fixture
def told(course: SimpleNamespace, now: datetime.datetime) -> dict[str, Any]:
    return {"instance": course.instance, "actor": course.owner, "now": now}


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]) -> RosterUpload:
    monkeypatch.setattr(uploads, "SHORT", 1)
    return uploads.keep(text="e-mail\nann@uni.example\nbo@uni.example\n", **told)


def sent() -> int:
    """Tasks for lists in the queue."""
    return sum(one.task["func"] == uploads.TASK for one in OrmQ.objects.all())


def test_the_sweep_sends_a_lost_task_again(
    large: None, told: dict[str, Any], now: datetime.datetime, django_capture_on_commit_callbacks: Any
) -> None:
    upload = uploads.keep(text="ann@uni.example", **told)  # What it sends is lost: nothing is committed here.
    for minutes, count in ((1, 0), (3, 1), (4, 1), (6, 2)):
        with django_capture_on_commit_callbacks(execute=True):
            sweep(now + minutes * MINUTE)
        assert sent() == count, f"after {minutes} minutes"
    assert tasks.read_roster(str(upload.pk))
    upload.refresh_from_db()
    assert upload.state == UploadState.READY
    with django_capture_on_commit_callbacks(execute=True):
        sweep(now + 10 * MINUTE)
    assert sent() == 2


def test_a_list_that_ends_every_worker_is_given_up(large: None, told: dict[str, Any], now: datetime.datetime) -> None:
    upload = uploads.keep(text="ann@uni.example", **told)
    for minutes in range(3, 30, 3):
        uploads.send_again(now + minutes * MINUTE)
    upload.refresh_from_db()
    assert (upload.state, upload.problem) == (UploadState.REFUSED, uploads.FAULT)


def test_a_long_list_is_imported_by_a_worker(long: RosterUpload, course: SimpleNamespace) -> None:
    browser = Client()
    browser.force_login(course.owner)
    page = reverse("roster-preview", args=[course.instance.slug, long.pk])
    for _ in range(2):
        answer = browser.post(page)
        assert (answer.status_code, answer["Location"]) == (302, page)
        assert not RosterEntry.objects.exists()
    assert "The list is being imported." in browser.get(page).text
    browser.post(page, {"choose": "yes"})
    assert RosterUpload.objects.get(pk=long.pk).state == UploadState.IMPORTING
    assert [tasks.read_roster(str(long.pk)), tasks.read_roster(str(long.pk))] == [True, False]
    assert RosterEntry.objects.count() == 2
    assert Event.objects.get(verb=Verb.ROSTER_IMPORTED).after["new"] == 2
    assert browser.get(page, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert "<h1>Imported</h1>" in browser.get(page).text


def test_what_a_worker_cannot_import_is_told_on_the_page(
    long: RosterUpload, course: SimpleNamespace, told: dict[str, Any]
) -> None:
    assert uploads.hand_over(long.pk, **told)
    RosterEntry.objects.create(instance=course.instance, email="ann@uni.example", name="Ann")
    assert not uploads.work_off(long.pk, now=told["now"])
    long.refresh_from_db()
    assert long.state == UploadState.READY
    assert "has changed since this preview" in long.problem
    assert RosterEntry.objects.count() == 1
    browser = Client()
    browser.force_login(course.owner)
    assert (
        "has changed since this preview"
        in browser.get(reverse("roster-preview", args=[course.instance.slug, long.pk])).text
    )


def test_an_import_whose_task_was_lost_is_sent_again(
    long: RosterUpload, told: dict[str, Any], now: datetime.datetime
) -> None:
    assert uploads.hand_over(long.pk, **told)
    assert uploads.send_again(now + MINUTE) == 0
    assert uploads.send_again(now + 3 * MINUTE) == 1
