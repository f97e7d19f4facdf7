"""Lifetime: extension within the limit, expiry, start deadline, the queue."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from labs.errors import Refusal
from labs.models import EndReason, Event, Lab, Quota, Scope, State, Verb, Workload
from labs.services import observe
from labs.services.extension import extend, room_minutes
from labs.services.instances import save_instance
from labs.services.stopping import stop
from labs.services.sweep import end_due
from labs.services.transition import move
from labs.services.waiting import promote_queued
from tests.factories import LabFactory, UserFactory
from tests.labs.test_launch import amounts

pytestmark = pytest.mark.django_db
MINUTE = datetime.timedelta(minutes=1)


def lab_of(world: SimpleNamespace, state: State = State.RUNNING, **fields: object) -> Lab:
    fields = {"owner": world.member, "template": world.template, **fields}
    if state == State.RUNNING:
        fields = {
            "lifetime_minutes": 60,
            "started_at": world.now - 30 * MINUTE,
            "expires_at": world.now + 30 * MINUTE,
            **fields,
        }
    lab: Lab = LabFactory(instance=world.instance, state=state, **fields)
    return lab


def test_an_extension_moves_the_end_and_tells_the_cluster(world: SimpleNamespace) -> None:
    lab = lab_of(world)
    extend(lab, actor=world.member, minutes=60, now=world.now)
    row = Workload.objects.get(pk=lab.pk)
    assert (row.expires_at, row.lifetime_minutes) == (lab.expires_at + 60 * MINUTE, 120)
    assert row.generation == lab.generation + 1
    assert Event.objects.get(workload=lab.pk).verb == Verb.EXTENDED


def test_member_cannot_extend_beyond_the_limit(world: SimpleNamespace) -> None:
    lab = lab_of(world)
    assert room_minutes(lab) == 1440 - 60
    with pytest.raises(Refusal) as caught:
        extend(lab, actor=world.member, minutes=1381, now=world.now)
    assert amounts(caught.value) == ("over-limit", "lifetime_minutes", 1440, 60, 1381)


@pytest.mark.parametrize("who", ["staff", "owner"])
def test_nobody_else_extends_a_lab(world: SimpleNamespace, who: str) -> None:
    with pytest.raises(Refusal):
        extend(lab_of(world), actor=getattr(world, who), minutes=1, now=world.now)


def test_an_expired_lab_is_not_extended(world: SimpleNamespace) -> None:
    with pytest.raises(Refusal):
        extend(lab_of(world, expires_at=world.now), actor=world.member, minutes=1, now=world.now)


def test_what_has_expired_ends_and_what_has_not_stays(world: SimpleNamespace) -> None:
    over, not_yet = lab_of(world, expires_at=world.now), lab_of(world)
    assert end_due(world.now) == 1
    assert Workload.objects.get(pk=over.pk).end_reason == EndReason.EXPIRED
    assert Workload.objects.get(pk=not_yet.pk).state == State.RUNNING


def test_what_has_not_answered_by_its_deadline_is_given_up_with_a_reason(world: SimpleNamespace) -> None:
    lab = lab_of(world, State.STARTING, start_deadline=world.now)
    end_due(world.now)
    row = Workload.objects.get(pk=lab.pk)
    assert (row.state, row.end_reason, row.diagnosis["cause"]) == (State.STOPPING, EndReason.FAILED, "start-deadline")


def test_what_was_given_up_is_not_told_to_wait(world: SimpleNamespace) -> None:
    waits = {"cause": "no-free-cpu", "title": "The lab waits for a free place", "text": "It asks for 4 CPUs.",
             "next_step": "Wait: it starts by itself when others end.", "fatal": False}  # fmt: skip
    lab = lab_of(world, State.STARTING, start_deadline=world.now, diagnosis=waits)
    end_due(world.now)
    told = Workload.objects.get(pk=lab.pk).diagnosis
    assert told["fatal"]
    assert "It asks for 4 CPUs." in told["text"]
    assert "Wait" not in told["next_step"]


def test_who_leaves_the_queue_takes_no_room(world: SimpleNamespace) -> None:
    lab = lab_of(world, State.QUEUED)
    assert stop(lab, actor=world.member, now=world.now)
    row = Workload.objects.get(pk=lab.pk)
    assert (row.state, row.end_reason, row.ended_at) == (State.ENDED, EndReason.USER, world.now)


def test_who_has_just_left_the_queue_for_a_place_is_stopped_there(world: SimpleNamespace) -> None:
    lab = lab_of(world, State.QUEUED)
    Workload.objects.update(state=State.REQUESTED)
    assert stop(lab, actor=world.member, now=world.now)
    assert Workload.objects.get(pk=lab.pk).state == State.STOPPING


def test_what_can_never_start_holds_up_nobody(world: SimpleNamespace) -> None:
    large = lab_of(world, State.QUEUED, owner=world.staff, cpu_millis=9000, created_at=world.now - MINUTE)
    small = lab_of(world, State.QUEUED, cpu_millis=1000, created_at=world.now)
    Quota.objects.filter(instance=world.instance, scope=Scope.INSTANCE).update(cpu_millis=2000)
    Quota.objects.create(instance=world.instance, scope=Scope.PERSON, user=world.staff, cpu_millis=20_000)
    promote_queued(world.instance.pk, now=world.now)
    states = dict(Workload.objects.values_list("pk", "state"))
    assert [states[large.pk], states[small.pk]] == [State.QUEUED, State.REQUESTED]


def test_time_while_starting_does_not_count(world: SimpleNamespace) -> None:
    lab = lab_of(world, State.STARTING, start_deadline=world.now + MINUTE)
    assert lab.time_left(world.now) is None


def test_an_ended_workload_goes_nowhere(world: SimpleNamespace) -> None:
    lab = lab_of(world, State.ENDED)
    for state in State:
        assert not move(lab, state, now=world.now)


def test_stopping_twice_is_stopping_once(world: SimpleNamespace) -> None:
    lab = lab_of(world)
    assert stop(lab, actor=world.member, now=world.now)
    assert not stop(lab, actor=world.member, now=world.now)
    assert Event.objects.filter(workload=lab.pk, verb=Verb.STOPPING).count() == 1


def test_who_stopped_it_is_told(world: SimpleNamespace) -> None:
    mine, theirs = lab_of(world), lab_of(world)
    stop(mine, actor=world.member, now=world.now)
    stop(theirs, actor=world.staff, now=world.now)
    assert Workload.objects.get(pk=mine.pk).end_reason == EndReason.USER
    assert Workload.objects.get(pk=theirs.pk).end_reason == EndReason.STAFF


def test_a_user_stops_only_their_own(world: SimpleNamespace) -> None:
    with pytest.raises(Refusal, match="no such lab"):
        stop(lab_of(world), actor=UserFactory(), now=world.now)


def test_the_queue_moves_up_in_order_as_room_comes_free(world: SimpleNamespace) -> None:
    running = lab_of(world, cpu_millis=3000)
    first = lab_of(world, State.QUEUED, cpu_millis=3000, created_at=world.now - 2 * MINUTE)
    second = lab_of(world, State.QUEUED, cpu_millis=3000, created_at=world.now - MINUTE)
    others = lab_of(world, State.QUEUED, cpu_millis=3000, owner=world.staff, created_at=world.now)
    promote_queued(world.instance.pk, now=world.now)
    states = dict(Workload.objects.values_list("pk", "state"))
    assert [states[lab.pk] for lab in (first, second, others)] == [State.QUEUED, State.QUEUED, State.REQUESTED]
    stop(running, actor=world.member, now=world.now)
    move(running, State.ENDED, now=world.now, ended_at=world.now)
    promote_queued(world.instance.pk, now=world.now)
    states = dict(Workload.objects.values_list("pk", "state"))
    assert [states[lab.pk] for lab in (first, second)] == [State.REQUESTED, State.QUEUED]


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def last_day(world: SimpleNamespace, settings: Any) -> SimpleNamespace:
    """The world's instance ends on the day on which clocks are set back in Berlin, which has 25 hours."""
    settings.TIME_ZONE = "Europe/Berlin"
    world.instance.ends_on = datetime.date(2026, 10, 25)
    world.instance.save()
    world.noon = datetime.datetime(2026, 10, 25, 12, 0, tzinfo=BERLIN)
    world.end = datetime.datetime(2026, 10, 25, 23, 0, tzinfo=datetime.UTC)
    return world


