"""Whoever lists an address learns no other address of the account that has it."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, Role, RosterEntry
from accounts.services import invitations, people
from accounts.services.people import Wish
from accounts.services.roster import uploads
from labs.models import Instance
from tests.factories import InstanceFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
LISTED, PRIVATE, MORE = "ann@uni.example", "ann.private@home.example", "ann@club.example"


@pytest.fixture
def course() -> Instance:
    return InstanceFactory(slug="physics", email_domains=["uni.example"])


@pytest.fixture
def owner(course: Instance) -> Any:
    return MembershipFactory(instance=course, role=Role.OWNER).user


@pytest.fixture
def ann() -> Any:
    user = UserFactory(email=PRIVATE, name="Ann")
    for email in (LISTED, PRIVATE, MORE):
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=email == PRIVATE)
    return user


def everything(course: Instance, owner: Any) -> str:
    client = Client()
    client.force_login(owner)
    row = Membership.objects.get(instance=course, user__name="Ann")
    pages = [
        "/i/physics/people/", "/i/physics/people/roster.csv", "/i/physics/people/members.csv",
        "/console/accounts/membership/", "/console/accounts/membership/export/",
        f"/console/accounts/membership/{row.pk}/change/",
    ]  # fmt: skip
    answers = [client.get(page) for page in pages]
    assert [answer.status_code for answer in answers] == [200] * len(pages)
    return "".join(b"".join(answer).decode() if answer.streaming else answer.text for answer in answers)


def test_an_owner_who_lists_an_address_sees_that_one_only(course: Instance, owner: Any, ann: Any) -> None:
    told: dict[str, Any] = {"instance": course, "actor": owner, "now": timezone.now()}
    upload = uploads.keep(text=f"{LISTED}\n", **told)
    uploads.confirm(upload.pk, **told)
    said = everything(course, owner)
    assert LISTED in said
    assert PRIVATE not in said
    assert MORE not in said
    assert people.page(course, Wish(search="private"), start=0, size=10)[0] == 0, "nor by searching"
    assert found_in_console(owner, PRIVATE) is False
    assert found_in_console(owner, LISTED) is True


def found_in_console(owner: Any, words: str) -> bool:
    """Whether a search among the members lists Ann."""
    client = Client()
    client.force_login(owner)
    answer = client.get("/console/accounts/membership/", {"q": words})
    assert answer.status_code == 200
    return ">Ann</span>" in answer.text


def test_who_takes_an_invitation_shows_the_account_with_which(course: Instance, owner: Any) -> None:
    entry = RosterEntry.objects.create(instance=course, email="other@uni.example")
    invitations.invite(instance=course, actor=owner, now=timezone.now(), entries=[entry.pk])
    entry.refresh_from_db()
    bob = UserFactory(email=PRIVATE, name="Ann")
    invitations.take(invitations.link(entry, timezone.now()).split("/")[-2], user=bob, now=timezone.now())
    said = everything(course, owner)
    assert PRIVATE in said
    assert "other@uni.example" in said
