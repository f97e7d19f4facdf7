"""What was decided about a person holds, whether they delete their account, leave, or stand on the next list."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from allauth.account.models import EmailAddress

from accounts.models import Mail, MailKind, Membership, Role, RosterEntry, RosterUpload, Status, User
from accounts.services import bars, deletion, people
from accounts.services import membership as service
from accounts.services.roster import uploads
from accounts.services.roster.admitting import bind_person
from accounts.services.roster.choices import Choices
from labs.errors import Refusal
from labs.models import Event, Policy, Quota, Verb
from labs.services.limits import remove_limits, set_limits
from tests.factories import MembershipFactory

from .conftest import somebody

Load = Callable[..., dict[str, int]]
Keep = Callable[..., RosterUpload]
ANN = "ann@uni.example"
LIST = f"e-mail,name,section\n{ANN},Ann,A\n"


def the(user: User) -> Membership:
    return Membership.objects.get(user=user)


def come_back(user: User, now: datetime.datetime) -> User:
    """Delete your account, and make a new one with the same address."""
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
    assert [event.reason for event in told] == [bars.SAME_ADDRESS]


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


# The next list ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ann(course: SimpleNamespace, load: Load) -> User:
    """On the roster as staff with 8 CPU, and in."""
    user = somebody(ANN)
    load(f"e-mail,name,role,cpu\n{ANN},Ann,staff,8\n")
    return user


@pytest.mark.parametrize("who", ["owner", "staff"])
def test_a_list_gives_back_no_role_and_no_limits_that_an_owner_took_away(
    course: SimpleNamespace, load: Load, now: datetime.datetime, ann: User, who: str
) -> None:
    service.change_role(the(ann), Role.MEMBER, actor=course.owner, now=now)
    quota = Quota.objects.get(user=ann)
    quota.cpu_millis = 1000
    set_limits(quota, actor=course.owner, now=now)
    assert load(LIST, getattr(course, who))["changed"] == 1
    assert (the(ann).role, Quota.objects.get(user=ann).cpu_millis) == (Role.MEMBER, 1000)
    remove_limits(quota, actor=course.owner, now=now)
    assert load(LIST.replace(",A", ",B"), getattr(course, who))["changed"] == 1
    assert not Quota.objects.filter(user=ann).exists()
    entry = RosterEntry.objects.get(email=ANN)
    assert (entry.role, entry.limits) == (Role.MEMBER, {})


def test_what_the_roster_has_held_for_long_is_not_given_once_more(
    course: SimpleNamespace, load: Load, now: datetime.datetime, ann: User
) -> None:
    """Also where the entry was never told of the decision."""
    Membership.objects.filter(user=ann).update(role=Role.MEMBER)
    Quota.objects.filter(user=ann).update(cpu_millis=1000)
    assert load(LIST)["changed"] == 1
    assert (the(ann).role, Quota.objects.get(user=ann).cpu_millis) == (Role.MEMBER, 1000)
    assert load(f"e-mail,cpu\n{ANN},4\n")["changed"] == 1
    assert (the(ann).role, Quota.objects.get(user=ann).cpu_millis) == (Role.MEMBER, 4000)


@pytest.mark.parametrize("way", ["remove", "leave"])
def test_a_list_puts_nobody_back_who_was_removed_or_has_left(
    course: SimpleNamespace, load: Load, now: datetime.datetime, ann: User, way: str
) -> None:
    type(course.instance).objects.update(policy=Policy.ROSTER)
    if way == "remove":
        service.remove(the(ann), actor=course.owner, now=now)
        with pytest.raises(Refusal):
            service.request_access(user=ann, instance=course.instance, reason="", now=now)
    else:
        service.leave(user=ann, instance=course.instance, now=now)
    assert load(LIST)["changed"] == 1
    bind_person(ann, now=now)
    assert not Membership.objects.filter(user=ann).exists()
    service.request_access(user=ann, instance=course.instance, reason="", now=now)
    assert (the(ann).status, the(ann).role) == (Status.APPROVED, Role.MEMBER), "named again, and they ask"


def test_who_was_removed_and_is_let_in_again_stands_on_the_roster_again(
    course: SimpleNamespace, load: Load, now: datetime.datetime, ann: User
) -> None:
    service.remove(the(ann), actor=course.owner, now=now)
    assert [row[0] for row in people.roster_table(course.instance)[1]] == []
    row = service.request_access(user=ann, instance=course.instance, reason="", now=now)
    service.approve(row, actor=course.owner, now=now)
    listed = [row[0] for row in people.roster_table(course.instance)[1]]
    assert listed == [ANN]
    load("e-mail\n" + "\n".join(listed), suspend_missing=True)
    assert the(ann).status == Status.APPROVED


def test_a_second_address_on_the_list_lets_nobody_in_who_was_removed(
    course: SimpleNamespace, load: Load, now: datetime.datetime, ann: User
) -> None:
    type(course.instance).objects.update(policy=Policy.ROSTER)
    EmailAddress.objects.create(user=ann, email="second@uni.example", verified=True)
    load("e-mail\nsecond@uni.example\n")
    service.remove(the(ann), actor=course.owner, now=now)
    with pytest.raises(Refusal):
        service.request_access(user=ann, instance=course.instance, reason="", now=now)


# Let in again ------------------------------------------------------------------------------------------------------------


def test_a_list_reinstates_on_an_explicit_choice_alone(
    course: SimpleNamespace, keep: Keep, load: Load, now: datetime.datetime
) -> None:
    """Whoever it names by any address of theirs; with history and mail."""
    ann, bo = somebody(ANN), somebody("bo@uni.example")
    load(f"{LIST}bo@uni.example,Bo,A\n")
    load("e-mail\ncleo@uni.example\n", suspend_missing=True)
    service.reinstate(the(bo), actor=course.owner, now=now)
    service.suspend(the(bo), actor=course.owner, now=now, note="by hand")
    names_both = f"{LIST}BO@uni.example,Bo,A\n"
    assert "reinstated" not in load(names_both)
    assert {the(ann).status, the(bo).status} == {Status.SUSPENDED}
    upload = keep(names_both, choices=Choices(reinstate=True))
    assert [line["email"] for line in upload.preview["samples"]["reinstated"]] == [ANN, "bo@uni.example"]
    assert the(ann).status == Status.SUSPENDED
    counts = uploads.confirm(upload.pk, instance=course.instance, actor=course.owner, now=now)
    assert counts["reinstated"] == 2
    assert {the(ann).status, the(bo).status} == {Status.APPROVED}
    told = Event.objects.filter(verb=Verb.ACCESS_REINSTATED, reason="on the new list", actor=course.owner)
    assert {event.user for event in told} == {ann, bo}
    assert Mail.objects.filter(kind=MailKind.ACCESS_REINSTATED, user=ann).count() == 1


def test_staff_reinstate_by_a_list_no_more_than_they_may(
    course: SimpleNamespace, keep: Keep, now: datetime.datetime
) -> None:
    other_staff = MembershipFactory(instance=course.instance, role=Role.STAFF, status=Status.SUSPENDED).user
    plain = MembershipFactory(instance=course.instance, status=Status.SUSPENDED).user
    denied = MembershipFactory(instance=course.instance, status=Status.DENIED).user
    text = "\n".join(["e-mail", other_staff.email, plain.email, denied.email])
    told = keep(text, course.staff, choices=Choices(reinstate=True)).preview
    assert [line["email"] for line in told["samples"]["reinstated"]] == [plain.email]
    told = keep(text, choices=Choices(reinstate=True)).preview
    assert {line["email"] for line in told["samples"]["reinstated"]} == {other_staff.email, plain.email}
