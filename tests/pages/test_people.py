"""The pages of people, rosters and classes: who sees them, what they do, and what they cost."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Mail, Role, RosterEntry, RosterUpload, Status, User
from accounts.services.roster import uploads
from labs.models import ClassRun, SavedLaunch, State
from labs.services import classes
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, UserFactory

SignIn = Callable[[User], Client]
LIST = "e-mail,name,section\nann@uni.example,Ann Lee,A\nbo@uni.example,Bo Berg,B\n"
PAGES = [
    "people/", "people/roster.csv", "people/roster.xlsx", "people/members.csv", "people/import/", "people/import/{upload}/",
    "people/labs/", "people/labs/new/jupyterlab/", "people/labs/runs/{run}/",
]  # fmt: skip
ACTIONS = ["people/change/", "people/import/", "people/import/{upload}/", "people/labs/{saved}/start/",
           "people/labs/{saved}/stop/", "people/labs/{saved}/remove/", "people/labs/new/jupyterlab/"]  # fmt: skip


@pytest.fixture
def things(world: SimpleNamespace, signed_in: SignIn) -> dict[str, Any]:
    """A preview of the staff's, a prepared lab, and a run of it; keys for addresses."""
    staff, now = world.staff, timezone.now()
    answer = signed_in(staff).post("/i/physics/people/import/", {"text": LIST})
    saved = classes.save_launch(
        instance=world.instance, template=world.template, title="Week 3", actor=staff, now=now,
        values={"cpu": "1", "memory": "1024", "lifetime": "60"},
    )  # fmt: skip
    run = classes.start(saved, section="", wait=True, actor=staff, now=now)
    return {"upload": answer["Location"].split("/")[-2], "saved": saved.pk, "run": run.pk}


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_there_for_those_who_run_it_and_for_nobody_else(
    world: SimpleNamespace, signed_in: SignIn, things: dict[str, Any], page: str
) -> None:
    address = f"/i/physics/{page.format(**things)}"
    elsewhere = MembershipFactory(role=Role.OWNER).user
    suspended = MembershipFactory(instance=world.instance, role=Role.STAFF, status=Status.SUSPENDED).user
    for person in (world.member, world.stranger, elsewhere, suspended):
        assert signed_in(person).get(address).status_code == 404
    assert Client().get(address).status_code == 302
    assert signed_in(world.staff).get(address).status_code == 200
    # A preview is its maker's alone.
    assert signed_in(world.owner).get(address).status_code == (404 if "{upload}" in page else 200)


@pytest.mark.parametrize("page", ACTIONS)
def test_actions_are_not_there_for_others_and_change_nothing(
    world: SimpleNamespace, signed_in: SignIn, things: dict[str, Any], page: str
) -> None:
    address = f"/i/physics/{page.format(**things)}"
    for person in (world.member, world.stranger, MembershipFactory(role=Role.OWNER).user):
        assert signed_in(person).post(address, {"do": "invite-all", "text": LIST}).status_code == 404
    assert not RosterEntry.objects.exists()
    assert SavedLaunch.objects.count() == ClassRun.objects.count() == RosterUpload.objects.count() == 1


def test_things_of_another_instance_are_not_there(
    world: SimpleNamespace, signed_in: SignIn, things: dict[str, Any]
) -> None:
    other = InstanceFactory(slug="other", services=[world.template])
    MembershipFactory(instance=other, user=world.staff, role=Role.OWNER)
    client = signed_in(world.staff)
    for page in (f"people/import/{things['upload']}/", f"people/labs/runs/{things['run']}/"):
        assert client.get(f"/i/other/{page}").status_code == 404
    for page in ("start", "stop", "remove"):
        assert client.post(f"/i/other/people/labs/{things['saved']}/{page}/").status_code == 404


def test_a_list_is_uploaded_looked_at_confirmed_and_its_people_are_invited(
    world: SimpleNamespace, signed_in: SignIn
) -> None:
    client = signed_in(world.staff)
    file = SimpleUploadedFile("class.csv", LIST.encode())
    answer = client.post("/i/physics/people/import/", {"file": file, "text": ""})
    page = client.get(answer["Location"])
    assert "nothing has been saved yet" in page.text
    assert "Ann Lee" in page.text
    assert not RosterEntry.objects.exists()
    answer = client.post(answer["Location"], follow=True)
    assert "Imported: 2 new." in answer.text
    assert "Invite 2 people by e-mail" in answer.text
    answer = client.post("/i/physics/people/change/", {"do": "invite-all"}, follow=True)
    assert "2 people invited by e-mail." in answer.text
    assert Mail.objects.count() == 2


def test_what_cannot_be_read_is_told_on_the_page_and_what_was_pasted_stays(
    world: SimpleNamespace, signed_in: SignIn
) -> None:
    answer = signed_in(world.staff).post("/i/physics/people/import/", {"text": "e-mail\n\n"})
    assert answer.status_code == 400
    assert "only a row of column names" in answer.text
    assert ">e-mail\n\n</textarea>" in answer.text


