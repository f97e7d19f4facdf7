"""Large lists that a worker reads, choices about a list, and what the preview says of people who are here already."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from accounts import tasks
from accounts.models import Membership, Role, RosterUpload, Status, UploadState
from accounts.services import invitations, people
from accounts.services.roster import uploads
from accounts.services.roster.choices import Choices
from labs.errors import Refusal
from tests.factories import MembershipFactory, UserFactory

from .conftest import somebody

ANN, BOB = "ann.lee@uni.example", "bob.roe@uni.example"
LARGE = "e-mail,name\n" + "".join(f"p{number}@uni.example,{'P' * 140}\n" for number in range(8_000))


@pytest.fixture
def told(course: SimpleNamespace, now: datetime.datetime) -> dict[str, Any]:
    return {"instance": course.instance, "actor": course.owner, "now": now}


# The worker ---------------------------------------------------------------------------------------------------------------


def test_a_large_list_is_left_to_the_worker_and_can_be_confirmed_when_it_has_been_read(told: dict[str, Any]) -> None:
    upload = uploads.keep(text=LARGE, **told)
    assert (upload.state, upload.preview, bytes(upload.lines)) == (UploadState.WAITING, {}, b"")
    with pytest.raises(Refusal, match="cannot be imported yet"):
        uploads.confirm(upload.pk, **told)
    assert tasks.read_roster(str(upload.pk))
    upload.refresh_from_db()
    assert (upload.state, upload.preview["counts"]["new"]) == (UploadState.READY, 8_000)
    assert not tasks.read_roster(str(upload.pk)), "a task that comes twice does nothing"


def test_what_a_worker_cannot_read_is_told_as_a_sentence(told: dict[str, Any]) -> None:
    upload = uploads.keep(text="e-mail\n" + "\n" * 2**20, **told)
    uploads.work_off(upload.pk, now=told["now"])
    upload.refresh_from_db()
    assert upload.state == UploadState.REFUSED
    assert "only a row of column names" in upload.problem


def test_what_is_chosen_while_a_worker_reads_counts(told: dict[str, Any], monkeypatch: Any) -> None:
    upload = uploads.keep(text=LARGE, **told)
    read = uploads.reading.read

    def choose_meanwhile(*args: Any, **more: Any) -> Any:
        RosterUpload.objects.filter(pk=upload.pk).update(choices={"domain": "uni.example"})
        return read(*args, **more)

    monkeypatch.setattr(uploads.reading, "read", choose_meanwhile)
    assert not uploads.work_off(upload.pk, now=told["now"])
    upload.refresh_from_db()
    assert upload.state == UploadState.WAITING


def test_who_may_no_longer_import_has_nothing_read_by_the_worker(course: SimpleNamespace, told: dict[str, Any]) -> None:
    upload = uploads.keep(text=LARGE, **{**told, "actor": course.staff})
    Membership.objects.filter(user=course.staff).update(role=Role.MEMBER)
    uploads.work_off(upload.pk, now=told["now"])
    upload.refresh_from_db()
    assert (upload.state, upload.preview) == (UploadState.REFUSED, {})


def test_only_the_latest_uploads_of_a_person_are_kept(told: dict[str, Any]) -> None:
    made = [uploads.keep(text=f"{ANN}\n", **told).pk for _ in range(uploads.MOST_KEPT + 2)]
    assert RosterUpload.objects.count() == uploads.MOST_KEPT
    assert RosterUpload.objects.filter(pk=made[-1]).exists()


# Choices ------------------------------------------------------------------------------------------------------------------


def test_a_list_that_asks_is_imported_when_it_has_been_answered(course: SimpleNamespace, told: dict[str, Any]) -> None:
    upload = uploads.keep(text="NetID,Name\nann.lee,Ann\n", **told)
    assert upload.state == UploadState.ASKS
    with pytest.raises(Refusal, match="first choose"):
        uploads.confirm(upload.pk, **told)
    uploads.choose(upload.pk, Choices(domain="uni.example"), suspend_missing=False, **told)
    assert uploads.confirm(upload.pk, **told)["new"] == 1
    assert course.instance.roster.get().email == ANN
    with pytest.raises(Refusal, match="already been imported"):
        uploads.choose(upload.pk, Choices(), suspend_missing=False, **told)
    upload.refresh_from_db()
    assert (bytes(upload.source), bytes(upload.lines), list(upload.table)) == (b"", b"", ["used"])


def test_a_choice_that_cannot_be_read_can_be_taken_back(told: dict[str, Any]) -> None:
    upload = uploads.keep(text=f"Name,E-mail\nAnn,{ANN}\n", **told)
    uploads.choose(upload.pk, Choices(head=2), suspend_missing=False, **told)
    upload.refresh_from_db()
    assert upload.state == UploadState.ASKS
    assert upload.problem
    uploads.choose(upload.pk, Choices(head=1), suspend_missing=False, **told)
    upload.refresh_from_db()
    assert upload.state == UploadState.READY


def test_nobody_chooses_for_somebody_else(course: SimpleNamespace, told: dict[str, Any]) -> None:
    upload = uploads.keep(text=f"{ANN}\n", **told)
    with pytest.raises(Refusal) as refusal:
        uploads.choose(upload.pk, Choices(), suspend_missing=True, **{**told, "actor": course.staff})
    assert refusal.value.code == "expired"


def test_columns_that_were_chosen_for_another_sheet_are_forgotten() -> None:
    chosen = Choices(sheet="Two", head=3, columns={0: "email"})
    assert chosen.after({"sheet": "One", "head": 3}) == Choices(sheet="Two")
    assert chosen.after({"sheet": "Two", "head": 1}) == Choices(sheet="Two", head=3)
    assert chosen.after({"sheet": "Two", "head": 3}) == chosen


def test_what_a_form_sends_is_held_to_what_there_is_to_choose() -> None:
    sent = {
        "columns": {"0": "email", "x": "name", "1": "evil", "99999": "name"},
        "head": "1e9",
        "domain": "a b",
        "roles": {"ta": "root"},
    }
    assert Choices.unpack(sent) == Choices(columns={0: "email"})
    assert Choices.unpack(Choices(head=0, columns={1: "note"}).pack()) == Choices(head=0, columns={1: "note"})


# People who are here already ----------------------------------------------------------------------------------------------


def standings(upload: RosterUpload) -> dict[str, str]:
    samples = upload.preview["samples"]
    return {line["email"]: line.get("standing", "") for kind in ("new", "changed") for line in samples.get(kind, [])}


def test_the_preview_says_who_is_a_member_already_and_who_is_to_be_invited(
    course: SimpleNamespace, keep: Any, load: Any
) -> None:
    joined, known = somebody("joined@uni.example"), somebody("known@uni.example")
    MembershipFactory(instance=course.instance, user=joined)
    waiting = somebody("waiting@uni.example")
    MembershipFactory(instance=course.instance, user=waiting, status=Status.REQUESTED)
    UserFactory(email="claimed@uni.example")
    listed = "".join(f"{name}@uni.example\n" for name in ("joined", "known", "waiting", "claimed", "new"))
    upload = keep(listed)
    assert standings(upload) == {
        "joined@uni.example": "approved", "known@uni.example": "account", "waiting@uni.example": "requested",
        "claimed@uni.example": "", "new@uni.example": "",
    }  # fmt: skip
    assert upload.preview["invite"] == 2
    load(listed)
    assert {row.user for row in Membership.objects.filter(status=Status.APPROVED)} >= {joined, known, waiting}


def test_the_preview_says_who_stays_suspended_and_that_happens(course: SimpleNamespace, keep: Any, load: Any) -> None:
    gone = somebody("gone@uni.example")
    load(f"Email,Name\n{ANN},Ann\ngone@uni.example,Gone\n")
    load(f"Email,Name\n{ANN},Ann\n", suspend_missing=True)
    upload = keep(f"Email,Name\n{ANN},Ann\ngone@uni.example,Gone\n")
    assert standings(upload) == {"gone@uni.example": "suspended"}
    assert upload.preview["shut_out"] == 1
    load(f"Email,Name\n{ANN},Ann\ngone@uni.example,Gone\n")
    assert Membership.objects.get(user=gone).status == Status.SUSPENDED


def test_two_addresses_of_one_person_do_what_the_preview_says(
    course: SimpleNamespace, load: Any, monkeypatch: Any
) -> None:
    """What the first batch does must not change what is said of the second."""
    monkeypatch.setattr("accounts.services.roster.importing.BATCH", 1)
    ann = somebody(ANN)
    ann.emailaddress_set.create(email=BOB, verified=True)  # type: ignore[attr-defined]
    assert load(f"{ANN}\n{BOB}\n")["new"] == 2


def test_an_export_of_canvas_can_suspend_who_is_missing(course: SimpleNamespace, keep: Any) -> None:
    text = f'Student,ID,Email,Section\n,,,Manual Posting\n    Points Possible,,,\n"Lee, Ann",101,{ANN},1\n"Student, Test",103,,1\n'
    upload = keep(text, suspend_missing=True)
    assert upload.preview["unread"] == 0
    assert [line["email"] for line in upload.preview["samples"]["missing"]] == [course.member.email]


def test_who_dropped_out_is_not_on_the_list(course: SimpleNamespace, keep: Any) -> None:
    text = f"email,status\n{ANN},enrolled\n{course.member.email},dropped\n"
    upload = keep(text, suspend_missing=True)
    assert [line["status"] for line in upload.preview["samples"]["left"]] == ["dropped"]
    assert [line["email"] for line in upload.preview["samples"]["missing"]] == [course.member.email]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Lee, Ivo", "Ivo Lee"),
        ("Ivo Lee", "Ivo Lee"),
        ("Lee, Jr.", "Lee, Jr."),
        ("Lee, Ivo, PhD", "Lee, Ivo, PhD"),
        ("Lee,", "Lee,"),
        ("", ""),
    ],
)
def test_people_are_greeted_by_their_name_as_it_is_said(name: str, said: str) -> None:
    assert invitations.called(name) == said


def test_people_are_sorted_by_letters_and_not_by_bytes(course: SimpleNamespace, load: Any) -> None:
    names = ["Zoe", "Élodie", "adam", "Eva", "Åke", "Öst"]
    load("name,e-mail\n" + "".join(f"{name},p{place}@uni.example\n" for place, name in enumerate(names)))
    shown = [one.name for one in people.page(course.instance, people.Wish(), start=0, size=20)[1] if one.entry]
    assert shown == ["adam", "Åke", "Élodie", "Eva", "Öst", "Zoe"]
