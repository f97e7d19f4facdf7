"""Who waits for room, and who launches meanwhile."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from labs.errors import Refusal
from labs.models import Lab, Quota, Scope, State
from labs.services.waiting import promote_queued
from tests.factories import LabFactory
from tests.labs.test_launch import launched

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


def test_room_that_came_free_is_theirs_who_wait(full: SimpleNamespace) -> None:
    Lab.objects.filter(state=State.RUNNING).update(cpu_millis=3000)
    with pytest.raises(Refusal, match="Your course has used 7 of its 10 CPUs; you asked for 4"):
        launched(full, cpu="4")
    assert Lab.objects.get(pk=full.first.pk).state == State.REQUESTED
    assert launched(full, cpu="3").state == State.REQUESTED


def test_who_waits_for_more_than_is_free_holds_up_nobody(full: SimpleNamespace) -> None:
    behind = LabFactory(
        instance=full.instance, template=full.template, owner=full.staff, state=State.QUEUED, cpu_millis=2000,
        created_at=full.now,
    )  # fmt: skip
    assert launched(full, cpu="1").state == State.REQUESTED
    states = dict(Lab.objects.values_list("pk", "state"))
    assert (states[full.first.pk], states[behind.pk]) == (State.QUEUED, State.REQUESTED)


def test_a_long_queue_of_the_same_costs_one_look(full: SimpleNamespace, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        LabFactory(
            instance=full.instance, template=full.template, owner=full.staff, state=State.QUEUED, cpu_millis=4000,
            name=f"same-{number}",
        )  # fmt: skip
    with django_assert_max_num_queries(45):
        assert promote_queued(full.instance.pk, now=full.now) == 0
