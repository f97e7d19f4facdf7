"""Who launches while others wait for room."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest

from labs.models import Lab, Quota, Scope, State
from labs.services.waiting import position
from tests.factories import LabFactory
from tests.labs.test_launch import launched, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def full(world: SimpleNamespace) -> SimpleNamespace:
    """Of the instance's 10 CPUs 7 are used, and the staff wait for 4."""
    LabFactory(
        instance=world.instance, template=world.template, owner=world.staff, state=State.RUNNING, cpu_millis=7000
    )
    Quota.objects.create(instance=world.instance, scope=Scope.PERSON, user=world.staff, cpu_millis=20_000)
    world.first = LabFactory(
        instance=world.instance, template=world.template, owner=world.staff, state=State.QUEUED, cpu_millis=4000,
        created_at=world.now - datetime.timedelta(minutes=1),
    )  # fmt: skip
    return world


def test_what_would_fit_does_not_overtake_those_who_wait(full: SimpleNamespace) -> None:
    refusal = refused(full, cpu="2")
    assert (refusal.code, refusal.message) == (
        "others-wait",
        "There is room for this, but one other lab waits for room and comes first.",
    )
    assert not Lab.objects.filter(owner=full.member).exists()


def test_it_may_stand_behind_them(full: SimpleNamespace) -> None:
    lab = launched(full, cpu="2", wait=True)
    assert (lab.state, position(lab)) == (State.QUEUED, 2)


def test_those_who_wait_take_the_room_that_came_free_and_the_new_one_what_is_left(full: SimpleNamespace) -> None:
    Lab.objects.filter(state=State.RUNNING).update(cpu_millis=3000)
    lab = launched(full, cpu="2")
    assert lab.state == State.REQUESTED
    assert Lab.objects.get(pk=full.first.pk).state == State.REQUESTED


def test_nobody_waits_for_one_whom_their_own_limit_holds_back(full: SimpleNamespace) -> None:
    Quota.objects.filter(user=full.staff).update(cpu_millis=8000)
    assert launched(full, cpu="2").state == State.REQUESTED
    assert Lab.objects.get(pk=full.first.pk).state == State.QUEUED
