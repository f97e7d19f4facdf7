"""Everybody with an account, in the console: who may sign in and who is a site administrator, each change told."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role, Status, User
from accounts.services import standing
from labs.errors import Refusal
from labs.models import EndReason, Event, State, Verb
from tests.factories import InstanceFactory, LabFactory, MembershipFactory, UserFactory

from .conftest import World, form_data


def page(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def save(world: World, user: User, **fields: Any) -> Any:
    """Save the form of the person as an administrator; an empty text takes a tick away."""
    client = world.client("administrator")
    data = {**form_data(client, page(user)), **fields}
    return client.post(page(user), {name: value for name, value in data.items() if value != ""})


@pytest.mark.parametrize(
    ("column", "before", "tick", "verb", "sentence"),
    [
        ("is_active", True, "", Verb.ACCOUNT_CLOSED, "Ada Administrator closed the account of Rosa"),
        ("is_active", False, "on", Verb.ACCOUNT_REOPENED, "Ada Administrator reopened the account of Rosa"),
        (
            "is_superuser",
            False,
            "on",
            Verb.ADMINISTRATOR_MADE,
            "Ada Administrator gave site administrator rights to Rosa",
        ),
        (
            "is_superuser",
            True,
            "",
            Verb.ADMINISTRATOR_UNMADE,
            "Ada Administrator removed site administrator rights from Rosa",
        ),
    ],
)
def test_a_change_of_standing_is_told_on_the_page_of_the_person(
    world: World, column: str, before: bool, tick: str, verb: Verb, sentence: str
) -> None:
    user = UserFactory(name="Rosa", **{column: before})
    assert save(world, user, **{column: tick}).status_code == 302
    user.refresh_from_db()
    assert getattr(user, column) is not before
    event = Event.objects.get(user=user)
    assert (event.verb, event.sentence, event.instance) == (verb, sentence, None)
    assert (event.before, event.after) == ({column: before}, {column: not before})
    assert verb.label in world.client("administrator").get(page(user)).text


def test_what_runs_of_somebody_whose_account_is_closed_ends_and_so_do_their_sessions(world: World) -> None:
    member = world.people["member"]
    lab = LabFactory(instance=world.mine.instance, owner=member, state=State.RUNNING)
    session = world.client("member")
    assert session.get("/labs/").status_code == 200
    save(world, member, is_active="", confirmed="yes")
    lab.refresh_from_db()
    assert (lab.state, lab.end_reason) == (State.STOPPING, EndReason.STAFF)
    assert session.get("/labs/").status_code == 302


def test_what_changes_nothing_in_the_standing_tells_nothing(world: World) -> None:
    user = UserFactory()
    assert save(world, user, name="Another").status_code == 302
    user.refresh_from_db()
    assert user.name == "Another"
    assert not Event.objects.filter(user=user).exists()


def test_the_account_of_a_last_owner_stays_open_and_the_instances_are_named(world: World) -> None:
    owner, other = world.people["owner"], InstanceFactory(title="Biology")
    archived = InstanceFactory(title="Long over", archived_at=timezone.now())
    for instance in (other, archived):
        MembershipFactory(instance=instance, user=owner, role=Role.OWNER)
    MembershipFactory(instance=other, role=Role.OWNER, user__is_active=False)
    MembershipFactory(instance=other, role=Role.OWNER, status=Status.SUSPENDED)
    answer = save(world, owner, is_active="", name="Another")
    owner.refresh_from_db()
    assert (owner.is_active, owner.name) == (True, "Mine Owner")
    said = answer.context["adminform"].form.non_field_errors()
    assert said == [f"{owner} is the only owner of {other}, {world.mine.instance}. First make someone else an owner."]
    assert not Event.objects.filter(verb=Verb.ACCOUNT_CLOSED).exists()
    for instance in (other, world.mine.instance):
        MembershipFactory(instance=instance, role=Role.OWNER)
    save(world, owner, is_active="")
    owner.refresh_from_db()
    assert not owner.is_active


def test_without_its_line_nothing_changes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Exception):
        pass

    def broken(*args: Any, **kwargs: Any) -> NoReturn:
        raise Broken

    user = UserFactory()
    monkeypatch.setattr(Event, "save", broken)
    with pytest.raises(Broken):
        save(world, user, is_superuser="on")
    user.refresh_from_db()
    assert not user.is_superuser


@pytest.mark.parametrize("role", ["owner", "staff"])
def test_only_site_administrators_see_it(world: World, role: str) -> None:
    member = world.mine.member.user
    save(world, member, is_superuser="on")
    event = Event.objects.get(verb=Verb.ADMINISTRATOR_MADE)
    for who, is_seen in (("administrator", True), (role, False)):
        found = world.client(who).get(reverse("admin:labs_event_changelist")).context["cl"].queryset
        assert (event in found) is is_seen
    assert world.client(role).get(reverse("admin:labs_event_change", args=[event.pk])).status_code == 404
    assert event not in Event.objects.visible_to(world.people[role])


def test_nobody_else_changes_it_and_nobody_their_own(world: World) -> None:
    user, administrator = UserFactory(), world.people["administrator"]
    for actor, whom in ((world.people["owner"], user), (administrator, administrator)):
        whom.is_superuser = not whom.is_superuser
        with pytest.raises(Refusal):
            standing.save_person(whom, actor=actor, now=world.mine.event.at)
    assert list(User.objects.filter(is_superuser=True)) == [administrator]


def test_of_two_administrators_who_take_it_from_each_other_one_is_late(world: World) -> None:
    first, second = world.people["administrator"], UserFactory(is_superuser=True)
    now, late = world.mine.event.at, User.objects.get(pk=first.pk)
    second.is_superuser = False
    standing.save_person(second, actor=first, now=now)
    late.is_superuser = False
    second.is_superuser = True  # as the page of the second was loaded
    with pytest.raises(Refusal):
        standing.save_person(late, actor=second, now=now)
    assert User.objects.get(pk=first.pk).is_superuser
