"""How often a person may act within an hour."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, Rate
from accounts.rules import rates
from accounts.services import deletion, membership
from accounts.services.roster import uploads
from labs.errors import Refusal
from labs.models import Event, Lab, State
from labs.services import classes, extension, secrets, stopping
from mlsite import env
from tests.factories import PASSWORD, InstanceFactory, LabFactory, UserFactory
from tests.labs.conftest import world as world
from tests.labs.test_launch import VALUES, launched

pytestmark = pytest.mark.django_db
NOW = datetime.datetime(2026, 11, 30, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def two_of_each(settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 2)


def test_the_refusal_says_when_it_can_be_done_again() -> None:
    user = UserFactory()
    for minute in (0, 30):
        rates.spend(user, "launch", now=NOW + datetime.timedelta(minutes=minute))
    with pytest.raises(Refusal) as caught:
        rates.spend(user, "launch", now=NOW + datetime.timedelta(minutes=45))
    assert caught.value.message == (
        "You have launched labs 2 times within an hour, which is the limit. You can do this again at 13:00, in 15 minutes."
    )
    assert (caught.value.code, caught.value.retry_after) == ("too-often", 15 * 60)
    rates.spend(user, "launch", now=NOW + datetime.timedelta(minutes=60))
    rates.spend(user, "stop", now=NOW + datetime.timedelta(minutes=45))
    rates.spend(UserFactory(), "launch", now=NOW + datetime.timedelta(minutes=45))


def test_it_is_one_statement_as_a_rule(settings: Any, django_assert_num_queries: Any) -> None:
    settings.RATE_LIMITS = {"launch": 2}
    user = UserFactory()
    rates.spend(user, "launch", now=NOW)
    with django_assert_num_queries(1):
        rates.spend(user, "launch", now=NOW)


def test_no_limit_where_none_is_wanted(settings: Any, django_assert_num_queries: Any) -> None:
    settings.RATE_LIMITS = {"launch": 0}
    user = UserFactory()
    with django_assert_num_queries(0):
        rates.spend(user, "launch", now=NOW)


def acts(world: SimpleNamespace) -> dict[str, Callable[[], Any]]:
    """Each as one person does it again and again."""
    now, stranger, lab = (
        world.now,
        UserFactory(),
        LabFactory(
            instance=world.instance,
            owner=world.member,
            template=world.template,
            state=State.RUNNING,
            lifetime_minutes=60,
        ),
    )
    open_one = InstanceFactory(policy="open")

    def ask() -> None:
        membership.request_access(user=stranger, instance=open_one, reason="", now=now)
        Membership.objects.filter(user=stranger).delete()

    def leave() -> None:
        membership.add(user=stranger, instance=open_one, role="member", actor=None, now=now)  # type: ignore[arg-type]
        membership.leave(user=stranger, instance=open_one, now=now)

    def launch_and_end() -> None:
        Lab.objects.filter(pk=launched(world).pk).update(state=State.ENDED, end_reason="user", ended_at=now)

    def start_class() -> None:
        run = classes.start(saved, section="", wait=False, actor=world.owner, now=now)
        type(run).objects.filter(pk=run.pk).update(finished_at=now)

    saved = classes.save_launch(
        instance=world.instance,
        template=world.template,
        title="Week 3",
        values={"cpu": "1"},
        actor=world.owner,
        now=now,
    )
    return {
        "launch": launch_and_end,
        "extend": lambda: extension.extend(lab, actor=world.member, minutes=1, now=now),
        "stop": lambda: stopping.stop(
            LabFactory(instance=world.instance, owner=world.member), actor=world.member, now=now
        ),
        "key": lambda: secrets.reveal_token(lab, actor=world.member, now=now),
        "ask": ask,
        "leave": leave,
        "upload": lambda: uploads.keep(instance=world.instance, actor=world.owner, now=now, text="ann@example.org"),
        "start a class": start_class,
        "stop a class": lambda: classes.stop(saved, actor=world.owner, now=now),
    }


ACTS = ["launch", "extend", "stop", "key", "ask", "leave", "upload", "start a class", "stop a class"]


@pytest.mark.parametrize("act", ACTS)
def test_each_is_held_and_leaves_no_more_history(world: SimpleNamespace, act: str) -> None:
    again = acts(world)[act]
    again()
    again()
    before = Event.objects.exclude(verb="access-approved").count()
    with pytest.raises(Refusal) as caught:
        again()
    assert caught.value.code == "too-often"
    assert Event.objects.exclude(verb="access-approved").count() == before


def test_many_that_are_stopped_together_are_one_act(world: SimpleNamespace) -> None:
    def running(count: int) -> list[Lab]:
        return [LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING) for _ in range(count)]

    for rows in (running(30), running(1)):
        assert len(stopping.stop_many(rows, actor=world.staff, now=world.now)) == len(rows)
    assert stopping.stop_many(Lab.objects.filter(owner=world.member), actor=world.staff, now=world.now) == set()
    rows = running(2)
    with pytest.raises(Refusal, match="You have stopped labs 2 times within an hour"):
        stopping.stop_many(rows, actor=world.staff, now=world.now)
    assert Lab.objects.filter(state=State.RUNNING).count() == 2
    stopping.stop(rows[0], actor=world.member, now=world.now)


@pytest.mark.parametrize("way", ["address", "tag", "sign-in"])
def test_a_new_account_of_the_same_person_goes_on_where_the_deleted_one_stopped(way: str) -> None:
    old = UserFactory(email="ann@uni.example")
    EmailAddress.objects.update_or_create(user=old, email="ann@uni.example", defaults={"verified": True})
    SocialAccount.objects.create(user=old, provider="globus", uid="4711")
    for _ in range(2):
        rates.spend(old, "launch", now=NOW)
    rates.spend(old, "stop", now=NOW - datetime.timedelta(minutes=61))
    assert deletion.delete_account(old, now=NOW)
    new = UserFactory(email="other@uni.example" if way == "sign-in" else "new@uni.example")
    if way == "sign-in":
        SocialAccount.objects.create(user=new, provider="globus", uid="4711")
    else:
        address = {"address": "ann@uni.example", "tag": "ann+2@uni.example"}[way]
        EmailAddress.objects.create(user=new, email=address, verified=True)
    with pytest.raises(Refusal, match="You have launched labs 2 times"):
        rates.spend(new, "launch", now=NOW + datetime.timedelta(minutes=30))
    rates.spend(new, "stop", now=NOW)
    rates.spend(UserFactory(), "launch", now=NOW)
    rates.spend(new, "launch", now=NOW + datetime.timedelta(minutes=60))


def test_what_a_deleted_account_leaves_behind_names_nobody_and_goes_after_an_hour() -> None:
    old = UserFactory(email="ann@uni.example")
    EmailAddress.objects.update_or_create(user=old, email="ann@uni.example", defaults={"verified": True})
    rates.spend(old, "ask", now=NOW)
    deletion.delete_account(old, now=NOW)
    (row,) = Rate.objects.values()
    assert row["user_id"] is None
    assert "ann" not in str(row)
    assert rates.forget(NOW + datetime.timedelta(minutes=59)) == 0
    assert rates.forget(NOW + datetime.timedelta(minutes=60)) == 1


def test_what_is_typed_wrongly_is_not_counted(world: SimpleNamespace) -> None:
    for _ in range(3):
        with pytest.raises(Refusal, match="marked fields"):
            launched(world, cpu="many")
        with pytest.raises(Refusal) as caught:
            launched(world, name="www")
        assert caught.value.code == "name"
    assert launched(world).pk


def test_a_launch_that_has_no_room_is_counted_and_the_page_says_when_to_come_back(world: SimpleNamespace) -> None:
    browser = Client()
    assert browser.login(email=world.member.email, password=PASSWORD)
    asked = VALUES | {"cpu": "8", "memory": "1"}
    where = f"/i/{world.instance.slug}/launch/jupyterlab/"
    assert [browser.post(where, asked).status_code for _ in range(2)] == [400, 400]
    page = browser.post(where, asked)
    assert page.status_code == 429
    assert "You have launched labs 2 times within an hour" in page.text
    assert "You can do this again at" in page.text
    assert 3500 < int(page["Retry-After"]) <= 3600


def test_the_same_request_sent_again_gives_its_lab_also_beyond_the_rate(world: SimpleNamespace) -> None:
    lab = launched(world, key="a")
    assert [launched(world, key="a").pk for _ in range(3)] == [lab.pk] * 3


def test_labs_for_a_class_are_not_counted_for_who_starts_them(world: SimpleNamespace) -> None:
    for _ in range(2):
        rates.spend(world.owner, "launch", now=world.now)
    assert launched(world, actor=world.member).pk
    from labs.services.launch import launch

    values = VALUES | {"name": "for-another"}
    lab = launch(
        actor=world.owner,
        owner=world.staff,
        instance=world.instance,
        template=world.template,
        values=values,
        now=world.now,
    )
    assert lab.owner == world.staff


def test_the_interface_and_the_page_answer_429_with_the_time(world: SimpleNamespace) -> None:
    browser = Client()
    assert browser.login(email=world.member.email, password=PASSWORD)
    for _ in range(2):
        rates.spend(world.member, "launch", now=timezone.now())
    body = {"instance": world.instance.slug, "values": VALUES}
    answer = browser.post("/api/labs/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (429, "too-often")
    assert 3500 < int(answer["Retry-After"]) <= 3600
    page = browser.post(f"/i/{world.instance.slug}/launch/jupyterlab/", VALUES | {"memory": "1"})
    assert page.status_code == 429
    assert "You have launched labs 2 times within an hour" in page.text
    assert Rate.objects.get().count == 2


@pytest.mark.parametrize("text", ["launch", "launch=many", "walk=3", "launch=-1"])
def test_a_wrong_setting_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMITS", text)
    with pytest.raises(ImproperlyConfigured, match="RATE_LIMITS must be a list such as launch=60"):
        env.numbers("RATE_LIMITS", {"launch": 60})


def test_a_setting_names_only_what_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMITS", "launch=5, stop=0")
    assert env.numbers("RATE_LIMITS", {"launch": 60, "stop": 1, "ask": 2}) == {"launch": 5, "stop": 0, "ask": 2}
