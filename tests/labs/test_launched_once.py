"""The same form sent twice launches one lab: a double click, a second Enter, a retry of a program."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from django.test import Client

from labs.models import Event, Lab, Quota, Scope, State
from tests.factories import PASSWORD
from tests.labs.test_launch import VALUES, launched, refused

pytestmark = pytest.mark.django_db


def test_the_same_request_gives_the_same_lab(world: SimpleNamespace) -> None:
    first = launched(world, key="once", cpu="4")
    events = Event.objects.count()
    assert launched(world, key="once", cpu="4") == first
    assert (Lab.objects.count(), Event.objects.count()) == (1, events)


def test_also_when_that_would_be_refused_for_another_reason_by_now(world: SimpleNamespace) -> None:
    first = launched(world, key="once")
    Quota.objects.filter(scope=Scope.MEMBER).update(running=0)
    assert launched(world, key="once") == first
    Lab.objects.update(state=State.ENDED, end_reason="user", ended_at=world.now)
    Quota.objects.filter(scope=Scope.MEMBER).update(running=2)
    assert launched(world, key="once") == first
    assert Lab.objects.count() == 1


def test_what_waits_is_not_put_into_the_queue_twice(world: SimpleNamespace) -> None:
    launched(world, cpu="4")
    waiting = launched(world, name="second", cpu="4", wait=True, key="once")
    assert launched(world, name="second", cpu="4", wait=True, key="once") == waiting


def test_another_request_is_another_launch(world: SimpleNamespace) -> None:
    launched(world, key="once")
    assert refused(world, key="other").errors["name"].startswith("You already have a lab called")
    assert launched(world, key="once", name="another-lab").name == "another-lab"


def test_a_key_is_ones_own(world: SimpleNamespace) -> None:
    launched(world, key="once")
    assert refused(world, key="once", actor=world.owner).code == "name"


def browser_of(world: SimpleNamespace) -> Client:
    browser = Client()
    assert browser.login(email=world.member.email, password=PASSWORD)
    return browser


def test_the_form_carries_one_and_keeps_it_when_refused(world: SimpleNamespace) -> None:
    page, browser = f"/i/{world.instance.slug}/launch/jupyterlab/", browser_of(world)
    hidden = re.compile(r'name="key" value="(\w+)"')
    keys = [hidden.findall(browser.get(page).text) for _ in range(2)]
    assert keys[0] != keys[1]
    form = VALUES | {"memory": "1", "key": keys[0][0]}
    assert hidden.findall(browser.post(page, form | {"cpu": "many"}).text) == keys[0]
    first = browser.post(page, form)
    assert browser.post(page, form)["Location"] == first["Location"]
    assert Lab.objects.count() == 1
    assert browser.post(page, form | {"name": "other-lab", "key": "'<"}).status_code == 302


def test_a_retry_of_the_interface_is_answered_with_the_same_lab(world: SimpleNamespace) -> None:
    body, browser = {"instance": world.instance.slug, "values": VALUES, "key": "b1c2-d3"}, browser_of(world)
    answers = [browser.post("/api/labs/", body, content_type="application/json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    wrong = browser.post("/api/labs/", body | {"key": "a b"}, content_type="application/json")
    assert wrong.status_code == 400
