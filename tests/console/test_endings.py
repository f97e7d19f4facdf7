"""Whatever ends other people's work asks first, says how many, and tells those people by mail."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mail, MailKind, Membership, Status
from labs.admin.confirm import CONFIRMED
from labs.models import Instance, State
from labs.services import classes, stopping
from labs.services.instances import end_what_is_over
from tests.factories import LabFactory, MembershipFactory

from .conftest import World, form_data

PREPARED = {"image": "jupyter/scipy-notebook:2023-10-20", "cpu": "1", "memory": "2048", "lifetime": "240"}
YESTERDAY = timezone.localdate() - datetime.timedelta(days=1)


def page(world: World) -> str:
    return reverse("admin:labs_instance_change", args=[world.mine.instance.pk])


def another_lab(world: World, **fields: Any) -> Any:
    member = MembershipFactory(instance=world.mine.instance)
    return LabFactory(
        instance=world.mine.instance, owner=member.user, template=world.template, state=State.RUNNING, **fields
    )


def sent_again(response: HttpResponse) -> dict[str, Any]:
    """What the page with the question sends when its button is pressed."""
    data: dict[str, Any] = {}
    for name, value in response.context["question"].hidden:
        data.setdefault(name, []).append(value)
    return data


def set_last_day(client: Client, world: World, day: str, **more: str) -> HttpResponse:
    return client.post(page(world), form_data(client, page(world)) | {"ends_on": day} | more)


def stopped_mails() -> list[str]:
    return sorted(Mail.objects.filter(kind=MailKind.LABS_STOPPED).values_list("recipient", flat=True))


def test_a_last_day_that_has_passed_asks_with_the_numbers_and_changes_nothing(world: World) -> None:
    another_lab(world)
    answer = set_last_day(world.client("owner"), world, YESTERDAY.isoformat())
    assert "2 labs of 2 people are stopped" in answer.content.decode()
    world.mine.lab.refresh_from_db()
    assert (Instance.objects.get(pk=world.mine.instance.pk).ends_on, world.mine.lab.state) == (None, State.RUNNING)


def test_the_yes_ends_them_and_their_owners_are_told(world: World) -> None:
    other, client = another_lab(world), world.client("owner")
    asked = set_last_day(client, world, YESTERDAY.isoformat(), title="Mine, over")
    assert client.post(page(world), sent_again(asked)).status_code == 302
    row = Instance.objects.get(pk=world.mine.instance.pk)
    assert (row.title, row.ends_on) == ("Mine, over", YESTERDAY)
    assert stopped_mails() == sorted([world.mine.member.user.email, other.owner.email])
    world.mine.lab.refresh_from_db()
    assert world.mine.lab.state == State.STOPPING


def test_back_to_the_form_loses_nothing_that_was_typed(world: World) -> None:
    client = world.client("owner")
    asked = set_last_day(client, world, YESTERDAY.isoformat(), about="A long text about it.")
    answer = client.post(page(world), sent_again(asked) | {"_again": "yes"})
    text = answer.content.decode()
    assert "Nothing has been saved yet" in text
    assert "A long text about it." in text
    assert YESTERDAY.isoformat() in text
    assert Instance.objects.get(pk=world.mine.instance.pk).ends_on is None


def test_a_last_day_before_labs_would_have_ended_asks_too(world: World) -> None:
    another_lab(world, lifetime_minutes=5 * 24 * 60)
    client, today = world.client("owner"), timezone.localdate()
    answer = set_last_day(client, world, (today + datetime.timedelta(days=2)).isoformat())
    assert "1 lab of 1 person would have run longer" in answer.content.decode()
    assert set_last_day(client, world, (today + datetime.timedelta(days=9)).isoformat()).status_code == 302


@pytest.mark.parametrize("typed", ["12/05/2030", "12.5.2030", "5 December 2030"])
def test_a_day_is_read_in_one_form_only(world: World, typed: str) -> None:
    client = world.client("owner")
    answer = set_last_day(client, world, typed)
    assert answer.status_code == 200
    assert "such as 2026-05-12" in answer.content.decode()
    assert Instance.objects.get(pk=world.mine.instance.pk).ends_on is None
    assert 'type="date" name="ends_on"' in client.get(page(world)).content.decode()


def test_who_is_refused_by_a_service_finds_what_they_typed(world: World) -> None:
    client = world.client("administrator")
    url = page(world)
    world.mine.instance.places.create(cluster=world.theirs.instance.places.get().cluster, rank=2)
    data = form_data(client, url) | {"places-0-DELETE": "on", "about": "Not to be lost."}
    text = client.post(url, data).content.decode()
    assert "still running" in text
    assert "Not to be lost." in text


def test_archiving_says_how_many_and_tells_them(world: World) -> None:
    another_lab(world)
    client, url = world.client("owner"), reverse("admin:labs_instance_archive", args=[world.mine.instance.pk])
    assert "2 labs of 2 people" in client.get(url).content.decode()
    client.post(url)
    assert len(stopped_mails()) == 2


@pytest.mark.parametrize("decision", ["suspend", "remove"])
def test_suspending_and_removing_say_how_many_labs_are_stopped(world: World, decision: str) -> None:
    client = world.client("owner")
    url = reverse(f"admin:accounts_membership_{decision}", args=[world.mine.member.pk])
    text = client.get(url).content.decode()
    assert "This stops 1 lab of 1 person." in text
    client.post(url)
    assert stopped_mails() == [], "the mail about the access says it"
    assert Mail.objects.filter(recipient=world.mine.member.user.email).count() == 1


def test_suspending_many_says_how_many(world: World) -> None:
    other = another_lab(world)
    rows = Membership.objects.filter(instance=world.mine.instance, user__in=[other.owner, world.mine.member.user])
    data = {"action": "suspend_selected", "_selected_action": [row.pk for row in rows]}
    text = world.client("owner").post(reverse("admin:accounts_membership_changelist"), data).content.decode()
    assert "Suspend 2 people?" in text
    assert "This stops 2 labs of 2 people." in text


def test_closing_an_account_asks_and_tells(world: World) -> None:
    member, client = world.mine.member.user, world.client("administrator")
    url = reverse("admin:accounts_user_change", args=[member.pk])
    asked = client.post(url, {"name": member.name, "affiliation": ""})
    assert "This stops 1 lab of 1 person" in asked.content.decode()
    member.refresh_from_db()
    assert member.is_active
    client.post(url, sent_again(asked))
    member.refresh_from_db()
    assert not member.is_active
    assert stopped_mails() == [member.email]


def test_a_lab_that_staff_stop_is_told_of_with_the_reason_and_answers_go_to_them(world: World) -> None:
    from accounts.services import wording

    stopping.stop_many([world.mine.lab], actor=world.people["staff"], now=timezone.now(), reason="We need the room.")
    mail = wording.compose(Mail.objects.get(kind=MailKind.LABS_STOPPED))
    assert "Stefan Staff stopped labs in Mine." in mail.text
    assert "> We need the room." in mail.text
    assert mail.reply_to == world.people["staff"].email


def test_nobody_is_told_of_what_they_did_themselves(world: World) -> None:
    stopping.stop_many([world.mine.lab], actor=world.mine.member.user, now=timezone.now())
    assert stopped_mails() == []


def test_the_last_day_is_told_when_it_is_over(world: World) -> None:
    Instance.objects.filter(pk=world.mine.instance.pk).update(ends_on=YESTERDAY)
    end_what_is_over(timezone.now())
    end_what_is_over(timezone.now())
    assert stopped_mails() == [world.mine.member.user.email]
    assert "The last day of Mine was" in Mail.objects.get().context["why"]


def test_the_button_that_stops_a_class_says_how_many(world: World) -> None:
    instance, owner, now = world.mine.instance, world.people["owner"], timezone.now()
    saved = classes.save_launch(
        instance=instance, template=world.template, title="Exercise 1", values=PREPARED, actor=owner, now=now
    )
    run = classes.start(saved, section="", wait=True, actor=owner, now=now)
    run.seats.update(state="started", lab=world.mine.lab)
    text = world.client("staff").get(reverse("classes", args=[instance.slug])).content.decode()
    assert "everyone (1 lab)" in text
    classes.stop(saved, actor=owner, now=now)
    assert stopped_mails() == [world.mine.member.user.email]


def test_a_yes_that_was_never_asked_for_changes_nothing_else(world: World) -> None:
    """The word in a forged form says yes to what the person sends, and gives nobody more rights."""
    data = form_data(world.client("owner"), page(world)) | {"ends_on": YESTERDAY.isoformat(), CONFIRMED: "yes"}
    assert world.client("staff").post(page(world), data).status_code == 403
    assert Membership.objects.filter(status=Status.APPROVED, instance=world.mine.instance).exists()
    world.mine.lab.refresh_from_db()
    assert world.mine.lab.state == State.RUNNING
