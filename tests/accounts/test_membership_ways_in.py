"""How people get in: by the instance's kind of access, its dates, and addresses that are confirmed."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.models import Mail, MailKind, Membership, Role, RosterEntry, Status, User
from accounts.services import membership as service
from accounts.services.digest import WINDOW, waiting_for
from labs.errors import Refusal
from labs.models import Event, Instance, Policy, Verb
from tests.factories import InstanceFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def person(email: str, *, verified: bool = True) -> User:
    user = UserFactory(email=email)
    EmailAddress.objects.create(user=user, email=user.email, verified=verified, primary=True)
    return user


def ask(user: User, instance: Instance, now: datetime.datetime = NOW) -> str:
    return service.request_access(user=user, instance=instance, reason="", now=now).status


@pytest.mark.parametrize(
    ("email", "verified", "status"),
    [
        ("mina@uni.example", True, Status.APPROVED),
        ("mina@uni.example", False, Status.REQUESTED),
        ("mina@student.uni.example", True, Status.REQUESTED),
        ("mina@evil-uni.example", True, Status.REQUESTED),
        ("mina@uni.example.org", True, Status.REQUESTED),
        ("uni.example@elsewhere.example", True, Status.REQUESTED),
    ],
)
def test_a_confirmed_address_of_exactly_the_domain_is_in_and_all_others_ask(
    email: str, verified: bool, status: Status
) -> None:
    instance = InstanceFactory(policy=Policy.DOMAIN, email_domains=["uni.example"])
    assert ask(person(email, verified=verified), instance) == status


def test_a_second_confirmed_address_counts_and_another_persons_does_not() -> None:
    instance = InstanceFactory(policy=Policy.DOMAIN, email_domains=["uni.example"])
    person("other@uni.example")
    mina = person("mina@home.example")
    assert ask(mina, instance) == Status.REQUESTED
    EmailAddress.objects.create(user=mina, email="Mina@Uni.example", verified=True)
    assert ask(mina, instance) == Status.APPROVED


def test_the_history_says_why_nobody_was_asked() -> None:
    mina = person("mina@uni.example")
    ask(mina, InstanceFactory(policy=Policy.DOMAIN, email_domains=["uni.example"]))
    event = Event.objects.get(user=mina, verb=Verb.ACCESS_APPROVED)
    assert (event.actor, event.reason) == (None, "confirmed address at uni.example")
    assert (event.before, event.after) == ({"status": "requested"}, {"status": "approved"})


def test_who_is_on_the_roster_is_in_as_a_member_and_the_line_is_theirs() -> None:
    instance, mina = InstanceFactory(policy=Policy.ROSTER), person("mina@uni.example")
    entry = RosterEntry.objects.create(instance=instance, email="mina@uni.example")
    assert ask(mina, instance) == Status.APPROVED
    entry.refresh_from_db()
    assert (entry.user, entry.bound_at) == (mina, NOW)


def test_a_role_on_the_roster_is_not_taken_by_asking() -> None:
    instance, mina = InstanceFactory(policy=Policy.ROSTER), person("mina@uni.example")
    entry = RosterEntry.objects.create(instance=instance, email="mina@uni.example", role=Role.STAFF)
    ask(mina, instance)
    entry.refresh_from_db()
    assert Membership.objects.get(user=mina).role == Role.MEMBER
    assert entry.user is None


@pytest.mark.parametrize("case", ["not on it", "not confirmed", "taken by somebody else", "of another instance"])
def test_nobody_else_asks_where_the_roster_decides(case: str) -> None:
    instance = InstanceFactory(policy=Policy.ROSTER)
    mina = person("mina@uni.example", verified=case != "not confirmed")
    if case != "not on it":
        RosterEntry.objects.create(
            instance=InstanceFactory() if case == "of another instance" else instance, email="mina@uni.example",
            user=UserFactory() if case == "taken by somebody else" else None,
        )  # fmt: skip
    with pytest.raises(Refusal, match="Only people on the roster"):
        ask(mina, instance)
    assert not Membership.objects.filter(user=mina).exists()


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("days", [-1, None])
def test_nobody_gets_in_after_the_end(policy: Policy, days: int | None) -> None:
    """`days` None: archived."""
    over = {"ends_on": timezone.localdate(NOW) + datetime.timedelta(days=days)} if days else {"archived_at": NOW}
    with pytest.raises(Refusal, match="has ended"):
        ask(UserFactory(), InstanceFactory(policy=policy, email_domains=["uni.example"], **over))


@pytest.mark.parametrize(("policy", "status"), [(Policy.APPROVAL, Status.REQUESTED), (Policy.OPEN, Status.APPROVED)])
def test_one_may_ask_before_the_first_day_and_on_the_last(policy: Policy, status: Status) -> None:
    today = timezone.localdate(NOW)
    soon = InstanceFactory(policy=policy, starts_on=today + datetime.timedelta(days=7))
    assert ask(UserFactory(), soon) == status
    assert ask(UserFactory(), InstanceFactory(policy=policy, ends_on=today)) == status


# Telling those who decide ----------------------------------------------------------------------------------------------


@pytest.fixture
def course() -> SimpleNamespace:
    instance = InstanceFactory()
    people = {role.value: MembershipFactory(instance=instance, role=role).user for role in Role}
    return SimpleNamespace(instance=instance, **people)


def told(instance: Instance) -> dict[int, list[datetime.datetime]]:
    """Person → when each mail about requests is to be sent."""
    found: dict[int, list[datetime.datetime]] = {}
    for mail in Mail.objects.filter(instance=instance, kind=MailKind.REQUESTS_WAITING).order_by("due_at"):
        found.setdefault(mail.user_id or 0, []).append(mail.due_at)
    return found


def test_a_request_is_told_to_each_who_decides_once_and_at_once(course: SimpleNamespace) -> None:
    asker = UserFactory()
    for _ in range(2):
        ask(asker, course.instance)
    assert told(course.instance) == {course.owner.pk: [NOW], course.staff.pk: [NOW]}


def test_staff_who_do_not_decide_are_not_told(course: SimpleNamespace) -> None:
    Instance.objects.update(staff_may_approve=False)
    MembershipFactory(instance=course.instance, role=Role.OWNER, status=Status.SUSPENDED)
    ask(UserFactory(), course.instance)
    assert list(told(course.instance)) == [course.owner.pk]


def test_a_hundred_requests_make_two_mails_to_each(course: SimpleNamespace) -> None:
    """The first at once; the others of the half hour together, at its end."""
    for number in range(100):
        ask(UserFactory(), course.instance, NOW + datetime.timedelta(seconds=10 * number))
    assert told(course.instance)[course.owner.pk] == [NOW, NOW + WINDOW]
    assert len(waiting_for(course.owner, course.instance)) == 100
    ask(UserFactory(), course.instance, NOW + WINDOW + datetime.timedelta(minutes=1))
    assert told(course.instance)[course.owner.pk] == [NOW, NOW + WINDOW, NOW + 2 * WINDOW]
    ask(UserFactory(), course.instance, NOW + 9 * WINDOW)
    assert told(course.instance)[course.owner.pk][-1] == NOW + 9 * WINDOW


def test_a_mail_that_is_to_come_is_taken_back_when_nobody_waits_any_more(course: SimpleNamespace) -> None:
    for seconds in (0, 60):
        ask(UserFactory(), course.instance, NOW + datetime.timedelta(seconds=seconds))
    first, second = Membership.objects.waiting().order_by("pk")
    later = NOW + datetime.timedelta(seconds=90)
    service.approve(first, actor=course.owner, now=later)
    assert told(course.instance)[course.staff.pk] == [NOW, NOW + WINDOW]
    service.deny(second, actor=course.owner, now=later)
    assert told(course.instance) == {course.owner.pk: [NOW], course.staff.pk: [NOW]}


def test_what_a_mail_names_is_what_this_person_may_decide_when_it_is_sent(course: SimpleNamespace) -> None:
    ask(UserFactory(), course.instance)
    assert len(waiting_for(course.staff, course.instance)) == 1
    Instance.objects.update(staff_may_approve=False)
    assert waiting_for(course.staff, course.instance) == []
    assert waiting_for(course.member, course.instance) == []
    service.approve(Membership.objects.waiting().get(), actor=course.owner, now=NOW)
    assert waiting_for(course.owner, course.instance) == []
