"""Asking for access, deciding, roles: who may, what is written, what it ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.utils import timezone

from accounts.models import Membership, Role, Status
from accounts.services import membership as service
from labs.errors import Refusal
from labs.models import Event, Policy, State, Verb, Workload
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def course() -> SimpleNamespace:
    instance = InstanceFactory()
    people = {role.value: MembershipFactory(instance=instance, role=role) for role in Role}
    return SimpleNamespace(
        instance=instance, waiting=MembershipFactory(instance=instance, status=Status.REQUESTED), **people
    )


def test_asking_twice_is_asking_once() -> None:
    instance, user = InstanceFactory(), UserFactory()
    for _ in range(2):
        service.request_access(user=user, instance=instance, reason="I take the course.", now=timezone.now())
    assert Membership.objects.get(user=user).status == Status.REQUESTED
    assert Event.objects.filter(user=user, verb=Verb.ACCESS_REQUESTED).count() == 1


def test_an_open_instance_lets_everybody_in_and_a_closed_one_nobody() -> None:
    user = UserFactory()
    opened = service.request_access(
        user=user, instance=InstanceFactory(policy=Policy.OPEN), reason="", now=timezone.now()
    )
    assert opened.status == Status.APPROVED
    with pytest.raises(Refusal):
        service.request_access(user=user, instance=InstanceFactory(policy=Policy.CLOSED), reason="", now=timezone.now())


@pytest.mark.parametrize("status", [Status.DENIED, Status.SUSPENDED])
def test_who_was_turned_away_does_not_get_in_by_asking_again(status: Status) -> None:
    denied = MembershipFactory(status=status, instance__policy=Policy.OPEN)
    with pytest.raises(Refusal):
        service.request_access(user=denied.user, instance=denied.instance, reason="", now=timezone.now())
    denied.refresh_from_db()
    assert denied.status == status


@pytest.mark.parametrize(("who", "may"), [("owner", True), ("staff", True), ("member", False), ("waiting", False)])
def test_owners_and_staff_approve_and_nobody_else(course: SimpleNamespace, who: str, may: bool) -> None:
    actor = getattr(course, who).user
    if may:
        assert service.approve(course.waiting, actor=actor, now=timezone.now(), note="welcome")
    else:
        with pytest.raises(Refusal):
            service.approve(course.waiting, actor=actor, now=timezone.now())
    course.waiting.refresh_from_db()
    assert course.waiting.is_approved == may
    assert Event.objects.filter(verb=Verb.ACCESS_APPROVED, actor=actor).count() == int(may)


def test_the_owner_of_another_instance_decides_nothing_here(course: SimpleNamespace) -> None:
    stranger = MembershipFactory(role=Role.OWNER).user
    for act in (service.approve, service.deny):
        with pytest.raises(Refusal):
            act(course.waiting, actor=stranger, now=timezone.now())


def test_staff_cannot_make_staff_or_owners_nor_change_an_owner(course: SimpleNamespace) -> None:
    for membership, role in ((course.member, Role.STAFF), (course.staff, Role.OWNER), (course.owner, Role.MEMBER)):
        with pytest.raises(Refusal):
            service.change_role(membership, role, actor=course.staff.user, now=timezone.now())
    with pytest.raises(Refusal):
        service.suspend(course.owner, actor=course.staff.user, now=timezone.now())
    with pytest.raises(Refusal):
        service.add(
            user=UserFactory(), instance=course.instance, role=Role.STAFF, actor=course.staff.user, now=timezone.now()
        )


def test_nobody_changes_their_own_role(course: SimpleNamespace) -> None:
    with pytest.raises(Refusal):
        service.change_role(course.owner, Role.MEMBER, actor=course.owner.user, now=timezone.now())


def test_an_instance_keeps_an_owner(course: SimpleNamespace) -> None:
    administrator = UserFactory(is_superuser=True)
    for act in (
        lambda: service.change_role(course.owner, Role.MEMBER, actor=administrator, now=timezone.now()),
        lambda: service.suspend(course.owner, actor=administrator, now=timezone.now()),
    ):
        with pytest.raises(Refusal, match="at least one owner"):
            act()


def test_suspension_ends_what_the_person_runs_there_and_nothing_else(course: SimpleNamespace) -> None:
    here = LabFactory(instance=course.instance, owner=course.member.user, state=State.RUNNING)
    elsewhere = LabFactory(owner=course.member.user, state=State.RUNNING)
    others = LabFactory(instance=course.instance, state=State.RUNNING)
    service.suspend(course.member, actor=course.owner.user, now=timezone.now(), note="until we have talked")
    states = dict(Workload.objects.values_list("pk", "state"))
    assert [states[lab.pk] for lab in (here, elsewhere, others)] == [State.STOPPING, State.RUNNING, State.RUNNING]


def test_two_decisions_at_once_are_one(course: SimpleNamespace) -> None:
    same = Membership.objects.get(pk=course.waiting.pk)
    assert service.approve(course.waiting, actor=course.owner.user, now=timezone.now())
    assert not service.deny(same, actor=course.staff.user, now=timezone.now())
    same.refresh_from_db()
    assert same.is_approved


def test_history_is_neither_rewritten_nor_deleted(course: SimpleNamespace) -> None:
    service.approve(course.waiting, actor=course.owner.user, now=timezone.now())
    event = Event.objects.latest("pk")
    event.reason = "another"
    for act in (event.save, event.delete, Event.objects.all().delete, lambda: Event.objects.update(reason="another")):
        with pytest.raises(TypeError):
            act()
