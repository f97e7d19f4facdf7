"""Tables of the lists: what the list shows and no more, in constant queries, and nothing in them that a spreadsheet runs."""

from __future__ import annotations

import csv
import datetime
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, RosterEntry, Status
from labs.models import EndReason, State, Verb
from labs.services.reconcile import finish
from labs.services.stopping import stop
from tests.factories import EventFactory, LabFactory, MembershipFactory, UserFactory, many

from .conftest import World

LISTS = ("accounts_membership", "labs_lab", "labs_event")
WHOLE = {"which": "all"}


def table(client: Client, page: str, **asked: Any) -> list[dict[str, str]]:
    """The rows of the export, by the heads of its columns."""
    response = client.get(reverse(f"admin:{page}_export"), asked)
    assert response.status_code == 200
    text = b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_members_with_who_let_them_in_and_their_section(world: World) -> None:
    row, owner = world.mine.member, world.people["owner"]
    at = datetime.datetime(2024, 5, 1, 10, tzinfo=datetime.UTC)
    Membership.objects.filter(pk=row.pk).update(decided_at=at, decided_by=owner)
    RosterEntry.objects.create(instance=row.instance, user=row.user, email=row.user.email, section="Tuesday")
    lines = {line["E-mail"]: line for line in table(world.client("owner"), "accounts_membership")}
    line = lines[row.user.email]
    assert (line["Name"], line["Affiliation"], line["Role"]) == ("Mine Member", "Example University", "Member")
    assert (line["Authorised"], line["Authorised on"]) == ("yes", "2024-05-01 10:00:00")
    assert (line["Authorised by"], line["Section"]) == (str(owner), "Tuesday")
    waiting = lines[world.mine.request.user.email]
    assert (waiting["Authorised"], waiting["Authorised on"], waiting["Authorised by"]) == ("no", "", "")


def test_labs_with_what_they_used_and_how_they_ended(world: World) -> None:
    end = timezone.now().replace(microsecond=0)
    LabFactory(
        instance=world.mine.instance, name="over", state=State.ENDED, cpu_millis=2000, memory_mib=3072, lifetime_minutes=90,
        started_at=end - datetime.timedelta(hours=3), ended_at=end, end_reason=EndReason.EXPIRED,
    )  # fmt: skip
    line = next(line for line in table(world.client("staff"), "labs_lab", **WHOLE) if line["Name"] == "over")
    assert (line["CPU (cores)"], line["Memory (GiB)"], line["Lifetime (hours)"]) == ("2", "3", "1.5")
    assert (line["Ran (hours)"], line["Core hours"], line["End reason"]) == ("3.0", "6.0", "Lifetime over")


def test_labs_with_when_they_ran_who_stopped_them_and_why(world: World) -> None:
    lab = LabFactory(instance=world.mine.instance, name="stopped", state=State.RUNNING)
    now = timezone.now().replace(microsecond=0)
    stop(lab, actor=world.people["staff"], now=now, reason="The room is needed.")
    finish([lab])
    lines = {line["Name"]: line for line in table(world.client("staff"), "labs_lab", **WHOLE)}
    line, live = lines["stopped"], lines[world.mine.lab.name]
    assert line["Started"]
    assert line["Ended"]
    assert (line["End reason"], line["Reason"]) == ("Stopped by the staff", "The room is needed.")
    assert line["Stopped by"] == world.people["staff"].email
    assert (bool(live["Ends"]), live["Ended"], live["Stopped by"], live["Reason"]) == (True, "", "", "")


def test_the_table_of_a_period_holds_what_was_there_then(world: World) -> None:
    now, day = timezone.now(), datetime.timedelta(days=1)
    for name, days in (("yesterday", 2), ("long-ago", 20)):
        at = now - days * day
        LabFactory(instance=world.mine.instance, name=name, state=State.ENDED, created_at=at, ended_at=at)
    client = world.client("staff")
    asked = {
        name: {line["Name"] for line in table(client, "labs_lab", which="all", period=name)}
        for name in ("", "week", "month")
    }
    everything = {"yesterday", "long-ago", world.mine.lab.name}
    assert asked == {"": everything, "week": everything - {"long-ago"}, "month": everything}


def test_history_with_before_and_after_in_words(world: World) -> None:
    EventFactory(
        instance=world.mine.instance, verb=Verb.LIMITS_CHANGED, before={"cpu_millis": 4000}, after={"cpu_millis": 1500},
        reason="too much",
    )  # fmt: skip
    line = next(line for line in table(world.client("owner"), "labs_event") if line["Why"] == "too much")
    assert (line["Did"], line["Before"], line["After"]) == ("changed the limits", "CPU: 4 cores", "CPU: 1.5 cores")


