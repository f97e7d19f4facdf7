"""What was decided about a person holds, whether they delete their account, leave, or stand on the next list."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from accounts.models import Membership, Role, RosterEntry, Status, User
from accounts.services import deletion, people
from accounts.services import membership as service
from accounts.services.roster.admitting import bind_person
from labs.errors import Refusal
from labs.models import Event, Policy, Verb

from .conftest import somebody

Load = Callable[..., dict[str, int]]
ANN = "ann@uni.example"
LIST = f"e-mail,name,section\n{ANN},Ann,A\n"


def the(user: User) -> Membership:
    return Membership.objects.get(user=user)


def come_back(user: User, now: datetime.datetime) -> User:
    """Delete the account, and make a new one with the same address."""
    address = user.email
    assert deletion.delete_account(user, now=now)
    return somebody(address)


# The account is deleted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy.ROSTER, Policy.OPEN])
@pytest.mark.parametrize("is_listed", [True, False])
def test_who_was_suspended_is_suspended_when_they_come_back_with_a_new_account(
    course: SimpleNamespace, load: Load, now: datetime.datetime, policy: Policy, is_listed: bool
) -> None:
    type(course.instance).objects.update(policy=policy)
    ann = somebody(ANN)
    if is_listed:
        load(LIST)
    else:
        Membership.objects.create(instance=course.instance, user=ann, status=Status.APPROVED)
    service.suspend(the(ann), actor=course.owner, now=now)
    again = come_back(ann, now)
    assert the(again).status == Status.SUSPENDED
    with pytest.raises(Refusal):
        service.request_access(user=again, instance=course.instance, reason="", now=now)
    told = Event.objects.filter(user=again, verb=Verb.ACCESS_SUSPENDED)
    assert [event.reason for event in told] == ["as before the account was deleted"]


def test_who_was_denied_stays_so_and_an_owner_can_still_let_them_in(
    course: SimpleNamespace, load: Load, now: datetime.datetime
) -> None:
    ann = somebody(ANN)
    row = service.request_access(user=ann, instance=course.instance, reason="", now=now)
    service.deny(row, actor=course.owner, now=now)
    assert deletion.delete_account(ann, now=now)
    (shown,) = (one for one in people.page(course.instance, people.Wish(), start=0, size=9)[1] if one.email == ANN)
    assert (shown.state, shown.state_text) == ("out", "Not approved")
    assert people.counts(course.instance)["out"] == 1
    load(LIST)  # A list that names them does not undo it.
    again = somebody(ANN)
    assert the(again).status == Status.DENIED
    assert service.approve(the(again), actor=course.owner, now=now)
    assert the(come_back(again, now)).status == Status.APPROVED


def test_a_role_that_was_taken_away_is_not_given_back_by_a_new_account(
    course: SimpleNamespace, now: datetime.datetime
) -> None:
    ann = somebody(ANN)
    entry = RosterEntry.objects.create(instance=course.instance, email=ANN, role=Role.OWNER)
    bind_person(ann, now=now)
    Membership.objects.filter(user=ann).update(role=Role.MEMBER)
    again = come_back(ann, now)
    assert (the(again).role, the(again).status) == (Role.MEMBER, Status.APPROVED)
    service.leave(user=again, instance=course.instance, now=now)
    RosterEntry.objects.filter(pk=entry.pk).update(role=Role.STAFF)
    assert the(come_back(again, now)).role == Role.MEMBER, "as for anybody who has left"


def test_an_address_that_was_not_proved_shuts_nobody_out(course: SimpleNamespace, now: datetime.datetime) -> None:
    crook = somebody(ANN, verified=False)
    row = service.request_access(user=crook, instance=course.instance, reason="", now=now)
    service.deny(row, actor=course.owner, now=now)
    assert not Membership.objects.filter(user=come_back(crook, now)).exists()


def test_the_link_of_an_invitation_that_was_used_stays_used(course: SimpleNamespace, now: datetime.datetime) -> None:
    ann = somebody(ANN)
    entry = RosterEntry.objects.create(instance=course.instance, email=ANN)
    bind_person(ann, now=now)
    assert deletion.delete_account(ann, now=now)
    entry.refresh_from_db()
    assert (entry.user, entry.bound_at) == (None, now)
