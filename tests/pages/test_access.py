"""What people see and do on the pages. Who gets which answer from which address is in tests/security/matrix_table.py."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client

from accounts.models import Membership, Status, User
from labs.models import Event, Lab, Policy, State
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, UserFactory

SignIn = Callable[[User], Client]
LAB_PAGES = ["", "live/", "log/"]
LAB_ACTIONS = ["stop/", "extend/", "token/"]


@pytest.fixture
def lab(world: SimpleNamespace) -> Lab:
    return LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING)


@pytest.fixture
def ended(world: SimpleNamespace) -> Lab:
    return LabFactory(instance=world.instance, owner=world.member, state=State.ENDED, log_tail="<b>bold</b>")


@pytest.mark.parametrize("page", LAB_PAGES + LAB_ACTIONS)
def test_another_members_lab_answers_as_one_that_is_not_there(
    world: SimpleNamespace, signed_in: SignIn, lab: Lab, page: str
) -> None:
    client = signed_in(MembershipFactory(instance=world.instance).user)
    send = client.post if page in LAB_ACTIONS else client.get
    theirs, nobodys = send(f"/labs/{lab.pk}/{page}"), send(f"/labs/{uuid.uuid4()}/{page}")
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    lab.refresh_from_db()
    assert lab.state == State.RUNNING


@pytest.mark.parametrize("page", ["/", "/about/", "/i/physics/", "/i/physics/theme.css", "/accounts/login/",
                                  "/accounts/signup/", "/accounts/password/reset/", "/healthz"])  # fmt: skip
def test_a_visitor_sees_the_public_pages(world: SimpleNamespace, client: Client, page: str) -> None:
    assert client.get(page).status_code == 200


def test_an_instance_that_is_not_public_is_not_there_for_others(world: SimpleNamespace, signed_in: SignIn) -> None:
    hidden = InstanceFactory(slug="hidden", title="Hidden Course", is_public=False)
    member = MembershipFactory(instance=hidden).user
    assert signed_in(world.stranger).get("/i/hidden/").status_code == 404
    assert signed_in(world.stranger).get("/i/hidden/theme.css").status_code == 404
    assert "Hidden Course" not in signed_in(world.stranger).get("/").text
    assert signed_in(member).get("/i/hidden/").status_code == 200


@pytest.mark.parametrize("page", ["", "name/", "limits/"])
@pytest.mark.parametrize("status", [None, Status.REQUESTED, Status.DENIED, Status.SUSPENDED])
def test_only_approved_people_reach_the_launch_form(
    world: SimpleNamespace, signed_in: SignIn, page: str, status: Status | None
) -> None:
    person = MembershipFactory(instance=world.instance, status=status).user if status else world.stranger
    answer = signed_in(person).get(world.launch + page)
    assert (answer.status_code, answer["Location"]) == (302, "/i/physics/")


def test_no_get_changes_anything(world: SimpleNamespace, signed_in: SignIn, lab: Lab, ended: Lab) -> None:
    client, events = signed_in(world.member), Event.objects.count()
    before = list(Lab.objects.order_by("pk").values())
    for page in ["/", "/labs/", "/labs/changes/", "/labs/history/", "/i/physics/", world.launch, "/profile/",
                 f"/labs/{lab.pk}/", f"/labs/{lab.pk}/live/", f"/labs/{ended.pk}/log/", "/i/physics/access/"]:  # fmt: skip
        client.get(page)
    assert list(Lab.objects.order_by("pk").values()) == before
    assert Event.objects.count() == events


def test_the_key_is_shown_to_the_owner_once_and_never_kept_by_a_browser(
    world: SimpleNamespace, signed_in: SignIn, lab: Lab
) -> None:
    from labs.services.secrets import token_of

    client = signed_in(world.member)
    answer = client.post(f"/labs/{lab.pk}/token/")
    assert token_of(lab) in answer.text
    assert "no-store" in answer["Cache-Control"]
    for page in ("/", "/labs/", f"/labs/{lab.pk}/"):
        assert token_of(lab) not in client.get(page).text


@pytest.mark.parametrize("who", ["staff", "owner"])
def test_those_who_run_the_instance_get_neither_link_nor_key(
    world: SimpleNamespace, signed_in: SignIn, lab: Lab, who: str
) -> None:
    from labs.services.secrets import token_of

    client = signed_in(getattr(world, who))
    assert lab.address not in client.get(f"/labs/{lab.pk}/").text
    assert token_of(lab) not in client.post(f"/labs/{lab.pk}/token/", follow=True).text


def test_staff_stop_a_members_lab_and_cannot_extend_it(world: SimpleNamespace, signed_in: SignIn, lab: Lab) -> None:
    client, until = signed_in(world.staff), lab.expires_at
    client.post(f"/labs/{lab.pk}/extend/", {"more": "1", "more_unit": "hours"})
    lab.refresh_from_db()
    assert lab.expires_at == until
    client.post(f"/labs/{lab.pk}/stop/")
    lab.refresh_from_db()
    assert (lab.state, lab.end_reason) == (State.STOPPING, "staff")


def test_asking_for_access_makes_a_request_and_says_so(world: SimpleNamespace, signed_in: SignIn) -> None:
    page = signed_in(world.stranger).post("/i/physics/access/", {"reason": "I take it."}, follow=True).text
    assert Membership.objects.get(user=world.stranger).status == Status.REQUESTED
    assert "waiting for the owners" in page
    assert "Waiting for approval" in page


def test_an_open_instance_lets_people_in_at_once(world: SimpleNamespace, signed_in: SignIn) -> None:
    instance = InstanceFactory(policy=Policy.OPEN)
    signed_in(world.stranger).post(f"/i/{instance.slug}/access/")
    assert Membership.objects.get(user=world.stranger).status == Status.APPROVED


def test_those_who_run_an_instance_see_how_many_wait(world: SimpleNamespace, signed_in: SignIn) -> None:
    MembershipFactory.create_batch(3, instance=world.instance, status=Status.REQUESTED)
    assert "<b>3</b> people are waiting" in signed_in(world.owner).get("/i/physics/").text
    assert "people are waiting" not in signed_in(world.member).get("/i/physics/").text


def test_people_who_run_nothing_see_no_console(world: SimpleNamespace, signed_in: SignIn) -> None:
    assert "/console/" not in signed_in(world.member).get("/").text
    assert "/console/" in signed_in(world.staff).get("/").text


def test_a_person_changes_name_and_affiliation_but_not_the_address(signed_in: SignIn, db: None) -> None:
    person = UserFactory(email="mina@example.org")
    signed_in(person).post(
        "/profile/", {"name": "Mina M.", "affiliation": "Lab 3", "email": "x@example.org", "is_superuser": "1"}
    )
    person.refresh_from_db()
    assert (person.name, person.affiliation, person.email, person.is_superuser) == (
        "Mina M.",
        "Lab 3",
        "mina@example.org",
        False,
    )
