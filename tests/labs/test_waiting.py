"""Who waits for room, and who launches meanwhile."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django_q.models import OrmQ

from accounts.models import Mail, MailKind
from accounts.services import wording
from labs.errors import Refusal
from labs.models import Host, Lab, Quota, Scope, State
from labs.services import waiting
from labs.services.launch import CAN_WAIT
from labs.services.observe import Told, observe
from labs.services.stopping import stop
from labs.services.waiting import promote_queued
from tests.factories import LabFactory, UserFactory
from tests.labs.test_launch import launched
from tests.labs.test_lost_files import MINUTE, pod_of

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
    with pytest.raises(Refusal, match="people in the queue come first") as caught:
        launched(full, cpu="4")
    assert caught.value.code in CAN_WAIT
    # A launch decides for itself alone: what waits is accepted by a task.
    assert Lab.objects.get(pk=full.first.pk).state == State.QUEUED
    assert launched(full, cpu="4", name="behind", wait=True).state == State.QUEUED
    assert promote_queued(full.instance.pk, now=full.now) == 1
    assert launched(full, cpu="3").state == State.REQUESTED


def test_who_waits_for_more_than_is_free_holds_up_nobody(full: SimpleNamespace) -> None:
    behind = LabFactory(
        instance=full.instance, template=full.template, owner=full.staff, state=State.QUEUED, cpu_millis=2000,
        created_at=full.now,
    )  # fmt: skip
    assert promote_queued(full.instance.pk, now=full.now) == 1
    assert launched(full, cpu="1").state == State.REQUESTED
    states = dict(Lab.objects.values_list("pk", "state"))
    assert (states[full.first.pk], states[behind.pk]) == (State.QUEUED, State.REQUESTED)


def test_a_long_queue_of_the_same_costs_one_look(full: SimpleNamespace, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        LabFactory(
            instance=full.instance, template=full.template, owner=full.staff, state=State.QUEUED, cpu_millis=4000,
            name=f"same-{number}",
        )  # fmt: skip
    with django_assert_max_num_queries(15):
        assert promote_queued(full.instance.pk, now=full.now) == 0


def test_a_queue_of_many_sizes_costs_no_query_each(
    full: SimpleNamespace, django_assert_max_num_queries: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """Sizes that fall one below the other, which no look at one of them settles for the next."""
    for number in range(60):
        LabFactory(
            instance=full.instance, template=full.template, owner=UserFactory(), state=State.QUEUED,
            cpu_millis=9000 - 100 * number, name=f"falling-{number}",
        )  # fmt: skip
    with django_assert_max_num_queries(25), django_capture_on_commit_callbacks(execute=True):
        assert promote_queued(full.instance.pk, now=full.now) == 0
    with django_assert_max_num_queries(26):
        launched(full, cpu="1")


def test_many_are_accepted_together(full: SimpleNamespace, django_assert_max_num_queries: Any) -> None:
    Lab.objects.all().delete()
    Quota.objects.filter(instance=full.instance).update(running=None, cpu_millis=None, memory_mib=None)
    for number in range(30):
        LabFactory(instance=full.instance, owner=UserFactory(), state=State.QUEUED, name=f"many-{number}")
    for host in Lab.objects.select_related("cluster"):
        Host.objects.create(name=host.host, owner=host.owner)
    with django_assert_max_num_queries(25):
        assert promote_queued(full.instance.pk, now=full.now) == 30


def test_what_is_counted_along_is_what_would_be_read_anew(full: SimpleNamespace) -> None:
    """Room for one of two, by the limit of each kind there is: of the instance, of the person, of the place, of the machine."""
    Quota.objects.filter(instance=full.instance).update(running=None, cpu_millis=None, memory_mib=None)
    Lab.objects.all().delete()
    quotas, place = Quota.objects.filter(instance=full.instance), full.instance.places.get()
    limits: list[tuple[Any, dict[str, Any]]] = [
        (quotas.filter(scope=Scope.INSTANCE), {"cpu_millis": 1500}),
        (quotas.filter(scope=Scope.MEMBER), {"memory_mib": 3000}),
        (full.instance.places.filter(pk=place.pk), {"running": 1}),
        (full.instance.places.filter(pk=place.pk), {"cpu_millis": 1999}),
    ]
    for number, (rows, limit) in enumerate(limits):
        rows.update(**limit)
        for name in "ab":
            LabFactory(instance=full.instance, owner=full.member, state=State.QUEUED, name=f"{name}-{number}")
        assert promote_queued(full.instance.pk, now=full.now) == 1, limit
        rows.update(**dict.fromkeys(limit))
        Lab.objects.all().delete()


def test_after_so_many_another_task_goes_on(
    full: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr(waiting, "AT_ONCE", 1)
    Lab.objects.filter(state=State.RUNNING).delete()
    LabFactory(instance=full.instance, owner=full.member, state=State.QUEUED)
    with django_capture_on_commit_callbacks(execute=True):
        assert promote_queued(full.instance.pk, now=full.now) == 1
    assert "labs.tasks.promote_queued" in [queued.task["func"] for queued in OrmQ.objects.all()]


def test_one_person_does_not_fill_the_queue(full: SimpleNamespace, settings: Any) -> None:
    settings.QUEUE_PER_PERSON, settings.QUEUE_PER_INSTANCE = 2, 4
    for number in range(2):
        launched(full, cpu="4", name=f"waits-{number}", wait=True)
    with pytest.raises(Refusal) as caught:
        launched(full, cpu="4", name="too-many", wait=True)
    told = caught.value
    assert (told.code, told.field, told.limit, told.used) == ("own-queue-full", "queued", 2, 2)
    launched(full, cpu="4", name="of-another", wait=True, actor=full.owner)
    with pytest.raises(Refusal, match=r"The queue of .* is full"):
        launched(full, cpu="4", name="one-more", wait=True, actor=full.owner)
    assert launched(full, cpu="1", name="fits").state == State.REQUESTED


def answers(lab: Lab, now: datetime.datetime) -> None:
    observe([Told(lab.pk, pod=pod_of(lab, {"type": "Ready", "status": "True"}, uid="its-pod"))], now=now)


def test_who_waited_long_is_told_once_that_the_lab_is_ready(full: SimpleNamespace) -> None:
    Lab.objects.filter(state=State.RUNNING).update(cpu_millis=3000)
    promote_queued(full.instance.pk, now=full.now)
    at_once = launched(full, cpu="1", name="at-once", wait=True)
    later = full.now + 30 * MINUTE
    for lab in (Lab.objects.get(pk=full.first.pk), at_once):
        answers(lab, later)
        answers(lab, later + MINUTE)
    (mail,) = Mail.objects.all()
    assert (mail.kind, mail.recipient) == (MailKind.LAB_STARTED, full.staff.email)
    said = wording.compose(mail)
    assert said.subject == f"{full.first.name} is ready"
    assert "waited for 31 minutes" in said.text
    assert f"http://testserver/labs/{full.first.pk}/" in said.text
    stop(full.first, actor=full.staff, now=later)
    with pytest.raises(wording.NotNeeded):
        wording.compose(mail)


def test_who_waited_for_minutes_is_told_nothing(full: SimpleNamespace) -> None:
    Lab.objects.filter(state=State.RUNNING).update(cpu_millis=3000)
    promote_queued(full.instance.pk, now=full.now)
    answers(Lab.objects.get(pk=full.first.pk), full.now + 2 * MINUTE)
    assert Lab.objects.get(pk=full.first.pk).state == State.RUNNING
    assert not Mail.objects.exists()
