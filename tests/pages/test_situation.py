"""The sentences that pages say to a person fit the person, and name somebody to write to."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Mail, Membership, Role, Status, User
from accounts.services import membership, wording
from labs.errors import Refusal
from labs.models import Instance
from tests.factories import MembershipFactory, UserFactory

SignIn = Callable[[User], Client]
TODAY = timezone.localdate()
PAST, FUTURE = TODAY - datetime.timedelta(days=3), TODAY + datetime.timedelta(days=3)


def seat(world: SimpleNamespace, status: Status = Status.APPROVED, role: Role = Role.MEMBER, **fields: Any) -> User:
    """Somebody in the one instance, which is as `fields` say."""
    if fields.pop("no_services", False):
        world.instance.services.clear()
    Instance.objects.filter(pk=world.instance.pk).update(**fields)
    return MembershipFactory(instance=world.instance, status=status, role=role).user


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "You have no running labs. A new lab is ready in about a minute."),
        ({"status": Status.REQUESTED}, "Your request for Physics is waiting for the owners. You will get an e-mail when they decide."),
        ({"status": Status.SUSPENDED}, "Your access to Physics is suspended. Its page shows whom to contact."),
        ({"status": Status.DENIED}, "Your request for Physics was not approved. Its page shows whom to contact."),
        ({"ends_on": PAST}, "Physics has ended."),
        ({"ends_on": PAST, "status": Status.REQUESTED}, "Physics has ended."),
        ({"starts_on": FUTURE}, "You can launch labs from that day."),
        ({"no_services": True}, "Physics does not offer any services yet. Its owners decide what it offers."),
        ({"no_services": True, "role": Role.OWNER}, "does not offer any services yet. Choose its services in the console."),
    ],
)  # fmt: skip
def test_home_and_my_labs_say_what_fits(
    world: SimpleNamespace, signed_in: SignIn, given: dict[str, Any], said: str
) -> None:
    client = signed_in(seat(world, **given))
    for page in ("/", "/labs/"):
        text = client.get(page).text
        assert said in text, page
        assert "As soon as you are approved" not in text
        assert "not in any course yet" not in text


@pytest.mark.parametrize(
    ("superuser", "is_public", "said"),
    [
        (True, True, "You are a site administrator."),
        (False, True, "Find your course on the home page and request access."),
        (False, False, "No courses are listed here."),
    ],
)
def test_who_is_in_none_is_told_what_they_can_do(
    world: SimpleNamespace, signed_in: SignIn, superuser: bool, is_public: bool, said: str
) -> None:
    Instance.objects.update(is_public=is_public)
    client = signed_in(UserFactory(is_superuser=superuser))
    assert said in client.get("/labs/").text
    assert said in client.get("/").text


def test_an_administrator_is_not_told_to_ask_for_access(world: SimpleNamespace, signed_in: SignIn) -> None:
    text = signed_in(UserFactory(is_superuser=True)).get("/i/physics/").text
    assert "Request access" not in text
    assert "Add yourself" in text


def test_a_course_that_is_over_says_so_on_its_tile(world: SimpleNamespace, signed_in: SignIn) -> None:
    client = signed_in(seat(world, ends_on=PAST))
    assert '<span class="pill still off">Ended</span>' in client.get("/").text


def test_the_page_says_who_runs_it_with_addresses_for_who_is_signed_in(
    world: SimpleNamespace, signed_in: SignIn, client: Client
) -> None:
    address = f"mailto:{world.owner.email}"
    assert address in signed_in(world.stranger).get("/i/physics/").text
    visitor = client.get("/i/physics/").text
    assert str(world.owner) in visitor
    assert world.owner.email not in visitor


@pytest.mark.parametrize("status", [Status.DENIED, Status.SUSPENDED])
def test_who_was_turned_away_is_told_whom_to_write_to(
    world: SimpleNamespace, signed_in: SignIn, status: Status
) -> None:
    user = seat(world, status)
    assert f'contact <a href="mailto:{world.owner.email}"' in "".join(signed_in(user).get("/i/physics/").text)
    with pytest.raises(Refusal, match=world.owner.email):
        membership.request_access(user=user, instance=world.instance, reason="", now=timezone.now())


@pytest.mark.parametrize("by_staff", [True, False])
def test_answers_to_mails_about_access_go_to_who_decided(world: SimpleNamespace, by_staff: bool) -> None:
    actor = world.staff if by_staff else world.owner
    row = Membership.objects.get(user=world.member)
    membership.suspend(row, actor=actor, now=timezone.now())
    mail = wording.compose(Mail.objects.get(user=world.member))
    assert mail.reply_to == actor.email
    assert f"contact {actor.name}, {actor.email}." in mail.text


def test_answers_go_to_an_owner_when_who_decided_has_gone(world: SimpleNamespace) -> None:
    membership.suspend(Membership.objects.get(user=world.member), actor=world.staff, now=timezone.now())
    User.objects.filter(pk=world.staff.pk).update(is_active=False)
    assert wording.compose(Mail.objects.get(user=world.member)).reply_to == world.owner.email


@pytest.mark.parametrize(
    ("contact", "link"),
    [("mailto:help@uni.example", "Contact help@uni.example"), ("https://help.uni.example", "Ask for help")],
)
def test_pages_and_errors_say_where_help_is(client: Client, db: None, settings: Any, monkeypatch: pytest.MonkeyPatch,
                                            contact: str, link: str) -> None:  # fmt: skip
    settings.CONTACT = contact
    assert f'<a href="{contact}">Help</a>' in client.get("/about/").text
    missing = client.get("/nothing/")
    assert missing.status_code == 404
    assert link in missing.text

    def broken(*args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("mlsite.views.render", broken)
    client.raise_request_exception = False
    assert link in client.get("/about/").text
