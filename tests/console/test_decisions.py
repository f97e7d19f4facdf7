"""Requests and members: decided by POST, by those who may, with a word and an Event."""

from __future__ import annotations

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Mail, MailKind, Membership, Role, Status
from accounts.services import wording
from labs.models import Event, Verb
from tests.factories import MembershipFactory

from .conftest import World, form_data

LIST = "admin:accounts_membership_changelist"


def act(name: str, row: Membership) -> str:
    return reverse(f"admin:accounts_membership_{name}", args=[row.pk])


def status_of(row: Membership) -> str:
    row.refresh_from_db()
    return row.status


@pytest.mark.parametrize("role", ["staff", "owner", "administrator"])
@pytest.mark.parametrize(
    ("name", "wanted", "verb"),
    [("approve", Status.APPROVED, Verb.ACCESS_APPROVED), ("deny", Status.DENIED, Verb.ACCESS_DENIED)],
)
def test_a_request_is_decided_by_post_with_a_word(world: World, role: str, name: str, wanted: str, verb: str) -> None:
    row = world.mine.request
    response = world.client(role).post(act(name, row), {"word": "welcome"})
    assert response.status_code == 302
    assert status_of(row) == wanted
    event = Event.objects.get(verb=verb)
    assert (event.actor, event.reason, event.user) == (world.people[role], "welcome", row.user)


@pytest.mark.parametrize("name", ["approve", "deny"])
def test_looking_at_the_page_decides_nothing(world: World, name: str) -> None:
    response = world.client("owner").get(act(name, world.mine.request))
    assert response.status_code == 200
    assert "Note to them" in response.content.decode()
    assert status_of(world.mine.request) == Status.REQUESTED


@pytest.mark.parametrize("role", ["anonymous", "member", "suspended", "other owner"])
@pytest.mark.parametrize("name", ["approve", "deny"])
def test_nobody_else_decides(world: World, role: str, name: str) -> None:
    world.client(role).post(act(name, world.mine.request))
    assert status_of(world.mine.request) == Status.REQUESTED


def test_a_post_without_the_token_decides_nothing(world: World) -> None:
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["owner"], backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(act("approve", world.mine.request)).status_code == 403
    assert status_of(world.mine.request) == Status.REQUESTED


def test_from_the_overview_one_comes_back_to_it(world: World) -> None:
    response = world.client("owner").post(act("approve", world.mine.request), {"from": "overview"})
    assert response["Location"] == reverse("admin:index")


def test_deny_on_the_overview_asks_first_and_keeps_the_word(world: World) -> None:
    client, row = world.client("owner"), world.mine.request
    assert 'name="ask" value="yes" formaction="' + act("deny", row) in client.get(reverse("admin:index")).text
    asked = client.post(act("deny", row), {"from": "overview", "word": "Not this term.", "ask": "yes"})
    assert asked.status_code == 200
    assert "Not this term.</textarea>" in asked.text
    assert status_of(row) == Status.REQUESTED
    answer = client.post(act("deny", row), {"word": "Not this term.", **dict(asked.context["question"].hidden)})
    assert answer["Location"] == reverse("admin:index")
    assert status_of(row) == Status.DENIED


@pytest.mark.parametrize("name", ["approve", "deny", "suspend", "reinstate"])
def test_from_the_page_of_people_one_comes_back_to_it(world: World, name: str) -> None:
    before = {"suspend": Status.APPROVED, "reinstate": Status.SUSPENDED}.get(name, Status.REQUESTED)
    row = MembershipFactory(instance=world.mine.instance, status=before)
    client, people = world.client("owner"), reverse("people", args=[world.mine.instance.slug])
    asked = client.get(act(name, row) + "?from=people")
    assert asked.context["cancel"] == people
    assert client.post(act(name, row), dict(asked.context["question"].hidden))["Location"] == people
    assert status_of(row) != before


def test_deciding_twice_says_so_and_writes_one_event(world: World) -> None:
    client, row = world.client("owner"), world.mine.request
    client.post(act("deny", row))
    response = client.post(act("deny", row))
    assert any("already decided" in str(message) for message in get_messages(response.wsgi_request))
    assert Event.objects.filter(verb=Verb.ACCESS_DENIED).count() == 1


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("approve", Status.REQUESTED, Status.APPROVED),
        ("deny", Status.REQUESTED, Status.DENIED),
        ("suspend", Status.APPROVED, Status.SUSPENDED),
        ("reinstate", Status.SUSPENDED, Status.APPROVED),
    ],
)
def test_many_are_decided_at_once_after_a_question(world: World, action: str, before: str, after: str) -> None:
    rows = MembershipFactory.create_batch(3, instance=world.mine.instance, status=before)
    foreign = MembershipFactory(instance=world.theirs.instance, status=before)
    client, url = world.client("staff"), reverse(LIST)
    data = {"action": f"{action}_selected", "_selected_action": [row.pk for row in [*rows, foreign]]}
    page = client.post(url, data)
    assert page.status_code == 200
    assert {status_of(row) for row in rows} == {before}
    hidden = page.context["question"].hidden
    assert str(foreign.pk) not in [value for name, value in hidden if name == "_selected_action"]
    client.post(url, {**data, "confirmed": "yes", "word": "all of you"})
    assert {status_of(row) for row in rows} == {after}
    assert status_of(foreign) == before
    assert Event.objects.filter(reason="all of you").count() == 3


