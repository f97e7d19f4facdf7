"""A decision is about a person, not about an account: an address of somebody who is out opens no way in, with whatever account."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Membership, Role, RosterEntry, Status, User
from accounts.services import bars, invitations
from accounts.services import membership as service
from accounts.services.entrance import entrance
from accounts.services.roster.admitting import bind_known, bind_person
from accounts.services.roster.leaving import take_off
from labs.errors import Refusal
from labs.models import Event, Instance, Policy, Verb
from tests.factories import InstanceFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()
EVE = "eve@uni.example"
WAYS_OUT = ("suspended", "denied")


def somebody(email: str) -> User:
    user = UserFactory(email=f"login-{User.objects.count()}@home.example")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    EmailAddress.objects.create(user=user, email=email, verified=True)
    return user


@pytest.fixture
def owner(course: Instance) -> User:
    return MembershipFactory(instance=course, role=Role.OWNER).user


@pytest.fixture
def course() -> Instance:
    return InstanceFactory(policy=Policy.DOMAIN, email_domains=["uni.example"])


def put_out(user: User, course: Instance, owner: User, how: str) -> Membership:
    if how == "denied":
        row = Membership.objects.create(user=user, instance=course, status=Status.REQUESTED)
        service.deny(row, actor=owner, now=NOW)
    else:
        row = Membership.objects.create(user=user, instance=course, status=Status.APPROVED)
        service.suspend(row, actor=owner, now=NOW)
    return row


def move(address: str, old: User, new: User) -> None:
    EmailAddress.objects.get(user=old, email=address).delete()
    EmailAddress.objects.create(user=new, email=address, verified=True)


def status(user: User, course: Instance) -> str | None:
    return Membership.objects.filter(user=user, instance=course).values_list("status", flat=True).first()


@pytest.fixture(params=["moved", "tagged", "untagged"])
def other(request: Any, course: Instance, owner: User) -> User:
    """A second account of somebody who is suspended: with the address moved to it, or with another tag."""
    first = somebody("eve+1@uni.example" if request.param == "untagged" else EVE)
    put_out(first, course, owner, "suspended")
    second = UserFactory(email="second@home.example")
    EmailAddress.objects.create(user=second, email=second.email, verified=True, primary=True)
    if request.param == "moved":
        move(EVE, first, second)
    else:
        address = EVE if request.param == "untagged" else "eve+2@uni.example"
        EmailAddress.objects.create(user=second, email=address, verified=True)
    return second


@pytest.mark.parametrize("policy", [Policy.DOMAIN, Policy.OPEN, Policy.APPROVAL, Policy.ROSTER])
def test_nobody_asks_their_way_back_in_with_another_account(course: Instance, other: User, policy: Policy) -> None:
    Instance.objects.filter(pk=course.pk).update(policy=policy)
    course.refresh_from_db()
    assert status(other, course) or entrance(other, course, now=NOW).is_closed
    with suppress(Refusal):  # Where the bar had found them already, when the address was proved.
        service.request_access(user=other, instance=course, reason="", now=NOW)
    assert status(other, course) == Status.SUSPENDED
    event = Event.objects.get(user=other, verb=Verb.ACCESS_SUSPENDED)
    assert (event.actor, event.reason) == (None, bars.SAME_ADDRESS)


def test_a_request_from_before_is_not_granted_by_the_domain_afterwards(course: Instance, owner: User) -> None:
    second = UserFactory(email="second@home.example")
    service.request_access(user=second, instance=course, reason="", now=NOW)
    put_out(somebody(EVE), course, owner, "denied")
    EmailAddress.objects.create(user=second, email="eve+x@uni.example", verified=True)
    service.request_access(user=second, instance=course, reason="", now=NOW)
    assert status(second, course) == Status.DENIED


def test_the_roster_lets_nobody_back_in(course: Instance, owner: User, other: User) -> None:
    address = EmailAddress.objects.filter(user=other, primary=False).get().email
    entry, _ = RosterEntry.objects.get_or_create(instance=course, email="second@home.example")
    bind_known(course, [entry], actor=owner, now=NOW)
    bind_person(other, now=NOW)
    assert status(other, course) == Status.SUSPENDED
    listed, _ = RosterEntry.objects.get_or_create(instance=course, email=address)
    bind_known(course, [listed], actor=owner, now=NOW)
    assert status(other, course) == Status.SUSPENDED


def test_an_invitation_lets_nobody_back_in(course: Instance, owner: User, other: User) -> None:
    entry = RosterEntry.objects.create(instance=course, email="colleague@uni.example", role=Role.STAFF)
    invitations.invite(instance=course, actor=owner, now=NOW, entries=[entry.pk])
    entry.refresh_from_db()
    token = invitations.link(entry, NOW).rstrip("/").rpartition("/")[2]
    with suppress(Refusal):
        invitations.take(token, user=other, now=NOW)
    assert status(other, course) in (None, Status.SUSPENDED)


def test_an_owner_who_adds_the_account_is_told(course: Instance, owner: User, other: User) -> None:
    administrator = UserFactory(is_superuser=True)
    if status(other, course) is None:
        with pytest.raises(Refusal, match="was suspended here"):
            service.add(user=other, instance=course, role=Role.MEMBER, actor=administrator, now=NOW)
    else:
        service.add(user=other, instance=course, role=Role.MEMBER, actor=administrator, now=NOW)
    assert status(other, course) in (None, Status.SUSPENDED)


def test_who_may_decide_lets_the_second_account_in_for_good(course: Instance, owner: User, other: User) -> None:
    if status(other, course) is None:
        service.request_access(user=other, instance=course, reason="", now=NOW)
    service.reinstate(Membership.objects.get(user=other, instance=course), actor=owner, now=NOW)
    assert status(other, course) == Status.APPROVED
    assert service.request_access(user=other, instance=course, reason="", now=NOW).status == Status.APPROVED
    assert not RosterEntry.objects.exclude(barred="").filter(email=EVE).exists()


@pytest.mark.parametrize("how", WAYS_OUT)
def test_an_address_that_leaves_stays_barred_and_an_owner_takes_the_bar_off(
    course: Instance, owner: User, how: str
) -> None:
    first = somebody(EVE)
    put_out(first, course, owner, how)
    EmailAddress.objects.get(user=first, email=EVE).delete()
    entry = RosterEntry.objects.get(instance=course, email=EVE)
    assert (entry.barred, entry.user) == (how, None)
    take_off([entry.pk], instance=course, actor=owner, now=NOW)
    assert bars.status_of(somebody(EVE), course) is None


def test_a_reinstated_person_bars_nobody_and_an_address_that_nobody_proved_neither(
    course: Instance, owner: User
) -> None:
    first = somebody(EVE)
    row = put_out(first, course, owner, "suspended")
    unproved = UserFactory(email=EVE)
    EmailAddress.objects.create(user=unproved, email="eve+1@uni.example", verified=False)
    assert bars.status_of(unproved, course) is None
    service.reinstate(row, actor=owner, now=NOW)
    assert bars.status_of(somebody("eve+2@uni.example"), course) is None


def test_bars_of_one_course_are_none_of_another(course: Instance, owner: User, other: User) -> None:
    elsewhere = InstanceFactory(policy=Policy.OPEN)
    assert service.request_access(user=other, instance=elsewhere, reason="", now=NOW).status == Status.APPROVED


def test_queries_do_not_grow_with_the_number_of_people(course: Instance, owner: User) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            bars.statuses(course, list(User.objects.values_list("pk", flat=True)))
        return len(queries)

    put_out(somebody(EVE), course, owner, "suspended")
    before = count()
    for number in range(5):
        put_out(somebody(f"bad{number}@uni.example"), course, owner, "suspended")
    assert count() == before