def test_a_list_that_leaves_something_open_asks_on_the_page(world: SimpleNamespace, signed_in: SignIn) -> None:
    client = signed_in(world.owner)
    text = "Name,E-mail,Email Address,Role\nAnn,old@uni.example,ann@uni.example,Instructor\n"
    address = client.post("/i/physics/people/import/", {"text": text})["Location"]
    page = client.get(address)
    assert "More than one column could contain the e-mail addresses" in page.text
    assert "Import 1 person" not in page.text
    chosen = {"choose": "yes", "head": "1", "columns-0": "name", "columns-2": "email", "columns-3": "role"}
    page = client.post(address, chosen, follow=True)
    assert "Import 1 person" in page.text
    assert 'name="roles-instructor"' in page.text
    client.post(address, {**chosen, "roles-instructor": "owner"})
    client.post(address)
    assert set(RosterEntry.objects.values_list("email", "role")) == {("ann@uni.example", "owner")}


def test_a_large_list_shows_how_far_it_is_and_then_what_came_of_it(world: SimpleNamespace, signed_in: SignIn) -> None:
    client = signed_in(world.staff)
    lines = "".join(f"p{number}@uni.example,{'P' * 140}\n" for number in range(8_000))
    address = client.post("/i/physics/people/import/", {"text": f"e-mail,name\n{lines}"})["Location"]
    assert "The list is waiting to be read." in client.get(address).text
    RosterUpload.objects.update(progress=4500)
    part = client.get(address, headers={"HX-Request": "true"})
    assert "<b>4500</b> rows have been read." in part.text
    assert "<html" not in part.text
    uploads.work_off(RosterUpload.objects.get().pk, now=timezone.now())
    assert client.get(address, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert "Import 8000 people" in client.get(address).text


def test_the_preview_does_not_promise_to_invite_a_member(world: SimpleNamespace, signed_in: SignIn) -> None:
    EmailAddress.objects.create(user=world.member, email=world.member.email, verified=True)
    client = signed_in(world.staff)
    page = client.get(client.post("/i/physics/people/import/", {"text": world.member.email})["Location"])
    assert "Already a member" in page.text
    assert "invite" not in page.text


def test_the_button_that_invites_stands_above_the_people(world: SimpleNamespace, signed_in: SignIn) -> None:
    for number in range(3):
        RosterEntry.objects.create(instance=world.instance, email=f"p{number}@uni.example")
    page = signed_in(world.staff).get("/i/physics/people/").text
    assert page.index("Invite 3 people by e-mail") < page.index("<table")
    assert 'data-choose-all="entry"' in page


def test_a_file_of_50_mb_is_dropped_on_its_way_in_with_a_sentence(world: SimpleNamespace, signed_in: SignIn) -> None:
    file = SimpleUploadedFile("class.csv", b"x" * (50 * 2**20))
    answer = signed_in(world.staff).post("/i/physics/people/import/", {"file": file, "text": LIST})
    assert answer.status_code == 400
    assert "The file is too large: the limit is 10 MiB." in answer.text
    assert not RosterUpload.objects.exists()


def test_the_page_neither_shows_nor_takes_what_is_to_be_written(
    world: SimpleNamespace, signed_in: SignIn, things: dict[str, Any]
) -> None:
    address = f"/i/physics/people/import/{things['upload']}/"
    client = signed_in(world.staff)
    client.post(address, {"lines": "evil@uni.example", "preview": "{}", "role": "owner"})
    assert set(RosterEntry.objects.values_list("email", "role")) == {
        ("ann@uni.example", "member"),
        ("bo@uni.example", "member"),
    }


def test_search_section_and_state_narrow_the_list(world: SimpleNamespace, signed_in: SignIn) -> None:
    now = timezone.now()
    for name, section, invited in (("Ann", "A", None), ("Bo", "B", now), ("Chi", "B", None)):
        RosterEntry.objects.create(
            instance=world.instance, email=f"{name.lower()}@uni.example", name=name, section=section, invited_at=invited
        )
    client = signed_in(world.staff)

    def shown(query: str) -> set[str]:
        return {person.name for person in client.get(f"/i/physics/people/?{query}").context["people"]}

    members = {world.member.name, world.staff.name, world.owner.name}
    assert shown("") == {"Ann", "Bo", "Chi"} | members
    assert shown("section=B") == {"Bo", "Chi"}
    assert shown("q=chi") == {"Chi"}
    assert shown("state=invited") == {"Bo"}
    assert shown("state=not-invited&section=B") == {"Chi"}
    assert shown("state=joined") == members
    assert shown("q=%25") == set()


def test_the_list_shows_to_whom_mail_came_back(world: SimpleNamespace, signed_in: SignIn) -> None:
    now = timezone.now()
    for number, address in enumerate(("ann@uni.example", world.member.email)):
        Mail.objects.create(
            key=str(number), kind="invitation", recipient=address, state="bounced", sent_at=now, bounced_at=now
        )
    RosterEntry.objects.create(instance=world.instance, email="ann@uni.example")
    RosterEntry.objects.create(instance=world.instance, email="bo@uni.example")
    assert signed_in(world.staff).get("/i/physics/people/").text.count("e-mail bounced") == 2


def test_the_days_of_the_table_of_members_are_those_of_the_place(
    world: SimpleNamespace, signed_in: SignIn, settings: Any
) -> None:
    asked = datetime.datetime(2030, 3, 4, 23, 30, tzinfo=datetime.UTC)
    MembershipFactory(instance=world.instance, requested_at=asked)
    settings.TIME_ZONE = "Europe/Berlin"
    text = b"".join(signed_in(world.staff).get("/i/physics/people/members.csv")).decode()  # type: ignore[arg-type]
    assert "2030-03-05" in text
    assert "2030-03-04" not in text


def test_queries_of_the_pages_do_not_grow_with_the_people(world: SimpleNamespace, signed_in: SignIn) -> None:
    def fill(count: int) -> None:
        for number in range(count):
            user = MembershipFactory(instance=world.instance, user=UserFactory()).user
            RosterEntry.objects.create(instance=world.instance, email=user.email, section=f"S{number % 3}", user=user)
            RosterEntry.objects.create(instance=world.instance, email=f"x{user.pk}@uni.example")
            MembershipFactory(instance=world.instance)
            lab = LabFactory(instance=world.instance, owner=user, state=State.RUNNING)
            run.seats.create(user=user, lab=lab, state="started")

    client = signed_in(world.staff)
    saved = SavedLaunch.objects.create(instance=world.instance, template=world.template, title="Week")
    run = ClassRun.objects.create(
        instance=world.instance, saved=saved, started_by=world.staff, finished_at=timezone.now()
    )
    pages = [
        "people/",
        "people/?q=a&section=S1",
        "people/roster.csv",
        "people/members.csv",
        "people/labs/",
        f"people/labs/runs/{run.pk}/",
    ]

    def queries() -> list[int]:
        counts = []
        for page in pages:
            with CaptureQueriesContext(connection) as captured:
                answer = client.get(f"/i/physics/{page}")
                assert answer.status_code == 200
                b"".join(answer)
            counts.append(len(captured))
        return counts

    fill(3)
    few = queries()
    fill(40)
    assert queries() == few
    assert max(few) < 25


def test_requests_and_members_are_decided_where_the_people_are_listed(
    world: SimpleNamespace, signed_in: SignIn
) -> None:
    asks = MembershipFactory(instance=world.instance, status=Status.REQUESTED, reason="Group B")
    also = MembershipFactory(instance=world.instance, status=Status.REQUESTED)
    foreign = MembershipFactory(status=Status.REQUESTED)
    member = world.instance.memberships.get(user=world.member)
    page = signed_in(world.staff).get("/i/physics/people/").text
    assert f'formaction="/console/accounts/membership/{asks.pk}/approve/"' in page
    assert f"/console/accounts/membership/{asks.pk}/deny/?from=people" in page
    assert f"/console/accounts/membership/{member.pk}/suspend/?from=people" in page
    assert "Group B" in page
    ticked = {"do": "approve", "member": [asks.pk, also.pk, foreign.pk]}
    signed_in(world.staff).post("/i/physics/people/change/", ticked)
    for row, wanted in ((asks, Status.APPROVED), (also, Status.APPROVED), (foreign, Status.REQUESTED)):
        row.refresh_from_db()
        assert row.status == wanted


def test_staff_who_do_not_decide_are_offered_no_more_than_they_may(world: SimpleNamespace, signed_in: SignIn) -> None:
    world.instance.staff_may_approve = False
    world.instance.save()
    asks = MembershipFactory(instance=world.instance, status=Status.REQUESTED)
    page = signed_in(world.staff).get("/i/physics/people/").text
    assert "/approve/" not in page
    assert "/deny/" not in page
    assert "/suspend/" in page
    signed_in(world.staff).post("/i/physics/people/change/", {"do": "approve", "member": [asks.pk]})
    asks.refresh_from_db()
    assert asks.status == Status.REQUESTED


def test_who_waits_is_a_link_on_the_page_of_the_course(world: SimpleNamespace, signed_in: SignIn) -> None:
    MembershipFactory(instance=world.instance, status=Status.REQUESTED)
    page = signed_in(world.owner).get("/i/physics/").text
    assert '<a href="/i/physics/people/?state=waiting"><b>1</b> person is waiting for approval</a>' in page


def test_the_preview_offers_to_let_suspended_people_in_again(world: SimpleNamespace, signed_in: SignIn) -> None:
    person = MembershipFactory(instance=world.instance, status=Status.SUSPENDED).user
    RosterEntry.objects.create(instance=world.instance, email=person.email, user=person, left_at=timezone.now())
    browser = signed_in(world.owner)
    address = browser.post("/i/physics/people/import/", {"text": person.email})["Location"]
    assert "Reinstate suspended people" in browser.get(address).content.decode()
    browser.post(address, {"choose": "reinstate"})
    assert person.memberships.get().status == Status.SUSPENDED
    assert "reinstate 1" in browser.get(address).content.decode()
    browser.post(address)
    assert person.memberships.get().status == Status.APPROVED
