"""An instance's page for its people: asking, joining, waiting, leaving. And what the console's form says of the ways in."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, RosterEntry, Status, User
from accounts.services import invitations
from accounts.services.roster import uploads
from labs.models import Event, Instance, Policy, State, Verb
from tests.console.conftest import form_data
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, UserFactory

SignIn = Callable[[User], Client]


def test_the_form_shows_what_the_owners_will_see(world: SimpleNamespace, signed_in: SignIn) -> None:
    client = signed_in(world.stranger)
    page = client.get("/i/physics/").text
    assert f"{world.stranger.email} (not confirmed), Example University" in page
    EmailAddress.objects.create(user=world.stranger, email=world.stranger.email, verified=True)
    assert f"{world.stranger.email} (confirmed), Example University" in client.get("/i/physics/").text


def test_a_confirmed_address_of_the_domain_joins_with_one_click(signed_in: SignIn, db: None) -> None:
    course = InstanceFactory(slug="domain", policy=Policy.DOMAIN, email_domains=["uni.example"])
    person = UserFactory(email="mina@uni.example")
    client = signed_in(person)
    assert "Confirm your address at uni.example" in client.get("/i/domain/").text
    EmailAddress.objects.create(user=person, email=person.email, verified=True)
    page = client.get("/i/domain/").text
    assert "join right away" in page
    assert 'name="reason"' not in page
    assert "You have joined. You can launch a lab now." in client.post("/i/domain/access/", follow=True).text
    assert Membership.objects.get(user=person, instance=course).status == Status.APPROVED


def test_who_is_not_on_the_roster_reads_why_and_cannot_ask(signed_in: SignIn, db: None) -> None:
    InstanceFactory(slug="roster", policy=Policy.ROSTER)
    client = signed_in(UserFactory())
    page = client.get("/i/roster/").text
    assert "Only people on the roster can join" in page
    assert "<textarea" not in page
    assert "Only people on the roster" in client.post("/i/roster/access/", follow=True).text
    assert not Membership.objects.exists()


def test_a_member_leaves_by_post_and_their_lab_ends(world: SimpleNamespace, signed_in: SignIn) -> None:
    lab = LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING)
    client = signed_in(world.member)
    assert "Leave Physics?" in client.get("/i/physics/").text
    page = client.post("/i/physics/leave/", follow=True).text
    assert "You have left Physics" in page
    assert "Request access" in page
    lab.refresh_from_db()
    assert lab.state == State.STOPPING


def test_who_leaves_an_unlisted_instance_is_led_home(signed_in: SignIn, db: None) -> None:
    row = MembershipFactory(instance__is_public=False)
    answer = signed_in(row.user).post(reverse("leave", args=[row.instance.slug]))
    assert answer["Location"] == "/"


def test_the_only_owner_reads_why_they_stay(world: SimpleNamespace, signed_in: SignIn) -> None:
    assert "make someone else an owner" in signed_in(world.owner).post("/i/physics/leave/", follow=True).text


def test_a_request_is_taken_back(world: SimpleNamespace, signed_in: SignIn) -> None:
    row = MembershipFactory(instance=world.instance, status=Status.REQUESTED)
    assert "Your request has been withdrawn" in signed_in(row.user).post("/i/physics/leave/", follow=True).text
    assert not Membership.objects.filter(pk=row.pk).exists()


# In the console --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Uni.example\n@other.example,  uni.example", ["uni.example", "other.example"]),
        ("not a domain!", "Not a domain: not"),
        ("", "Enter at least one domain"),
    ],
)
def test_domains_are_written_one_a_line(
    world: SimpleNamespace, signed_in: SignIn, typed: str, kept: list[str] | str
) -> None:
    client, url = signed_in(world.owner), reverse("admin:labs_instance_change", args=[world.instance.pk])
    answer = client.post(url, form_data(client, url) | {"policy": "domain", "email_domains": typed}, follow=True)
    row = Instance.objects.get(pk=world.instance.pk)
    if isinstance(kept, str):
        assert kept in answer.text
        assert row.policy == Policy.APPROVAL
        return
    assert row.email_domains == kept
    told = Event.objects.get(verb=Verb.INSTANCE_CHANGED)
    assert told.after["email_domains"] == "uni.example, other.example"
    assert "uni.example\nother.example" in client.get(url).text


def test_staff_see_and_press_only_what_is_left_to_them(world: SimpleNamespace, signed_in: SignIn) -> None:
    row = MembershipFactory(instance=world.instance, status=Status.REQUESTED)
    waiting = reverse("admin:accounts_membership_changelist") + "?status__exact=requested"
    approve = reverse("admin:accounts_membership_approve", args=[row.pk])
    client = signed_in(world.staff)
    assert approve in client.get(waiting).text
    Instance.objects.update(staff_may_approve=False)
    page = client.get(waiting).text
    assert str(row.user) in page
    assert approve not in page
    assert client.post(approve).status_code == 403
    assert approve not in client.get(reverse("admin:index")).text
    member = Membership.objects.get(user=world.member)
    page = client.get(reverse("admin:accounts_membership_change", args=[member.pk])).text
    assert reverse("admin:accounts_membership_suspend", args=[member.pk]) in page
    assert reverse("admin:accounts_membership_remove", args=[member.pk]) not in page


def test_requests_show_which_addresses_are_confirmed(world: SimpleNamespace, signed_in: SignIn) -> None:
    row = MembershipFactory(instance=world.instance, status=Status.REQUESTED)
    client, waiting = (
        signed_in(world.owner),
        reverse("admin:accounts_membership_changelist") + "?status__exact=requested",
    )
    assert "Not confirmed" in client.get(waiting).text
    EmailAddress.objects.create(user=row.user, email="second@uni.example", verified=True)
    EmailAddress.objects.create(user=row.user, email="unproved@uni.example", verified=False)
    page = client.get(waiting).text
    assert "also second@uni.example" in page
    assert "unproved@uni.example" not in page


def test_who_was_put_in_is_told_at_the_next_visit_and_leaves_with_one_click(
    world: SimpleNamespace, signed_in: SignIn
) -> None:
    now, said = timezone.now(), "You have been added to"
    told: dict[str, Any] = {"instance": world.instance, "actor": world.owner, "now": now}
    people = [UserFactory(), UserFactory()]
    for person in people:
        EmailAddress.objects.create(user=person, email=person.email, verified=True)
    upload = uploads.keep(text="\n".join(["e-mail", *(person.email for person in people)]), **told)
    uploads.confirm(upload.pk, **told)
    stays, leaves = map(signed_in, people)
    for page in ("/", "/i/physics/"):
        assert f"{said} {world.instance} by {world.owner}." in stays.get(page).text
    stays.post("/i/physics/seen/")
    assert said not in stays.get("/").text
    assert f"{said} {world.instance}" in leaves.get("/").text
    leaves.post("/i/physics/leave/")
    assert [Membership.objects.filter(user=person).exists() for person in people] == [True, False]
    assert Client().post("/i/physics/seen/").status_code == 302


def test_who_asked_or_took_an_invitation_is_told_no_such_thing(world: SimpleNamespace, signed_in: SignIn) -> None:
    now = timezone.now()
    entry = RosterEntry.objects.create(instance=world.instance, email="other@uni.example")
    invitations.invite(instance=world.instance, actor=world.owner, now=now, entries=[entry.pk])
    entry.refresh_from_db()
    invitations.take(invitations.link(entry, now).split("/")[-2], user=world.stranger, now=now)
    assert "You have been added" not in signed_in(world.stranger).get("/").text
    assert "You have been added" not in signed_in(world.member).get("/").text
