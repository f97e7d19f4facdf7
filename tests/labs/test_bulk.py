"""Many rows, each with values of its own, in one statement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labs.models import State, Workload
from labs.models.bulk import update_each
from tests.factories import LabFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def three(world: SimpleNamespace) -> list[Any]:
    return [LabFactory(instance=world.instance, state=State.STARTING, name=f"lab-{number}") for number in range(3)]


@pytest.fixture(params=["together", "one by one"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As the data base can, and as SQLite before 3.35 can."""
    if request.param == "one by one":
        monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)
    return str(request.param)


def updates(queries: CaptureQueriesContext) -> int:
    return sum(query["sql"].startswith("UPDATE") for query in queries.captured_queries)


def test_each_row_gets_its_own(three: list[Any], way: str) -> None:
    at = timezone.now()
    each: dict[Any, dict[str, Any]] = {
        three[0].pk: {"problem": "it's “odd” %s", "expires_at": at, "steps": [{"a": None}]},
        three[1].pk: {"problem": "", "expires_at": None, "steps": []},
    }
    with CaptureQueriesContext(connection) as queries:
        assert update_each(Workload, each) == set(each)
    assert updates(queries) == (1 if way == "together" else 2)
    for pk, wanted in each.items():
        assert Workload.objects.values(*wanted).get(pk=pk) == wanted
    assert Workload.objects.get(pk=three[2].pk).problem == three[2].problem


def test_rows_with_other_fields_are_another_statement(three: list[Any]) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert len(update_each(Workload, {three[0].pk: {"problem": "a"}, three[1].pk: {"is_ready": True}})) == 2
    assert updates(queries) == 2
    assert Workload.objects.get(pk=three[1].pk).is_ready


def test_nothing_is_written_where_somebody_was_faster(three: list[Any]) -> None:
    each = {lab.pk: {"problem": "new"} for lab in three}
    Workload.objects.filter(pk=three[0].pk).update(generation=7)
    Workload.objects.filter(pk=three[1].pk).update(state=State.STOPPING, end_reason="user")
    as_read = {lab.pk: {"generation": lab.generation} for lab in three}
    assert update_each(Workload, each, as_read=as_read, only={"state": [State.STARTING]}) == {three[2].pk}
    assert not update_each(Workload, {})