def test_many_approved_at_once_take_as_many_queries_as_a_few(world: World) -> None:
    client, counts = world.client("owner"), []
    for count in (2, 40):
        rows = MembershipFactory.create_batch(count, instance=world.mine.instance, status=Status.REQUESTED)
        keys = ",".join(str(row.pk) for row in rows)
        with CaptureQueriesContext(connection) as made:
            answer = client.post(reverse(LIST), {"action": "approve_selected", "confirmed": "yes", "keys": keys})
        counts.append(len(made))
        assert {status_of(row) for row in rows} == {Status.APPROVED}
    assert counts[1] <= counts[0], counts
    said = [str(message) for message in get_messages(answer.wsgi_request)]
    assert said[-1].startswith(f"Approved: {rows[0].user}, ")
    assert said[-1].endswith("and 32 more.")


@pytest.mark.parametrize("action", ["suspend", "approve"])
def test_staff_decide_about_plain_members_only(world: World, action: str) -> None:
    colleague = MembershipFactory(instance=world.mine.instance, role=Role.STAFF, status=Status.APPROVED)
    assert world.client("staff").post(act(action, colleague)).status_code == 403
    owner = Membership.objects.get(user=world.people["owner"])
    assert world.client("staff").post(act("suspend", owner)).status_code == 403
    assert (status_of(colleague), status_of(owner)) == (Status.APPROVED, Status.APPROVED)


@pytest.mark.parametrize("wanted", [Role.STAFF, Role.OWNER])
@pytest.mark.parametrize("whom", ["member", "staff"])
def test_staff_cannot_raise_roles_by_a_forged_post(world: World, whom: str, wanted: str) -> None:
    row = Membership.objects.get(user=world.people[whom])
    url = reverse("admin:accounts_membership_change", args=[row.pk])
    before = row.role
    assert world.client("staff").post(url, {"role": wanted, "_save": "Save"}).status_code == 403
    row.refresh_from_db()
    assert row.role == before


def test_an_owner_gives_a_role_and_it_is_told(world: World) -> None:
    row = world.mine.member
    client, url = world.client("owner"), reverse("admin:accounts_membership_change", args=[row.pk])
    client.post(url, {**form_data(client, url), "role": Role.STAFF})
    row.refresh_from_db()
    assert row.role == Role.STAFF
    assert Event.objects.get(verb=Verb.ROLE_CHANGED).after == {"role": "staff"}


def test_an_owner_does_not_change_their_own_role(world: World) -> None:
    row = Membership.objects.get(user=world.people["owner"])
    url = reverse("admin:accounts_membership_change", args=[row.pk])
    assert world.client("owner").post(url, {"role": Role.MEMBER}).status_code == 403
    row.refresh_from_db()
    assert row.role == Role.OWNER


def test_other_fields_of_a_membership_cannot_be_forged(world: World) -> None:
    row = world.mine.request
    client, url = world.client("owner"), reverse("admin:accounts_membership_change", args=[row.pk])
    client.post(url, {"role": Role.MEMBER, "status": Status.APPROVED, "instance": world.theirs.instance.pk})
    row.refresh_from_db()
    assert (row.status, row.instance) == (Status.REQUESTED, world.mine.instance)


def test_the_last_owner_stays_and_the_reason_is_told(world: World) -> None:
    row = Membership.objects.get(user=world.people["owner"])
    client, url = world.client("administrator"), reverse("admin:accounts_membership_change", args=[row.pk])
    response = client.post(url, {"role": Role.MEMBER}, follow=True)
    assert "needs at least one owner" in response.content.decode()
    row.refresh_from_db()
    assert row.role == Role.OWNER


def test_an_administrator_names_an_owner(world: World) -> None:
    person = world.theirs.member.user
    data = {"instance": world.mine.instance.pk, "user": person.pk, "role": Role.OWNER}
    world.client("administrator").post(reverse("admin:accounts_membership_add"), data)
    assert Membership.objects.get(instance=world.mine.instance, user=person).role == Role.OWNER
    assert Event.objects.filter(verb=Verb.ACCESS_APPROVED, user=person).exists()


def test_those_who_wait_stand_first(world: World) -> None:
    MembershipFactory.create_batch(3, instance=world.mine.instance)
    rows = world.client("owner").get(reverse(LIST)).context["cl"].result_list
    assert rows[0] == world.mine.request


def test_a_word_and_a_reason_are_never_markup(world: World) -> None:
    row = world.mine.request
    Membership.objects.filter(pk=row.pk).update(reason="<script>alert(1)</script>")
    client = world.client("owner")
    for url in (reverse("admin:index"), reverse(LIST) + "?status__exact=requested", act("deny", row)):
        assert "<script>alert(1)" not in client.get(url).content.decode()


def test_the_mail_about_requests_links_to_those_who_wait_there(world: World) -> None:
    instance, owner = world.mine.instance, world.people["owner"]
    waits, elsewhere = MembershipFactory(instance=instance, status=Status.REQUESTED), world.theirs.instance
    MembershipFactory(instance=elsewhere, status=Status.REQUESTED)
    mail = Mail(kind=MailKind.REQUESTS_WAITING, recipient=owner.email, user=owner, instance=instance)
    link = wording.facts_of(mail)["link"].removeprefix("http://testserver")
    page = world.client("owner").get(link)
    assert "Access requests" in page.text
    rows = Membership.objects.filter(instance=instance, status=Status.REQUESTED)
    assert waits in rows
    assert {row.pk for row in page.context["cl"].queryset} == {row.pk for row in rows}
