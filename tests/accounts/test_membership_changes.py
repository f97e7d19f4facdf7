"""Deciding, going and roles: who may, what goes with it, and that row, Event and mail are one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from django.utils import timezone

from accounts.models import Mail, MailKind, Membership, Role, Status
from accounts.services import membership as service
from labs.errors import Refusal
from labs.models import Event, Instance, Quota, Scope, State, Verb, Workload
from labs.services.limits import remove_limits, set_limits
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, QuotaFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def course() -> SimpleNamespace:
    instance = InstanceFactory()
    people = {role.value: MembershipFactory(instance=instance, role=role) for role in Role}
    states = {status.value: MembershipFactory(instance=instance, status=status) for status in Status}
    second = MembershipFactory(instance=instance, role=Role.OWNER)
    return SimpleNamespace(
        instance=instance, administrator=UserFactory(is_superuser=True), second=second, **people, **states
    )


DECISIONS: dict[str, tuple[Callable[..., bool], str, Verb, MailKind]] = {
    "approve": (service.approve, "requested", Verb.ACCESS_APPROVED, MailKind.ACCESS_APPROVED),
    "deny": (service.deny, "requested", Verb.ACCESS_DENIED, MailKind.ACCESS_DENIED),
    "suspend": (service.suspend, "approved", Verb.ACCESS_SUSPENDED, MailKind.ACCESS_SUSPENDED),
    "reinstate": (service.reinstate, "suspended", Verb.ACCESS_REINSTATED, MailKind.ACCESS_REINSTATED),
    "remove": (service.remove, "approved", Verb.ACCESS_REMOVED, MailKind.ACCESS_REMOVED),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_is_told_in_the_history_and_by_one_mail(course: SimpleNamespace, name: str) -> None:
    act, whom, verb, kind = DECISIONS[name]
    row = getattr(course, whom)
    before, user = row.status, row.user
    assert act(row, actor=course.owner.user, now=NOW, note=" as agreed ")
    act(row, actor=course.owner.user, now=NOW, note="again") if name == "remove" else None
    event = Event.objects.get(verb=verb)
    assert (event.user, event.reason, event.before["status"]) == (user, "as agreed", before)
    mail = Mail.objects.get(user=user)
    assert (mail.kind, mail.recipient, mail.instance, mail.context) == (
        kind, user.email, course.instance, {"note": "as agreed", "by": course.owner.user.pk}
    )  # fmt: skip


#: Who may, of those who are asked: an owner, staff where requests are left to them, staff where they are not, a member.
RIGHTS = {
    "approve": (True, True, False, False),
    "deny": (True, True, False, False),
    "suspend": (True, True, True, False),
    "reinstate": (True, True, False, False),
    "remove": (True, False, False, False),
}


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.parametrize(("who", "place"), [("owner", 0), ("staff", 1), ("staff", 2), ("member", 3)])
def test_who_decides(course: SimpleNamespace, name: str, who: str, place: int) -> None:
    Instance.objects.filter(pk=course.instance.pk).update(staff_may_approve=place != 2)
    act, whom, *_ = DECISIONS[name]
    row, actor = getattr(course, whom), getattr(course, who).user
    if RIGHTS[name][place]:
        assert act(row, actor=actor, now=NOW)
        return
    with pytest.raises(Refusal):
        act(row, actor=actor, now=NOW)
    assert Membership.objects.get(pk=row.pk).status == row.status
    assert not Mail.objects.filter(user=row.user).exists()


@pytest.mark.parametrize("name", ["suspend", "remove"])
@pytest.mark.parametrize("whom", ["owner", "staff"])
def test_staff_decide_nothing_about_staff_and_owners(course: SimpleNamespace, name: str, whom: str) -> None:
    colleague = MembershipFactory(instance=course.instance, role=whom)
    with pytest.raises(Refusal):
        DECISIONS[name][0](colleague, actor=course.staff.user, now=NOW)


@pytest.mark.parametrize("name", DECISIONS)
def test_nobody_decides_about_themselves(course: SimpleNamespace, name: str) -> None:
    act, whom, *_ = DECISIONS[name]
    Membership.objects.filter(pk=course.second.pk).update(status=getattr(course, whom).status)
    with pytest.raises(Refusal):
        act(course.second, actor=course.second.user, now=NOW)


def test_who_is_removed_leaves_nothing_behind_and_may_ask_again(course: SimpleNamespace) -> None:
    person = course.member.user
    lab = LabFactory(instance=course.instance, owner=person, state=State.RUNNING)
    queued = LabFactory(instance=course.instance, owner=person, state=State.QUEUED)
    elsewhere = LabFactory(owner=person, state=State.RUNNING)
    QuotaFactory(instance=course.instance, scope=Scope.PERSON, user=person, cpu_millis=8000)
    kept = QuotaFactory(scope=Scope.PERSON, user=person, cpu_millis=1)
    assert service.remove(course.member, actor=course.owner.user, now=NOW)
    states = dict(Workload.objects.values_list("pk", "state"))
    assert [states[row.pk] for row in (lab, queued, elsewhere)] == [State.STOPPING, State.ENDED, State.RUNNING]
    assert list(Quota.objects.filter(user=person)) == [kept]
    assert Event.objects.filter(verb=Verb.LIMITS_CHANGED, user=person, before__cpu_millis=8000).exists()
    assert not service.remove(course.member, actor=course.owner.user, now=NOW)
    again = service.request_access(user=person, instance=course.instance, reason="", now=NOW)
    assert again.status == Status.REQUESTED


def test_leaving_ends_ones_labs_and_keeps_the_limits_that_an_owner_has_set(course: SimpleNamespace) -> None:
    person = course.member.user
    lab = LabFactory(instance=course.instance, owner=person, state=State.RUNNING)
    QuotaFactory(instance=course.instance, scope=Scope.PERSON, user=person, cpu_millis=8000)
    assert service.leave(user=person, instance=course.instance, now=NOW) == Status.APPROVED
    assert service.leave(user=person, instance=course.instance, now=NOW) is None
    lab.refresh_from_db()
    assert lab.state == State.STOPPING
    assert Quota.objects.get(user=person).cpu_millis == 8000, "or coming back would loosen a tight one"
    event = Event.objects.get(verb=Verb.ACCESS_LEFT)
    assert (event.actor, event.before) == (person, {"status": "approved", "role": "member"})
    assert not Mail.objects.exists()


@pytest.mark.parametrize("status", ["denied", "suspended"])
def test_who_was_turned_away_cannot_leave_to_ask_again(course: SimpleNamespace, status: str) -> None:
    row = getattr(course, status)
    with pytest.raises(Refusal):
        service.leave(user=row.user, instance=course.instance, now=NOW)
    assert Membership.objects.filter(pk=row.pk, status=status).exists()


@pytest.mark.parametrize("way", ["leave", "remove", "demote", "suspend"])
@pytest.mark.parametrize("others", ["none", "suspended", "not active"])
def test_the_last_owner_stays(course: SimpleNamespace, way: str, others: str) -> None:
    """Other owners who cannot act do not count."""
    if others == "none":
        course.second.delete()
    elif others == "suspended":
        Membership.objects.filter(pk=course.second.pk).update(status=Status.SUSPENDED)
    else:
        type(course.second.user).objects.filter(pk=course.second.user.pk).update(is_active=False)
    row, told = course.owner, {"actor": course.administrator, "now": NOW}
    with pytest.raises(Refusal, match="at least one owner"):
        {
            "leave": lambda: service.leave(user=row.user, instance=course.instance, now=NOW),
            "remove": lambda: service.remove(row, **told),
            "demote": lambda: service.change_role(row, Role.MEMBER, **told),
            "suspend": lambda: service.suspend(row, **told),
        }[way]()
    assert Membership.objects.filter(pk=row.pk, role=Role.OWNER, status=Status.APPROVED).exists()


def test_one_of_two_owners_may_go(course: SimpleNamespace) -> None:
    assert service.leave(user=course.owner.user, instance=course.instance, now=NOW)


def test_a_new_role_is_told_to_the_person(course: SimpleNamespace) -> None:
    assert service.change_role(course.member, Role.STAFF, actor=course.owner.user, now=NOW)
    assert not service.change_role(course.member, Role.STAFF, actor=course.owner.user, now=NOW)
    assert Mail.objects.get().context == {"role": "staff", "by": course.owner.user.pk}
    assert Event.objects.get(verb=Verb.ROLE_CHANGED).before == {"role": "member"}


def test_staff_who_decide_requests_add_members_and_nothing_more(course: SimpleNamespace) -> None:
    told = {"instance": course.instance, "actor": course.staff.user, "now": NOW}
    assert service.add(user=UserFactory(), role=Role.MEMBER, **told)
    for role, may in ((Role.STAFF, True), (Role.OWNER, True), (Role.MEMBER, False)):
        Instance.objects.filter(pk=course.instance.pk).update(staff_may_approve=may)
        with pytest.raises(Refusal):
            service.add(
                user=UserFactory(), role=role, **told | {"instance": Instance.objects.get(pk=course.instance.pk)}
            )


def test_nobody_sets_their_own_limits(course: SimpleNamespace) -> None:
    """Not even an owner; the other one does, or a site administrator."""
    mine = Quota(instance=course.instance, scope=Scope.PERSON, user=course.owner.user, cpu_millis=64_000)
    with pytest.raises(Refusal, match="You cannot set your own"):
        set_limits(mine, actor=course.owner.user, now=NOW)
    set_limits(mine, actor=course.second.user, now=NOW)
    with pytest.raises(Refusal, match="You cannot set your own"):
        remove_limits(mine, actor=course.owner.user, now=NOW)
    for user in (course.staff.user, course.member.user):
        theirs = Quota(instance=course.instance, scope=Scope.PERSON, user=user, cpu_millis=64_000)
        with pytest.raises(Refusal):
            set_limits(theirs, actor=course.staff.user, now=NOW)


# Together or not at all ------------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


def changes(course: SimpleNamespace) -> dict[str, Callable[[], Any]]:
    told = {"actor": course.owner.user, "now": NOW}
    asker = UserFactory()
    return {
        **{
            name: lambda act=act, whom=whom: act(getattr(course, whom), **told)
            for name, (act, whom, *_) in DECISIONS.items()
        },
        "role": lambda: service.change_role(course.member, Role.STAFF, **told),
        "add": lambda: service.add(user=asker, instance=course.instance, role=Role.MEMBER, **told),
        "ask": lambda: service.request_access(user=asker, instance=course.instance, reason="", now=NOW),
    }


def everything(course: SimpleNamespace) -> tuple[Any, ...]:
    return (
        sorted(Membership.objects.values_list("pk", "status", "role", "decision_note")),
        sorted(Workload.objects.values_list("pk", "state")),
        sorted(Quota.objects.values_list("pk", "cpu_millis")),
        Event.objects.count(),
        Mail.objects.count(),
    )


@pytest.mark.parametrize("broken", ["mail", "event"])
@pytest.mark.parametrize("way", [*DECISIONS, "role", "add", "ask"])
def test_without_its_mail_or_its_event_nothing_is_changed(
    course: SimpleNamespace, way: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    LabFactory(instance=course.instance, owner=course.approved.user, state=State.RUNNING)
    QuotaFactory(instance=course.instance, scope=Scope.PERSON, user=course.approved.user, cpu_millis=8000)
    act = changes(course)[way]
    before = everything(course)

    def fails(*args: Any, **kwargs: Any) -> NoReturn:
        raise Broken

    places = {"mail": (service.mailing, ("write", "write_many")), "event": (service, ("record", "line"))}
    module, names = places[broken]
    for name in names:
        monkeypatch.setattr(module, name, fails)
    with pytest.raises(Broken):
        act()
    assert everything(course) == before
    monkeypatch.undo()
    act()
    now = everything(course)
    assert now[-2] > before[-2]
    assert now[-1] > before[-1]
