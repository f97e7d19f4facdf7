"""Deciding about many at once: as one by one, with a handful of queries."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from accounts.models import Mail, MailKind, Membership, Role, Status, User
from accounts.rules import authority, mailing
from accounts.services import membership
from labs.models import Event, Instance, Verb
from tests.factories import InstanceFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


def crowd(instance: Instance, count: int) -> list[Membership]:
    """People who ask, so many."""
    first = User.objects.count()
    users = User.objects.bulk_create(
        User(email=f"asker-{number}@example.org", password="!") for number in range(first, first + count)
    )
    rows = [Membership(instance=instance, user=user, requested_at=timezone.now()) for user in users]
    return Membership.objects.bulk_create(rows)


def owner_of(instance: Instance) -> User:
    return MembershipFactory(instance=instance, role=Role.OWNER).user


@pytest.mark.parametrize(
    ("decide", "before", "after", "verb", "kind"),
    [
        (membership.approve_many, Status.REQUESTED, Status.APPROVED, Verb.ACCESS_APPROVED, MailKind.ACCESS_APPROVED),
        (membership.approve_many, Status.DENIED, Status.APPROVED, Verb.ACCESS_APPROVED, MailKind.ACCESS_APPROVED),
        (membership.deny_many, Status.REQUESTED, Status.DENIED, Verb.ACCESS_DENIED, MailKind.ACCESS_DENIED),
        (
            membership.reinstate_many, Status.SUSPENDED, Status.APPROVED, Verb.ACCESS_REINSTATED,
            MailKind.ACCESS_REINSTATED,
        ),
    ],
)  # fmt: skip
def test_each_row_has_its_event_and_its_mail_in_every_instance(
    decide: Any, before: str, after: str, verb: str, kind: str
) -> None:
    instances, now = InstanceFactory.create_batch(2), timezone.now()
    actor = UserFactory(is_superuser=True)
    rows = [MembershipFactory(instance=instance, status=before) for instance in instances for _ in range(2)]
    assert decide(rows, actor=actor, now=now, note=" welcome ") == {row.pk for row in rows}
    for row in rows:
        event = Event.objects.get(user=row.user)
        row.refresh_from_db()
        assert (row.status, row.decided_by, row.decided_at, row.decision_note) == (after, actor, now, "welcome")
        assert (event.verb, event.actor, event.instance, event.reason) == (verb, actor, row.instance, "welcome")
        assert (event.before, event.after) == ({"status": before}, {"status": after})
        mail = Mail.objects.get(user=row.user)
        assert (mail.kind, mail.recipient, mail.instance) == (kind, row.user.email, row.instance)
        assert (mail.key, mail.context) == (f"{kind}:{event.pk}", {"note": "welcome", "by": event.actor_id})


def test_500_take_a_handful_of_queries_and_one_task(django_capture_on_commit_callbacks: Any) -> None:
    instance = InstanceFactory()
    owner, rows = owner_of(instance), crowd(instance, 500)
    with CaptureQueriesContext(connection) as made, django_capture_on_commit_callbacks(execute=True):
        assert len(membership.approve_many(rows, actor=owner, now=timezone.now())) == 500
    assert len(made) < 40, "SQLite takes some dozens of rows with one statement, PostgreSQL all of them"
    assert Membership.objects.approved().count() == 501
    assert Mail.objects.count() == Event.objects.count() == 500
    assert OrmQ.objects.count() == 1


def test_more_than_one_transaction_takes_are_taken_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "TOGETHER", 2)
    instance = InstanceFactory()
    rows = crowd(instance, 5)
    assert len(membership.approve_many(rows, actor=owner_of(instance), now=timezone.now())) == 5


def test_what_was_decided_or_is_not_the_actors_stays() -> None:
    instance, other = InstanceFactory.create_batch(2)
    staff = MembershipFactory(instance=instance, role=Role.STAFF).user
    asks = MembershipFactory(instance=instance, status=Status.REQUESTED)
    stay = [
        MembershipFactory(instance=instance, status=Status.SUSPENDED),
        MembershipFactory(instance=instance, status=Status.REQUESTED, role=Role.OWNER),
        MembershipFactory(instance=other, status=Status.REQUESTED),
    ]
    gone = MembershipFactory(instance=instance, status=Status.REQUESTED)
    Membership.objects.filter(pk=gone.pk).delete()
    before = {row.pk: row.status for row in stay}
    changed = membership.approve_many([*stay, asks, gone], actor=staff, now=timezone.now())
    assert changed == {asks.pk}
    assert dict(Membership.objects.filter(pk__in=before).values_list("pk", "status")) == before
    assert Event.objects.count() == 1
    assert membership.approve_many([asks], actor=staff, now=timezone.now()) == set()


def test_many_and_one_by_one_are_allowed_the_same() -> None:
    instance = InstanceFactory()
    others = [MembershipFactory(instance=instance, role=role, status=Status.REQUESTED) for role in Role]
    actors = [MembershipFactory(instance=instance, role=role, status=status) for role in Role for status in Status]
    people = [row.user for row in actors]
    people += [UserFactory(), UserFactory(is_superuser=True), UserFactory(is_superuser=True, is_active=False)]
    rows = list(Membership.objects.select_related("instance"))
    assert len(others) < len(rows)
    for user, may_approve in itertools.product(people, (True, False)):
        instance.staff_may_approve = may_approve
        for row in rows:
            row.instance = instance
        alone = [row for row in rows if authority.can_decide_membership(user, row)]
        assert authority.decidable_by(user, instance, rows) == alone


def test_without_their_mails_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("no mails")

    instance = InstanceFactory()
    rows = crowd(instance, 2)
    monkeypatch.setattr(mailing, "write_many", broken)
    with pytest.raises(RuntimeError):
        membership.approve_many(rows, actor=owner_of(instance), now=timezone.now())
    assert Membership.objects.waiting().count() == 2
    assert not Event.objects.exists()
