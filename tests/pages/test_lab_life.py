"""What a lab's page says when something happens to it: files lost, its end, why it failed, its log."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from labs.models import Lab, State
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