def test_filters_and_search_hold_for_the_table_too(world: World) -> None:
    client = world.client("owner")
    asked = table(client, "accounts_membership", status__exact=Status.REQUESTED)
    assert [line["E-mail"] for line in asked] == [world.mine.request.user.email]
    found = table(client, "accounts_membership", q="Mine Member")
    assert [line["Name"] for line in found] == ["Mine Member"]
    LabFactory(instance=world.mine.instance, state=State.ENDED, name="over")
    assert [line["Name"] for line in table(client, "labs_lab")] == [world.mine.lab.name]
    assert {line["Name"] for line in table(client, "labs_lab", which="ended")} == {"over"}


def test_the_button_carries_the_filters_along(world: World) -> None:
    text = (
        world.client("owner").get(reverse("admin:labs_lab_changelist"), {"which": "ended", "q": "x"}).content.decode()
    )
    assert f'href="{reverse("admin:labs_lab_export")}?q=x&amp;which=ended"' in text.replace(
        "which=ended&amp;q=x", "q=x&amp;which=ended"
    )


def test_all_pages_of_a_list_are_in_it(world: World) -> None:
    MembershipFactory.create_batch(60, instance=world.mine.instance)
    assert (
        len(table(world.client("owner"), "accounts_membership", p="2"))
        == Membership.objects.filter(instance=world.mine.instance).count()
    )


@pytest.mark.parametrize("page", LISTS)
@pytest.mark.parametrize("role", ["staff", "owner"])
def test_nothing_of_other_instances_is_in_it_whatever_is_asked(world: World, page: str, role: str) -> None:
    client, theirs = world.client(role), world.theirs
    for asked in (
        {}, {"instance__id__exact": theirs.instance.pk}, {"q": "Theirs"}, {"user__id__exact": theirs.member.user_id},
        {"owner__id__exact": theirs.member.user_id}, {"workload__id__exact": str(theirs.lab.pk)},
        {"_selected_action": theirs.member.pk}, {"ids": theirs.member.pk}, {"_to_field": "id"},
    ):  # fmt: skip
        response = client.get(reverse(f"admin:{page}_export"), {**WHOLE, **asked} if page == "labs_lab" else asked)
        if response.status_code == 200:
            assert b"Theirs" not in b"".join(response.streaming_content), asked  # type: ignore[attr-defined]
            continue
        assert response.status_code == 400, asked


@pytest.mark.parametrize("page", LISTS)
@pytest.mark.parametrize(
    ("role", "wanted"), [("anonymous", 302), ("member", 403), ("suspended", 403), ("administrator", 200)]
)
def test_who_takes_a_table(world: World, page: str, role: str, wanted: int) -> None:
    assert world.client(role).get(reverse(f"admin:{page}_export")).status_code == wanted


@pytest.mark.parametrize("page", LISTS)
def test_a_table_is_only_read(world: World, page: str) -> None:
    assert world.client("owner").post(reverse(f"admin:{page}_export")).status_code == 405


@pytest.mark.parametrize(
    ("page", "lookup"),
    [
        ("labs_lab", "password_hash__startswith"), ("labs_lab", "owner__password__startswith"),
        ("accounts_membership", "user__password__startswith"), ("labs_event", "workload__lab__password_hash__startswith"),
    ],
)  # fmt: skip
def test_a_secret_cannot_be_guessed_by_the_length_of_a_table(world: World, page: str, lookup: str) -> None:
    assert world.client("owner").get(reverse(f"admin:{page}_export"), {lookup: "a"}).status_code == 400


def test_no_table_of_labs_holds_a_secret(world: World) -> None:
    assert "argon2" not in str(table(world.client("administrator"), "labs_lab", **WHOLE))


def test_what_people_typed_is_no_formula(world: World) -> None:
    evil = '=HYPERLINK("http://evil.example")'
    user = world.mine.request.user
    user.name = user.affiliation = evil
    user.save()
    Membership.objects.filter(pk=world.mine.request.pk).update(reason="@SUM(A1)")
    EventFactory(instance=world.mine.instance, subject="+1", reason="-1+2", actor_name="\t=1")
    client = world.client("owner")
    line = next(line for line in table(client, "accounts_membership") if line["E-mail"] == user.email)
    assert (line["Name"], line["Affiliation"], line["Reason for request"]) == (f"'{evil}", f"'{evil}", "'@SUM(A1)")
    line = next(line for line in table(client, "labs_event") if line["To"] == "'+1")
    assert (line["Why"], line["Who"]) == ("'-1+2", "'\t'=1")


@pytest.mark.parametrize("page", LISTS)
def test_200_rows_take_as_many_queries_as_2(world: World, page: str) -> None:
    client = world.client("owner")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            table(client, page, **(WHOLE if page == "labs_lab" else {}))
        return len(captured)

    queries()
    few = queries()
    mine, owner, people = world.mine.instance, world.people["owner"], many(UserFactory, 200)
    many(MembershipFactory, 200, instance=mine, user=people, decided_by=owner)
    labs = [LabFactory(instance=mine, owner=one, template=world.template, state=State.ENDED) for one in people]
    many(EventFactory, 200, instance=mine, actor=owner, user=people, workload=labs)
    assert queries() == few
