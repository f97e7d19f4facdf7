"""Labs for a class: each through the one launch, against the limits of its member; nobody gets two."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Membership, Role, RosterEntry, Status, User
from labs.errors import Refusal
from labs.models import (
    ClassRun,
    ClassSeat,
    EndReason,
    Event,
    Lab,
    Quota,
    SavedLaunch,
    Scope,
    SeatState,
    ServiceTemplate,
    State,
    Verb,
)  # fmt: skip
from labs.services import classes
from labs.services.launch import launch
from labs.services.waiting import promote_queued
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, QuotaFactory

VALUES = {"cpu": "1", "memory": "2048", "lifetime": "240"}


@pytest.fixture
def now() -> datetime.datetime:
    return timezone.now()


@pytest.fixture
def course(db: None) -> SimpleNamespace:
    """`owner`, `staff`, and six members, half of them in each of the sections A and B."""
    template = ServiceTemplate.objects.get(slug="jupyterlab", is_current=True)
    instance = InstanceFactory(slug="physics", title="Physics", services=[template])
    people = {role.value: MembershipFactory(instance=instance, role=role).user for role in (Role.OWNER, Role.STAFF)}
    members = [add(instance, "AB"[number % 2]) for number in range(6)]
    return SimpleNamespace(instance=instance, template=template, members=members, **people)


def add(instance: Any, section: str) -> User:
    user: User = MembershipFactory(instance=instance).user
    RosterEntry.objects.create(instance=instance, email=user.email, section=section, user=user)
    return user


def prepared(course: SimpleNamespace, now: datetime.datetime, **more: Any) -> SavedLaunch:
    return classes.save_launch(
        instance=course.instance, template=course.template, title="Week 3", values={**VALUES, **more},
        actor=course.staff, now=now,
    )  # fmt: skip


def begin(course: SimpleNamespace, saved: SavedLaunch, now: datetime.datetime, **more: Any) -> ClassRun:
    """Start it, and let the worker do its part."""
    run = classes.start(saved, **{"section": "", "wait": True, "actor": course.staff, "now": now, **more})
    classes.work_off(run.pk)
    run.refresh_from_db()
    return run


def seats(run: ClassRun) -> dict[str, int]:
    states = [seat.state for seat in run.seats.all()]
    return {state: states.count(state) for state in set(states)}


def test_every_member_gets_one_of_their_own_started_by_the_staff(
    course: SimpleNamespace, now: datetime.datetime
) -> None:
    run = begin(course, prepared(course, now), now)
    assert (seats(run), bool(run.finished_at)) == ({SeatState.STARTED: 6}, True)
    labs = Lab.objects.all()
    assert {lab.owner for lab in labs} == set(course.members)
    assert {lab.name for lab in labs} == {f"{user.email.split('@')[0]}-week-3" for user in course.members}
    assert not any(lab.password_hash for lab in labs)
    told = Event.objects.filter(verb=Verb.LAUNCHED)
    assert {(event.actor, event.user) for event in told} == {(course.staff, user) for user in course.members}
    started = Event.objects.get(verb=Verb.CLASS_STARTED)
    assert (started.actor, started.after) == (course.staff, {"lab": "Week 3", "section": "all", "members": 6})


def test_a_section_alone(course: SimpleNamespace, now: datetime.datetime) -> None:
    run = begin(course, prepared(course, now), now, section="A")
    assert {seat.user for seat in run.seats.all()} == set(course.members[::2])


def test_pressed_twice_it_is_one_run_and_pressed_later_nobody_gets_a_second(
    course: SimpleNamespace, now: datetime.datetime
) -> None:
    saved = prepared(course, now)
    told: dict[str, Any] = {"section": "", "wait": True, "actor": course.staff, "now": now}
    first, second = classes.start(saved, **told), classes.start(saved, **told)
    assert first == second
    assert Event.objects.filter(verb=Verb.CLASS_STARTED).count() == 1
    assert [classes.work_off(first.pk), classes.work_off(first.pk)] == [6, 0]
    late = add(course.instance, "A")
    again = begin(course, saved, now)
    assert again != first
    assert seats(again) == {SeatState.HAS_ONE: 6, SeatState.STARTED: 1}
    assert Lab.objects.filter(owner=late).count() == 1
    assert Lab.objects.count() == 7


def test_limits_count_against_each_member_and_who_has_no_room_waits_or_is_told_why(
    course: SimpleNamespace, now: datetime.datetime
) -> None:
    QuotaFactory(instance=course.instance, scope=Scope.MEMBER, running=1)
    Quota.objects.create(instance=course.instance, scope=Scope.PERSON, user=course.members[0], cpu_millis=500)
    LabFactory(instance=course.instance, owner=course.members[1], state=State.RUNNING)
    saved = prepared(course, now)
    run = begin(course, saved, now)
    assert seats(run) == {SeatState.STARTED: 4, SeatState.QUEUED: 1, SeatState.REFUSED: 1}
    refused = run.seats.get(state=SeatState.REFUSED)
    assert (refused.user, refused.reason) == (course.members[0], "They have used 0 of their 0.5 CPUs; it asks for 1.")
    assert run.seats.get(state=SeatState.QUEUED).lab.state == State.QUEUED
    classes.stop(saved, actor=course.staff, now=now)
    Lab.objects.filter(state=State.STOPPING).update(state=State.ENDED, ended_at=now)
    assert seats(begin(course, saved, now, wait=False)) == {SeatState.STARTED: 4, SeatState.REFUSED: 2}


def test_the_whole_instance_is_never_taken_over_its_limit(course: SimpleNamespace, now: datetime.datetime) -> None:
    QuotaFactory(instance=course.instance, scope=Scope.INSTANCE, cpu_millis=4000)
    assert seats(begin(course, prepared(course, now), now)) == {SeatState.STARTED: 4, SeatState.QUEUED: 2}


def test_a_class_larger_than_the_queue_leaves_its_members_their_places(
    course: SimpleNamespace, now: datetime.datetime, settings: Any
) -> None:
    settings.QUEUE_PER_INSTANCE, settings.QUEUE_FOR_CLASSES = 1, 5
    QuotaFactory(instance=course.instance, scope=Scope.INSTANCE, cpu_millis=1000)
    LabFactory(instance=course.instance, owner=course.owner, cpu_millis=1000)
    run = begin(course, prepared(course, now), now)
    assert seats(run) == {"queued": 5, "refused": 1}
    assert ClassSeat.objects.get(state=SeatState.REFUSED).reason == (
        "The queue of Physics is full for class labs. Start the class again when it is shorter."
    )
    mine = {"actor": course.members[0], "instance": course.instance, "template": course.template, "now": now}
    assert launch(**mine, values={**VALUES, "name": "mine"}, wait=True).state == State.QUEUED
    with pytest.raises(Refusal, match="The queue of Physics is full"):
        launch(**mine, values={**VALUES, "name": "one-more"}, wait=True)
    # All of them are looked at when room becomes free.
    Quota.objects.all().delete()
    assert promote_queued(course.instance.pk, now=now) == 6


def test_who_left_meanwhile_gets_none(course: SimpleNamespace, now: datetime.datetime) -> None:
    run = classes.start(prepared(course, now), section="", wait=True, actor=course.staff, now=now)
    Membership.objects.filter(user=course.members[0]).update(status=Status.SUSPENDED)
    classes.work_off(run.pk)
    assert seats(run) == {SeatState.STARTED: 5, SeatState.REFUSED: 1}


def test_staff_who_are_staff_no_more_start_nothing_more(course: SimpleNamespace, now: datetime.datetime) -> None:
    run = classes.start(prepared(course, now), section="", wait=True, actor=course.staff, now=now)
    Membership.objects.filter(user=course.staff).update(role=Role.MEMBER)
    classes.work_off(run.pk)
    assert seats(run) == {SeatState.REFUSED: 6}


def test_all_are_stopped_and_no_others(course: SimpleNamespace, now: datetime.datetime) -> None:
    other = LabFactory(instance=course.instance, owner=course.members[0], state=State.RUNNING)
    saved = prepared(course, now)
    begin(course, saved, now)
    assert classes.stop(saved, section="A", actor=course.staff, now=now) == 3
    assert classes.stop(saved, actor=course.staff, now=now) == 3
    ended = Lab.objects.filter(state=State.STOPPING)
    assert {lab.end_reason for lab in ended} == {EndReason.STAFF}
    assert ended.count() == 6
    other.refresh_from_db()
    assert other.state == State.RUNNING
    assert Event.objects.filter(verb=Verb.CLASS_STOPPED).count() == 2


def test_stopped_while_it_is_being_started_the_rest_is_not_started(
    course: SimpleNamespace, now: datetime.datetime
) -> None:
    saved = prepared(course, now)
    run = classes.start(saved, section="", wait=True, actor=course.staff, now=now)
    classes.stop(saved, actor=course.staff, now=now)
    assert classes.work_off(run.pk) == 0
    assert not Lab.objects.exists()
    run.refresh_from_db()
    assert run.finished_at


def test_a_run_that_was_lost_is_sent_for_again(course: SimpleNamespace, now: datetime.datetime) -> None:
    from django_q.models import OrmQ

    run = classes.start(prepared(course, now), section="", wait=True, actor=course.staff, now=now)
    classes.remind(now)
    late = now + classes.LOST + datetime.timedelta(seconds=1)
    classes.remind(late)
    run.refresh_from_db()
    assert run.due_at > late
    assert OrmQ is not None


@pytest.mark.parametrize("who", ["member", "stranger"])
def test_nobody_else_starts_stops_or_prepares(course: SimpleNamespace, now: datetime.datetime, who: str) -> None:
    actor = course.members[0] if who == "member" else MembershipFactory(role=Role.OWNER).user
    saved = prepared(course, now)
    for act in (
        lambda: classes.start(saved, section="", wait=True, actor=actor, now=now),
        lambda: classes.stop(saved, actor=actor, now=now),
        lambda: classes.remove_saved(saved, actor=actor, now=now),
        lambda: classes.save_launch(instance=course.instance, template=course.template, title="x", values=VALUES, actor=actor, now=now),
        lambda: launch(actor=actor, owner=course.members[1], instance=course.instance, template=course.template,
                       values={**VALUES, "name": "theirs"}, now=now),
    ):  # fmt: skip
        with pytest.raises(Refusal):
            act()
    assert not Lab.objects.exists()


@pytest.mark.parametrize(
    ("title", "values", "field"),
    [
        ("", {}, "title"),
        ("x" * 61, {}, "title"),
        ("Week", {"cpu": "1000"}, "cpu"),
        ("Week", {"evil": "1"}, "evil"),
        ("Week", {"password": "a long one"}, ""),
    ],
)  # fmt: skip
def test_wrong_answers_are_told_when_they_are_prepared(
    course: SimpleNamespace, now: datetime.datetime, title: str, values: dict[str, str], field: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        classes.save_launch(
            instance=course.instance, template=course.template, title=title, values={**VALUES, **values},
            actor=course.staff, now=now,
        )  # fmt: skip
    assert list(refusal.value.errors) == ([field] if field else [])
    assert not SavedLaunch.objects.exists()


def test_nothing_starts_for_nobody_or_when_the_course_is_over(course: SimpleNamespace, now: datetime.datetime) -> None:
    saved = prepared(course, now)
    with pytest.raises(Refusal) as refusal:
        classes.start(saved, section="C", wait=True, actor=course.staff, now=now)
    assert refusal.value.code == "nobody"
    course.instance.ends_on = timezone.localdate() - datetime.timedelta(days=1)
    course.instance.save()
    with pytest.raises(Refusal) as refusal:
        classes.start(saved, section="", wait=True, actor=course.staff, now=now)
    assert refusal.value.code == "instance-over"


def test_a_launch_for_many_takes_few_queries_each(course: SimpleNamespace, now: datetime.datetime) -> None:
    run = classes.start(prepared(course, now), section="", wait=True, actor=course.staff, now=now)
    with CaptureQueriesContext(connection) as captured:
        classes.work_off(run.pk)
    assert ClassSeat.objects.filter(state=SeatState.STARTED).count() == 6
    assert len(captured) < 6 * 32