def answers_at(lab: Lab, now: datetime.datetime) -> Lab:
    observe._answers([lab], {lab.pk: {"is_ready": True}}, now)
    row: Lab = Lab.objects.select_related("instance", "owner", "template", "cluster").get(pk=lab.pk)
    return row


@pytest.mark.parametrize(
    ("day", "hours"),
    [(datetime.date(2026, 10, 25), 25), (datetime.date(2026, 3, 29), 23), (datetime.date(2026, 7, 1), 24)],
)
def test_the_last_day_ends_at_midnight_on_the_sites_clock(
    world: SimpleNamespace, settings: Any, day: datetime.date, hours: int
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    world.instance.ends_on = day
    begin = datetime.datetime.combine(day, datetime.time(), BERLIN).astimezone(datetime.UTC)
    assert world.instance.ends_at == begin + datetime.timedelta(hours=hours)
    assert world.instance.is_running(timezone.localdate(world.instance.ends_at - MINUTE))
    assert not world.instance.is_running(timezone.localdate(world.instance.ends_at))


def test_a_lab_of_the_last_day_ends_with_it(last_day: SimpleNamespace) -> None:
    starting = lab_of(last_day, State.STARTING, lifetime_minutes=1440, start_deadline=last_day.noon)
    assert (starting.latest_end, starting.ends_with_instance) == (last_day.end, True)
    row = answers_at(starting, last_day.noon)
    assert (row.expires_at, row.lifetime_minutes) == (last_day.end, 1440)
    assert row.time_left(last_day.noon) == datetime.timedelta(hours=12)
    assert end_due(last_day.end) == 1
    assert Workload.objects.get(pk=row.pk).end_reason == EndReason.INSTANCE_OVER


def test_a_short_lab_of_the_last_day_ends_by_its_lifetime(last_day: SimpleNamespace) -> None:
    row = answers_at(lab_of(last_day, State.STARTING, lifetime_minutes=60), last_day.noon)
    assert (row.expires_at, row.ends_with_instance) == (last_day.noon + 60 * MINUTE, False)
    end_due(row.expires_at)
    assert Workload.objects.get(pk=row.pk).end_reason == EndReason.EXPIRED


def test_no_extension_goes_beyond_the_last_day(last_day: SimpleNamespace) -> None:
    lab = answers_at(lab_of(last_day, State.STARTING, lifetime_minutes=60), last_day.noon)
    assert room_minutes(lab) == 11 * 60
    with pytest.raises(
        Refusal, match="ends on 25 October 2026 at midnight, and its labs with it: it can have 11 hours more"
    ):
        extend(lab, actor=last_day.member, minutes=12 * 60, now=last_day.noon)
    extend(lab, actor=last_day.member, minutes=11 * 60, now=last_day.noon)
    row = Lab.objects.select_related("instance", "owner", "template").get(pk=lab.pk)
    assert (row.expires_at, room_minutes(row)) == (last_day.end, 0)


def test_another_last_day_moves_the_ends(last_day: SimpleNamespace) -> None:
    lab = answers_at(lab_of(last_day, State.STARTING, lifetime_minutes=1440), last_day.noon)
    last_day.instance.ends_on = None
    save_instance(last_day.instance, actor=last_day.owner, now=last_day.noon)
    row = Workload.objects.get(pk=lab.pk)
    assert row.expires_at == last_day.noon + 1440 * MINUTE
    assert row.generation > lab.generation
    last_day.instance.ends_on = datetime.date(2026, 10, 25)
    save_instance(last_day.instance, actor=last_day.owner, now=last_day.noon, is_confirmed=True)
    assert Workload.objects.get(pk=lab.pk).expires_at == last_day.end
