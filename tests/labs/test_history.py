"""Invariant 7: every change of membership, limit or workload leaves an Event, in the transaction of the change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from accounts.models import Membership, Role, Status
from accounts.services import membership
from labs.models import Event, Instance, InstanceCluster, Quota, Scope, State, Verb, Workload
from labs.rules import history
from labs.services import extension, instances, launch, limits, offering, places, secrets, stopping, waiting
from tests.factories import ClusterFactory, LabFactory, MembershipFactory, TemplateFactory, UserFactory

pytestmark = pytest.mark.django_db


class Broken(Exception):
    pass


def changes(world: SimpleNamespace) -> dict[str, Any]:
    """Every way to change something, as a call."""
    now = timezone.now()
    lab = LabFactory(
        instance=world.instance, owner=world.member, template=world.template, state=State.RUNNING, lifetime_minutes=60
    )
    asker = MembershipFactory(instance=world.instance, status=Status.REQUESTED)
    suspended = MembershipFactory(instance=world.instance, status=Status.SUSPENDED)
    administrator = UserFactory(is_superuser=True)
    queued = LabFactory(instance=world.instance, owner=world.staff, template=world.template, state=State.QUEUED)
    new = Quota(instance=world.instance, scope=Scope.PERSON, user=world.member, cpu_millis=500)
    renamed = Instance.objects.get(pk=world.instance.pk)
    renamed.title, renamed.policy = "Another", "open"
    place = InstanceCluster(cluster=ClusterFactory(), rank=2)
    quota = Quota.objects.get(instance=world.instance, scope=Scope.MEMBER)
    quota.cpu_millis = 1
    values = {"name": "new-lab", "cpu": "0.25", "memory": "512", "lifetime": "60"}
    member = Membership.objects.get(user=world.member)
    return {
        "launch": lambda: launch.launch(
            actor=world.member,
            instance=world.instance,
            template=world.template,
            values=values,
            now=now,
            wait=True,
        ),
        "extend": lambda: extension.extend(lab, actor=world.member, minutes=5, now=now),
        "stop": lambda: stopping.stop(lab, actor=world.staff, now=now),
        "token": lambda: secrets.reveal_token(lab, actor=world.member, now=now),
        "ask": lambda: membership.request_access(user=UserFactory(), instance=world.instance, reason="", now=now),
        "approve": lambda: membership.approve(asker, actor=world.owner, now=now),
        "deny": lambda: membership.deny(asker, actor=world.owner, now=now),
        "suspend": lambda: membership.suspend(member, actor=world.owner, now=now),
        "role": lambda: membership.change_role(member, Role.STAFF, actor=world.owner, now=now),
        "limits": lambda: limits.set_limits(quota, actor=world.owner, now=now),
        "reinstate": lambda: membership.reinstate(suspended, actor=world.owner, now=now),
        "remove": lambda: membership.remove(member, actor=world.owner, now=now),
        "leave": lambda: membership.leave(user=world.member, instance=world.instance, now=now),
        "add": lambda: membership.add(
            user=UserFactory(), instance=world.instance, role=Role.STAFF, actor=world.owner, now=now
        ),
        "new limits": lambda: limits.set_limits(new, actor=world.owner, now=now),
        "limits gone": lambda: limits.remove_limits(quota, actor=world.owner, now=now),
        "instance": lambda: instances.save_instance(renamed, actor=world.owner, now=now),
        "archive": lambda: instances.archive(world.instance, actor=world.owner, now=now),
        "services": lambda: offering.offer(
            world.instance, [TemplateFactory(slug="other", version=1)], actor=world.owner, now=now
        ),
        "places": lambda: places.set_places(world.instance, changed=[place], removed=[], actor=administrator, now=now),
        "stop many": lambda: stopping.stop_many([lab, queued], actor=world.staff, now=now),
        "promote": lambda: waiting.promote_queued(world.instance.pk, now=now),
    }


WAYS = [
    "launch", "extend", "stop", "token", "ask", "approve", "deny", "suspend", "role", "limits", "reinstate", "remove", "leave", "add",
    "new limits", "limits gone", "instance", "archive", "services", "places", "stop many", "promote",
]  # fmt: skip
#: What makes something new has nothing before; a look at a token changes nothing.
WITHOUT_BEFORE = {"launch", "ask", "add", "new limits", "token"}


def rows() -> tuple[Any, ...]:
    return (
        sorted(Workload.objects.values_list("pk", "state", "lifetime_minutes", "generation")),
        sorted(Membership.objects.values_list("pk", "status", "role")),
        sorted(Quota.objects.values_list("pk", "cpu_millis")),
        sorted(Instance.objects.values_list("pk", "title", "policy", "archived_at")),
        sorted(InstanceCluster.objects.values_list("pk", "rank")),
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_change_leaves_an_event(world: SimpleNamespace, way: str) -> None:
    act = changes(world)[way]
    before = Event.objects.count()
    act()
    assert Event.objects.count() > before


@pytest.mark.parametrize("way", [way for way in WAYS if way not in WITHOUT_BEFORE])
def test_the_event_tells_what_was_and_what_is(world: SimpleNamespace, way: str) -> None:
    act = changes(world)[way]
    known = set(Event.objects.values_list("pk", flat=True))
    act()
    for event in Event.objects.exclude(pk__in=known):
        assert event.before, event
        assert event.before != event.after, event
        assert event.actor_name, event


@pytest.mark.parametrize("way", WAYS)
def test_without_its_event_nothing_is_changed(
    world: SimpleNamespace, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = changes(world)[way]

    def broken(*args: Any, **kwargs: Any) -> NoReturn:
        raise Broken

    monkeypatch.setattr(Event, "save", broken)
    monkeypatch.setattr(type(Event.objects), "bulk_create", broken)
    before = rows()
    with pytest.raises(Broken):
        act()
    assert rows() == before


def test_an_event_outside_of_a_transaction_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history.transaction, "get_connection", lambda: SimpleNamespace(in_atomic_block=False))
    with pytest.raises(RuntimeError):
        history.record(Verb.LAUNCHED, "x", actor=None, now=timezone.now())


def test_an_event_reads_as_a_sentence() -> None:
    mina, sam = UserFactory(name="Mina"), UserFactory(name="Sam")
    told = {
        "Mina requested access": Event(verb=Verb.ACCESS_REQUESTED, actor=mina, user=mina, subject="Mina"),
        "Sam approved Mina": Event(verb=Verb.ACCESS_APPROVED, actor=sam, user=mina, subject="Mina"),
        "The site approved Mina": Event(verb=Verb.ACCESS_APPROVED, actor_name="the site", user=mina, subject="Mina"),
        "my-lab is running": Event(verb=Verb.RUNNING, actor_name="the site", subject="my-lab"),
        "my-lab is stopping (Sam)": Event(verb=Verb.STOPPING, actor=sam, subject="my-lab"),
        "gone@example.org changed the limits of Course": Event(
            verb=Verb.LIMITS_CHANGED, actor_name="gone@example.org", subject="Course"
        ),
    }
    for sentence, event in told.items():
        assert event.sentence == sentence
