"""What an import writes, what it leaves alone, and who may."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, Role, RosterEntry, RosterUpload, Status
from accounts.services import people
from accounts.services.invitations import invite
from accounts.services.roster import admitting, leaving, uploads
from accounts.services.roster.choices import Choices
from labs.errors import Refusal
from labs.models import Event, Instance, Lab, Quota, Scope, State, Verb
from labs.services import export
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, QuotaFactory

from .conftest import somebody

Load = Callable[..., dict[str, int]]
LIST = "e-mail,name,section,student number\nann@uni.example,Ann,A,1\nbo@uni.example,Bo,B,2\n"
OWNERS_LIST = "e-mail,name,role,cpu,memory\nann@uni.example,Ann,staff,2,8\n"


def standing() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (RosterEntry, Membership, Quota, Event)]


def lines_of(upload: RosterUpload, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = upload.preview["samples"].get(kind, [])
    return found


def test_nothing_is_written_until_it_is_confirmed(course: SimpleNamespace, keep: Any, now: datetime.datetime) -> None:
    before = standing()
    upload = keep(LIST)
    assert standing() == before
    counts = uploads.confirm(upload.pk, instance=course.instance, actor=course.owner, now=now)
    assert (counts["new"], course.instance.roster.count()) == (2, 2)


def test_the_same_list_again_changes_nothing(course: SimpleNamespace, load: Load) -> None:
    somebody("ann@uni.example")
    first = load(LIST)
    before = standing()
    again = load(LIST.replace("Ann", " Ann ").replace("ann@", "ANN@"))
    assert (first["new"], again["new"], again["changed"], again["unchanged"]) == (2, 0, 0, 2)
    assert standing() == before


def test_each_changed_person_leaves_an_event_with_what_was_and_is(course: SimpleNamespace, load: Load) -> None:
    load(LIST, choices=Choices(columns={0: "email", 1: "name", 2: "section", 3: "note"}))
    load("e-mail,section,student number\nann@uni.example,C,7\nbo@uni.example,B,2\nchi@uni.example,C,3\n")
    told = Event.objects.filter(verb=Verb.ROSTER_CHANGED).order_by("pk")[2:]
    assert [(event.subject, event.before, event.after, event.actor) for event in told] == [
        ("ann@uni.example", {"section": "A", "notes": ["student number"]}, {"section": "C", "notes": ["student number"]}, course.owner),
        ("chi@uni.example", {}, {"section": "C", "role": "member", "notes": ["student number"]}, course.owner),
    ]  # fmt: skip
    summary = Event.objects.filter(verb=Verb.ROSTER_IMPORTED).order_by("pk").last()
    assert summary is not None
    assert summary.after == {"new": 1, "changed": 1, "unchanged": 1, "wrong": 0, "missing": 0}
    assert course.instance.roster.get(email="ann@uni.example").name == "Ann", (
        "a column that is not there changes nothing"
    )


def test_the_preview_says_what_becomes_of_each_line(course: SimpleNamespace, keep: Any, load: Load) -> None:
    load(LIST)
    upload = keep("e-mail,name,section\nann@uni.example,Ann Lee,A\nbo@uni.example,Bo,B\nchi@uni.example,Chi,B\nx,,\n")
    assert lines_of(upload, "changed")[0]["changes"] == [{"what": "name", "before": "Ann", "after": "Ann Lee"}]
    assert [lines_of(upload, kind)[0]["line"] for kind in ("changed", "unchanged", "new", "wrong")] == [2, 3, 4, 5]
    assert upload.table["used"] == ["e-mail", "name", "section"]


@pytest.mark.parametrize(
    ("head", "cells", "problem"),
    [
        ("role", "staff", "Only owners can assign the role “staff”."),
        ("role", "owner", "Only owners can assign the role “owner”."),
        ("cpu", "64", "Only owners can set personal limits. Leave these cells empty."),
        ("lifetime", "1000", "Only owners can set personal limits. Leave these cells empty."),
    ],
)
def test_staff_give_neither_roles_nor_limits(
    course: SimpleNamespace, keep: Any, load: Load, head: str, cells: str, problem: str
) -> None:
    text = f"e-mail,{head}\nann@uni.example,{cells}\nbo@uni.example,\n"
    upload = keep(text, course.staff)
    assert [(line["line"], line["problem"]) for line in lines_of(upload, "wrong")] == [(2, problem)]
    load(text, course.staff)
    assert list(course.instance.roster.values_list("email", flat=True)) == ["bo@uni.example"]


def test_staff_do_not_take_a_role_or_limits_away_either(course: SimpleNamespace, keep: Any, load: Load) -> None:
    load(OWNERS_LIST)
    assert not lines_of(keep(OWNERS_LIST, course.staff), "wrong"), (
        "as an owner has given them, they may stand in the list"
    )
    problems = [lines_of(keep(text, course.staff), "wrong")[0]["problem"] for text in (
        "e-mail,role\nann@uni.example,member\n", "e-mail,cpu\nann@uni.example,1\n",
    )]  # fmt: skip
    assert "Only owners can change the role" in problems[0]
    assert "Only owners can set personal limits" in problems[1]


def test_staff_who_decide_nothing_let_nobody_in_by_a_list_or_an_invitation(
    course: SimpleNamespace, keep: Any, load: Load, now: datetime.datetime, client: Client
) -> None:
    load(LIST)
    upload = keep("chi@uni.example\n", course.staff)
    chi = somebody("chi@uni.example")
    Instance.objects.update(staff_may_approve=False)
    told: dict[str, Any] = {"instance": course.instance, "actor": course.staff, "now": now}
    course.instance.refresh_from_db()
    for act in (
        lambda: keep("chi@uni.example\n", course.staff),
        lambda: uploads.confirm(upload.pk, **told),
        lambda: invite(**told),
        lambda: leaving.take_off(list(course.instance.roster.values_list("pk", flat=True)), **told),
    ):
        with pytest.raises(Refusal, match="only owners can approve people"):
            act()
    assert not Membership.objects.filter(user=chi).exists()
    assert course.instance.roster.filter(invited_at=None).count() == 2
    client.force_login(course.staff)
    for page in ("people/", "people/import/"):
        text = client.get(f"/i/physics/{page}").text
        assert "In this course only owners can approve people" in text
        assert 'name="file"' not in text
        assert 'name="do"' not in text
    client.force_login(course.owner)
    assert 'name="do"' in client.get("/i/physics/people/").text


def test_a_member_imports_nothing(course: SimpleNamespace, keep: Any) -> None:
    with pytest.raises(Refusal):
        keep(LIST, course.member)


def test_what_is_confirmed_is_what_was_shown(
    course: SimpleNamespace, keep: Any, load: Load, now: datetime.datetime
) -> None:
    upload = keep(LIST)
    load("e-mail,name\nann@uni.example,Somebody Else\n")
    before = standing()
    with pytest.raises(Refusal) as refusal:
        uploads.confirm(upload.pk, instance=course.instance, actor=course.owner, now=now)
    assert refusal.value.code == "stale"
    assert standing() == before
    uploads.renew(upload, instance=course.instance, actor=course.owner, now=now)
    assert uploads.confirm(upload.pk, instance=course.instance, actor=course.owner, now=now)["changed"] == 1


def test_an_upload_belongs_to_who_made_it_where_and_for_a_while(
    course: SimpleNamespace, keep: Any, now: datetime.datetime
) -> None:
    upload = keep(LIST)
    elsewhere = InstanceFactory()
    MembershipFactory(instance=elsewhere, user=course.owner, role=Role.OWNER)
    late = now + uploads.KEPT
    for instance, actor, at in (
        (course.instance, course.staff, now),
        (elsewhere, course.owner, now),
        (course.instance, course.owner, late),
    ):
        assert uploads.find(upload.pk, instance=instance, actor=actor, now=at) is None
        with pytest.raises(Refusal):
            uploads.confirm(upload.pk, instance=instance, actor=actor, now=at)
    assert not RosterEntry.objects.exists()
    assert uploads.forget_old(late) == 1


def test_confirmed_twice_it_is_done_once_and_its_lines_are_forgotten(
    course: SimpleNamespace, keep: Any, now: datetime.datetime
) -> None:
    upload = keep(LIST)
    first = uploads.confirm(upload.pk, instance=course.instance, actor=course.owner, now=now)
    before = standing()
    assert uploads.confirm(upload.pk, instance=course.instance, actor=course.owner, now=now) == first
    assert standing() == before
    upload.refresh_from_db()
    assert bytes(upload.lines) == b""


def test_who_was_staff_at_the_upload_and_is_not_any_more_confirms_nothing(
    course: SimpleNamespace, keep: Any, now: datetime.datetime
) -> None:
    upload = keep(LIST, course.staff)
    Membership.objects.filter(user=course.staff).update(role=Role.MEMBER)
    with pytest.raises(Refusal):
        uploads.confirm(upload.pk, instance=course.instance, actor=course.staff, now=now)


# Those whom the list leaves out --------------------------------------------------------------------------------------------


def test_members_who_are_not_on_the_list_are_suspended_and_what_they_run_ends(
    course: SimpleNamespace, load: Load, keep: Any
) -> None:
    ann = somebody("ann@uni.example")
    load(LIST)
    labs = [LabFactory(instance=course.instance, owner=user, state=State.RUNNING) for user in (ann, course.member)]
    shown = keep("e-mail\nbo@uni.example\n", suspend_missing=True)
    assert [line["email"] for line in lines_of(shown, "missing")] == sorted(["ann@uni.example", course.member.email])
    counts = load("e-mail\nbo@uni.example\n", suspend_missing=True)
    assert counts["missing"] == 2
    gone = Membership.objects.filter(status=Status.SUSPENDED)
    assert {row.user for row in gone} == {ann, course.member}
    assert {lab.state for lab in Lab.objects.filter(pk__in=[lab.pk for lab in labs])} == {State.STOPPING}
    assert Event.objects.filter(verb=Verb.ACCESS_SUSPENDED, actor=course.owner).count() == 2
    before = standing()
    assert load("e-mail\nbo@uni.example\n", suspend_missing=True)["missing"] == 0
    assert standing() == before


def test_owners_staff_and_oneself_are_never_suspended_by_a_list(course: SimpleNamespace, load: Load) -> None:
    load("e-mail,role\nta@uni.example,staff\n")
    Membership.objects.filter(user=course.member).delete()
    counts = load("e-mail\nbo@uni.example\n", course.staff, suspend_missing=True)
    assert counts["missing"] == 0
    assert not Membership.objects.exclude(status=Status.APPROVED).exists()


def test_who_is_on_the_list_by_another_of_their_addresses_stays(course: SimpleNamespace, load: Load) -> None:
    ann = somebody("ann@home.example")
    ann.emailaddress_set.create(email="ann@uni.example", verified=True)  # type: ignore[attr-defined]
    MembershipFactory(instance=course.instance, user=ann)
    load("e-mail\nann@uni.example\n" + f"{course.member.email}\n", suspend_missing=True)
    assert Membership.objects.get(user=ann).status == Status.APPROVED


def test_a_line_that_cannot_be_read_suspends_nobody(course: SimpleNamespace, load: Load, keep: Any) -> None:
    text = "e-mail\nbo@uni.example\nann@@uni.example\n"
    assert keep(text, suspend_missing=True).preview["unread"] == 1
    assert load(text, suspend_missing=True)["missing"] == 0
    assert Membership.objects.get(user=course.member).status == Status.APPROVED


def test_who_was_left_out_and_is_named_again_is_expected_again_but_not_let_in(
    course: SimpleNamespace, load: Load
) -> None:
    ann = somebody("ann@uni.example")
    load(LIST)
    load("e-mail\nbo@uni.example\n", suspend_missing=True)
    entry = course.instance.roster.get(email="ann@uni.example")
    assert entry.left_at
    assert load(LIST)["changed"] == 1
    entry.refresh_from_db()
    assert entry.left_at is None
    assert Membership.objects.get(user=ann).status == Status.SUSPENDED, "that is for somebody to decide"


# People who are here already -----------------------------------------------------------------------------------------------


def test_who_has_a_verified_address_is_in_at_once(course: SimpleNamespace, load: Load) -> None:
    ann, bo = somebody("ann@uni.example"), somebody("bo@uni.example", verified=False)
    assert load(LIST)["let_in"] == 1
    assert Membership.objects.get(user=ann).status == Status.APPROVED
    assert not Membership.objects.filter(user=bo).exists()


def test_many_who_have_accounts_each_get_their_own_seat(course: SimpleNamespace, load: Load) -> None:
    people = [somebody(f"p{number}@uni.example") for number in range(30)]
    lines = "".join(f"p{number}@uni.example\n" for number in range(40))
    assert load(f"e-mail\n{lines}")["let_in"] == 30
    seats = dict(course.instance.roster.values_list("email", "user"))
    assert seats == {f"p{n}@uni.example": people[n].pk if n < 30 else None for n in range(40)}


def test_an_owner_raises_role_and_limits_of_those_who_are_in(course: SimpleNamespace, load: Load) -> None:
    QuotaFactory(instance=course.instance, scope=Scope.MEMBER, cpu_millis=1000, gpus=0, lifetime_minutes=60)
    ann = somebody("ann@uni.example")
    load(LIST)
    load(OWNERS_LIST)
    assert Membership.objects.get(user=ann).role == Role.STAFF
    quota = Quota.objects.get(user=ann)
    assert (quota.cpu_millis, quota.memory_mib, quota.gpus, quota.lifetime_minutes) == (2000, 8192, 0, 60)
    assert {Verb.ROLE_CHANGED, Verb.LIMITS_CHANGED} <= set(
        Event.objects.filter(user=ann).values_list("verb", flat=True)
    )


def test_an_owner_sets_no_limits_of_their_own_by_a_list(course: SimpleNamespace, keep: Any, load: Load) -> None:
    own = f"e-mail,cpu\n{course.owner.email},64\n"
    somebody_else = MembershipFactory(instance=course.instance, role=Role.OWNER).user
    EmailAddress.objects.create(user=course.owner, email=course.owner.email, verified=True)
    assert lines_of(keep(own), "wrong")[0]["problem"].startswith("You cannot set your own limits")
    load(own)
    assert not Quota.objects.filter(user=course.owner).exists()
    assert load(own, somebody_else)["new"] == 1
    assert Quota.objects.get(user=course.owner).cpu_millis == 64_000
    assert lines_of(keep(own.replace("64", "128")), "wrong"), "nor where the line is theirs already"
    assert load(own)["unchanged"] == 1
    entry = course.instance.roster.get()
    entry.limits = {"cpu_millis": 128_000}
    told: dict[str, Any] = {"actor": course.owner, "now": entry.created_at}
    admitting.settle(course.instance, [(entry, course.owner)], **told)
    assert Quota.objects.get(user=course.owner).cpu_millis == 64_000
    course.owner.is_superuser = True
    admitting.settle(course.instance, [(entry, course.owner)], **told)
    assert Quota.objects.get(user=course.owner).cpu_millis == 128_000


def test_a_list_lowers_nobodys_role(course: SimpleNamespace, load: Load) -> None:
    ann = somebody("ann@uni.example")
    MembershipFactory(instance=course.instance, user=ann, role=Role.STAFF)
    load("e-mail,role\nann@uni.example,member\n")
    assert Membership.objects.get(user=ann).role == Role.STAFF


@pytest.mark.parametrize("status", [Status.DENIED, Status.SUSPENDED])
def test_a_list_lets_nobody_in_whom_somebody_has_shut_out(course: SimpleNamespace, load: Load, status: Status) -> None:
    ann = somebody("ann@uni.example")
    MembershipFactory(instance=course.instance, user=ann, status=status)
    load(LIST)
    assert Membership.objects.get(user=ann).status == status
    assert course.instance.roster.get(email="ann@uni.example").user == ann


def test_a_request_that_waits_is_answered_by_the_list(course: SimpleNamespace, load: Load) -> None:
    ann = somebody("ann@uni.example")
    MembershipFactory(instance=course.instance, user=ann, status=Status.REQUESTED)
    load(LIST)
    assert Membership.objects.get(user=ann).status == Status.APPROVED


# Export and size -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_exported_and_imported_again_changes_nothing(course: SimpleNamespace, load: Load, form: str) -> None:
    somebody("ann@uni.example")
    load(
        "e-mail,name,section,role,cpu,memory,lifetime,phone,=note\n"
        "ann@uni.example,@Ann,-A,staff,0.5,1.25,1.5,+49 1,'=x\n"
        "bo@uni.example,O'Neill,'t,,,,,-5,''=y\n"
    )
    head, rows = people.roster_table(course.instance)
    answer: Any = (
        export.csv_response("roster", head, rows) if form == "csv" else export.xlsx_response("roster", head, rows)
    )
    content = b"".join(answer.streaming_content) if form == "csv" else answer.content
    before = standing()
    counts = load(content)
    assert (counts["unchanged"], counts["new"], counts["changed"], counts["wrong"]) == (2, 0, 0, 0)
    assert standing() == before


def test_a_preview_sends_no_statement_that_writes_but_its_own(course: SimpleNamespace, keep: Any, load: Load) -> None:
    load(LIST)
    with CaptureQueriesContext(connection) as captured:
        keep("e-mail,name\nann@uni.example,Ann Lee\n" + "".join(f"p{number}@uni.example,P\n" for number in range(1100)))
    writes = [query["sql"] for query in captured if query["sql"].split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert [sql for sql in writes if "rosterupload" not in sql and "accounts_rate" not in sql] == []


def test_memory_and_queries_a_line_do_not_grow_with_the_list(course: SimpleNamespace, load: Load) -> None:
    def queries(start: int, count: int) -> int:
        text = "e-mail,name\n" + "".join(f"p{number}@uni.example,P\n" for number in range(start, start + count))
        with CaptureQueriesContext(connection) as captured:
            assert load(text)["new"] == count
        return len(captured)

    few, many = queries(0, 50), queries(50, 800)
    assert many - few < 30, "what is more comes of SQLite, which takes no more than a few rows in one statement"


def test_somebody_else_with_a_seat_keeps_it_when_two_addresses_are_on_the_list(
    course: SimpleNamespace, load: Load
) -> None:
    ann = somebody("ann@uni.example")
    ann.emailaddress_set.create(email="lee@uni.example", verified=True)  # type: ignore[attr-defined]
    load("e-mail\nann@uni.example\nlee@uni.example\n")
    assert list(course.instance.roster.filter(user=ann).values_list("email", flat=True)) == ["ann@uni.example"]
