"""Cores in use by hour, from the rows of what ran; and people by day."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, Status
from accounts.services.growth import MOST_POINTS, growth
from labs.admin.charts import Chart, Series, cores_chart, growth_chart
from labs.models import State
from labs.services.usage import cores_by_hour, hours_until
from tests.factories import InstanceFactory, LabFactory, MembershipFactory

pytestmark = pytest.mark.django_db

NOW = datetime.datetime(2024, 5, 8, 12, 30, tzinfo=datetime.UTC)


def at(hour: float) -> datetime.datetime:
    """So many hours after the noon of now's day."""
    return NOW.replace(minute=0) + datetime.timedelta(hours=hour)


def test_hours_are_averages_and_the_last_is_of_what_has_passed() -> None:
    instance = InstanceFactory()
    LabFactory(instance=instance, state=State.ENDED, cpu_millis=2000, started_at=at(-3.5), ended_at=at(-1.75))
    LabFactory(instance=instance, state=State.RUNNING, cpu_millis=500, started_at=at(-1), expires_at=at(9))
    LabFactory(instance=instance, state=State.QUEUED, cpu_millis=9000)
    LabFactory(instance=instance, state=State.ENDED, cpu_millis=9000, started_at=None, ended_at=at(-1))
    LabFactory(cpu_millis=9000, state=State.RUNNING, started_at=at(-9), expires_at=at(9))
    values = cores_by_hour([instance], now=NOW, hours=5)[instance.pk]
    assert values == pytest.approx([1.0, 2.0, 0.5, 0.5, 0.5])


def test_what_ran_before_and_still_runs_fills_the_whole_week() -> None:
    instance = InstanceFactory()
    LabFactory(instance=instance, state=State.RUNNING, started_at=at(-9999), expires_at=at(1), cpu_millis=1500)
    LabFactory(instance=instance, state=State.ENDED, started_at=at(-9999), ended_at=at(-999), cpu_millis=9000)
    values = cores_by_hour([instance], now=NOW)[instance.pk]
    assert len(values) == 168
    assert values == pytest.approx([1.5] * 168)


def test_many_instances_and_labs_are_one_query() -> None:
    instances = InstanceFactory.create_batch(3)
    for instance in instances:
        LabFactory.create_batch(3, instance=instance, state=State.RUNNING, started_at=at(-2), expires_at=at(2))
    with CaptureQueriesContext(connection) as captured:
        found = cores_by_hour(instances, now=NOW)
    assert len(captured) == 1
    assert [values[-1] for values in found.values()] == pytest.approx([3, 3, 3])


def test_an_hour_that_begins_now_divides_by_nothing() -> None:
    instance = InstanceFactory()
    LabFactory(instance=instance, state=State.RUNNING, started_at=at(-2), expires_at=at(2))
    assert len(cores_by_hour([instance], now=at(0))[instance.pk]) == 168


def test_growth_counts_who_asked_and_who_is_approved_by_then() -> None:
    instance = InstanceFactory()
    day = datetime.timedelta(days=1)
    MembershipFactory(instance=instance, requested_at=NOW - 3 * day, decided_at=NOW - day)
    MembershipFactory(instance=instance, requested_at=NOW - 2 * day, status=Status.REQUESTED, decided_at=None)
    MembershipFactory(instance=instance, requested_at=NOW, status=Status.DENIED, decided_at=NOW)
    points = growth(Membership.objects.filter(instance=instance), today=NOW.date())
    assert [(point.registered, point.approved) for point in points] == [(1, 0), (2, 0), (2, 1), (3, 1)]


def test_growth_of_years_is_a_few_points_and_ends_today() -> None:
    MembershipFactory(requested_at=NOW - datetime.timedelta(days=1000), decided_at=NOW)
    points = growth(Membership.objects.all(), today=NOW.date())
    assert len(points) <= MOST_POINTS
    assert points[-1].day == NOW.date()
    assert (points[-1].registered, points[-1].approved) == (1, 1)


def test_nobody_is_no_plot() -> None:
    assert growth(Membership.objects.none(), today=NOW.date()) == []
    assert growth_chart("x", []) is None


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (0.4, 1), (1, 1), (7, 8), (65, 80), (100, 100), (205, 300), (950, 1000)]
)
def test_the_scale_ends_at_a_round_number_above_all(most: float, top: float) -> None:
    chart = Chart("x", "t", "", [Series("s", [0, most])], [], [], [])
    assert chart.top == top


def test_the_plot_of_a_limit_shows_it_and_can_be_read_as_a_table() -> None:
    hours = hours_until(NOW)
    chart = cores_chart("x", [2.0] * 168, hours, limit=4)
    assert chart.limit_line == "M0 0.00H1000"
    assert "The limit is 4" in chart.text
    assert len(chart.rows) == 8
    assert chart.rows[1][1:] == ["2", "2"]
    assert chart.shapes[0].line.startswith("M0.00 50.00L")
