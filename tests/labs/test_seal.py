"""The history is append-only in the data base itself, for whoever comes past the site's own code. On both kinds."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from labs.models import Event, Verb
from labs.services import seal
from tests.factories import EventFactory, InstanceFactory, LabFactory, UserFactory

pytestmark = pytest.mark.django_db

REWRITES = {
    "reason": "UPDATE labs_event SET reason = 'another'",
    "verb": f"UPDATE labs_event SET verb = '{Verb.ENDED}'",
    "time": "UPDATE labs_event SET at = '2000-01-01 00:00:00+00:00'",
    "before": "UPDATE labs_event SET before = '{\"x\": 1}'",
    "who": "UPDATE labs_event SET actor_name = 'somebody@example.org'",
    "another actor": "UPDATE labs_event SET actor_id = (SELECT max(id) FROM accounts_user)",
    "another instance": "UPDATE labs_event SET instance_id = (SELECT max(id) FROM labs_instance)",
    "delete": "DELETE FROM labs_event",
}


def make_event() -> Event:
    actor = UserFactory()
    event = EventFactory(actor=actor, instance=InstanceFactory(), workload=LabFactory())
    UserFactory()
    InstanceFactory()
    return event


def told(event: Event) -> dict[str, Any]:
    return Event.objects.filter(pk=event.pk).values().get()


@pytest.mark.parametrize("way", REWRITES)
def test_no_statement_rewrites_or_deletes_history(way: str) -> None:
    event = make_event()
    before = told(event)
    with (
        pytest.raises(IntegrityError, match="neither rewritten nor deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(REWRITES[way])
    assert told(event) == before


def test_no_second_manager_or_raw_delete_comes_past_it() -> None:
    event = make_event()
    for act in (
        lambda: Event._base_manager.filter(pk=event.pk).update(reason="another"),
        lambda: Event._base_manager.filter(pk=event.pk).delete(),
        lambda: Event.objects.filter(pk=event.pk)._raw_delete("default"),
        lambda: Event.objects.bulk_update([event], ["reason"]),
    ):
        with pytest.raises((IntegrityError, TypeError)), transaction.atomic():
            act()
    assert Event.objects.filter(pk=event.pk, reason="").exists()


def test_an_account_an_instance_and_a_lab_go_and_the_lines_stay() -> None:
    event = make_event()
    actor, instance, workload = event.actor, event.instance, event.workload
    assert actor
    assert instance
    assert workload
    before = told(event)
    workload.delete()
    actor.delete()
    instance.delete()
    assert told(event) == before | {"actor_id": None, "user_id": None, "instance_id": None, "workload_id": None}


def test_a_reference_that_is_gone_does_not_come_back() -> None:
    event = make_event()
    actor = event.actor_id
    with connection.cursor() as cursor:
        cursor.execute("UPDATE labs_event SET actor_id = NULL")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE labs_event SET actor_id = %s", [actor])


def test_new_lines_are_written_and_the_seal_can_be_set_twice() -> None:
    seal.seal(connection)
    seal.seal(connection)
    make_event()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM labs_event")


def test_what_has_to_rewrite_history_opens_it_first() -> None:
    event = make_event()
    seal.unseal(connection)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE labs_event SET reason = 'migrated'")
    seal.seal(connection)
    assert told(event)["reason"] == "migrated"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such statement")
def test_it_is_not_truncated() -> None:
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE labs_event")
