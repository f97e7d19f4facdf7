"""What lists, empty lists and fields are called in the console."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Role, Status
from labs.models import Lab, State
from tests.factories import LabFactory, MembershipFactory

from .conftest import World


def titled(text: str) -> str:
    return re.search(r"<title>\s*(.*?)\s*</title>", text, re.S)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "query", "title"),
    [
        ("accounts_membership", "", "Members | Console"),
        ("accounts_membership", "?status__exact=requested", "Access requests | Console"),
        ("labs_event", "", "History | Console"),
        ("accounts_user", "", "People | Console"),
    ],
)
def test_a_list_is_called_what_it_shows(world: World, model: str, query: str, title: str) -> None:
    page = world.client("administrator").get(reverse(f"admin:{model}_changelist") + query)
    assert titled(page.text) == title


def test_a_list_without_rows_tells_whether_a_search_is_why(world: World) -> None:
    admin = world.client("administrator")
    found = admin.get(reverse("admin:labs_lab_changelist"), {"q": "no-such-lab"}).text
    assert "Nothing matches this search" in found
    assert "Show all" in found
    empty = admin.get(reverse("admin:django_q_failure_changelist")).text
    assert "This list is empty." in empty
    assert "Show all" not in empty


def test_every_field_in_a_table_has_a_name_of_its_own(world: World) -> None:
    page = world.client("administrator").get(reverse("admin:labs_instance_change", args=[world.mine.instance.pk])).text
    names = r"-\d+-(rank|cluster|cpu_millis|lifetime_minutes)$"
    fields = [
        tag
        for tag, name in re.findall(r'(<(?:input|select)\b[^>]*\bname="([^"]*)"[^>]*>)', page)
        if re.search(names, name)
    ]
    assert fields
    assert not [field for field in fields if "aria-label=" not in field]


def test_people_are_told_of_without_words_of_django(world: World) -> None:
    admin = world.client("administrator")
    for address in (
        reverse("admin:accounts_user_changelist"),
        reverse("admin:accounts_user_change", args=[world.mine.owner.pk]),
    ):
        page = admin.get(address).text
        assert "uperuser" not in re.sub(r'"[^"]*"', "", page)
        assert not re.search(r"\d [ap]\.m\.", page)


def test_a_limit_is_deleted_after_a_question_in_our_words(world: World) -> None:
    address = reverse("admin:labs_quota_delete", args=[world.mine.personal.pk])
    owner = world.client("owner")
    page = owner.get(address).text
    assert titled(page) == f"Delete the limit “{world.mine.personal}”? | Console"
    assert "related items" not in page
    owner.post(address, {"post": "yes"})
    assert not type(world.mine.personal).objects.filter(pk=world.mine.personal.pk).exists()


@pytest.mark.django_db
def test_what_waits_is_not_counted_as_running_and_one_is_not_called_many() -> None:
    """On the overview, in its totals and on the card of the instance, and on the page of the instance."""
    owner = MembershipFactory(role=Role.OWNER)
    course, browser = owner.instance, Client()
    browser.force_login(owner.user)
    LabFactory(instance=course, owner=owner.user, state=State.RUNNING)
    for _ in range(6):
        LabFactory(instance=course, owner=owner.user, state=State.QUEUED)
    MembershipFactory(instance=course, status=Status.REQUESTED)

    def said(page: str) -> str:
        return " ".join(re.sub(r"<[^>]*>", " ", browser.get(page).text).split())

    overview = said(reverse("admin:index"))
    for counted in (
        "1 member 1 lab running 6 starting or waiting",
        "1 member 1 waiting 1 running 6 starting or waiting",
    ):
        assert counted in overview
    assert "1 person is waiting for approval" in said(course.get_absolute_url())
    MembershipFactory(instance=course)
    MembershipFactory(instance=course, status=Status.REQUESTED)
    Lab.objects.filter(state=State.QUEUED).update(state=State.STARTING)
    assert "2 members 2 waiting 1 running 6 starting or waiting" in said(reverse("admin:index"))
    assert "2 people are waiting for approval" in said(course.get_absolute_url())
