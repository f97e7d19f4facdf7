"""Decisions are made on what stands now, once, whatever a page has read before and however many press the button."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, Role, Status, User
from accounts.services import membership as service
from labs.errors import Refusal
from labs.models import Instance, Lab, Quota
from labs.services.launch import launch
from tests.console.conftest import World, form_data
from tests.factories import UserFactory
from tests.support.racers import Racers

VALUES = {"name": "fine", "cpu": "1", "memory": "1024", "lifetime": "60"}


def test_staff_cannot_suspend_somebody_who_has_just_become_an_owner(world: World) -> None:
    """The page was read while they were a member."""
    read_before = Membership.objects.get(pk=world.mine.member.pk)
    Membership.objects.filter(pk=read_before.pk).update(role=Role.OWNER)
    with pytest.raises(Refusal):
        service.suspend(read_before, actor=world.people["staff"], now=timezone.now())
    assert Membership.objects.get(pk=read_before.pk).status == Status.APPROVED


@pytest.mark.parametrize("status", [None, Status.REQUESTED, Status.DENIED, Status.SUSPENDED])
def test_a_launch_of_somebody_who_is_not_in_is_refused_before_any_work_is_done(
    world: World, status: Status | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing a password takes tens of milliseconds: not to be had without access."""
    person = UserFactory()
    if status:
        Membership.objects.create(instance=world.mine.instance, user=person, status=status)
    monkeypatch.setattr("labs.services.launch.hash_password", lambda password: pytest.fail("hashed"))
    with pytest.raises(Refusal, match="You are not a member of"):
        launch(
            actor=person, instance=world.mine.instance, template=world.template, now=timezone.now(),
            values={**VALUES, "password": "long-enough"},
        )  # fmt: skip
    assert not Lab.objects.filter(owner=person).exists()


def test_fields_that_a_form_does_not_have_change_nothing(world: World) -> None:
    """Hidden fields sent by hand: of an instance by its owner, of a membership, of a profile, of a lab by JSON."""
    owner, other = world.client("owner"), world.theirs.instance
    side = world.mine
    url = reverse("admin:labs_instance_change", args=[side.instance.pk])
    here, there = side.instance.clusters.get(), other.clusters.get()
    places = {"places-TOTAL_FORMS": "1", "places-INITIAL_FORMS": "0", "places-0-instance": str(side.instance.pk)}
    places |= {"places-0-cluster": str(there.pk), "places-0-rank": "1"}
    forged = {"slug": "kube-system", "clusters": str(there.pk), "archived_at_0": "2026-01-01", "generation": "0"}
    owner.post(url, {**form_data(owner, url), **forged, **places, "title": "New title"})
    now = Instance.objects.get(pk=side.instance.pk)
    assert (now.title, now.slug, now.clusters.get(), now.archived_at) == ("New title", side.instance.slug, here, None)
    url = reverse("admin:accounts_membership_change", args=[side.member.pk])
    forged = {"user": str(side.owner.pk), "instance": str(other.pk), "status": "denied", "decided_by": "1"}
    owner.post(url, {**form_data(owner, url), **forged, "role": "staff"})
    row = Membership.objects.get(pk=side.member.pk)
    assert (row.role, row.user_id, row.instance_id, row.status) == (
        "staff", side.member.user_id, side.instance.pk, "approved"
    )  # fmt: skip
    world.client("member").post(
        "/profile/", {"name": "New", "affiliation": "", "is_superuser": "on", "email": "a@example.org"}
    )
    person = User.objects.get(pk=world.people["member"].pk)
    assert (person.name, person.is_superuser, person.email) == ("New", False, world.people["member"].email)
    for field, value in (
        ("owner", side.owner.pk),
        ("state", "running"),
        ("cluster", there.pk),
        ("cpu_millis", 9),
    ):
        sent = {"instance": side.instance.slug, field: value, "values": {**VALUES, field: str(value)}}
        answer = world.client("member").post("/api/labs/", json.dumps(sent), content_type="application/json")
        assert answer.status_code == 400
    assert not Lab.objects.filter(name="fine").exists()


def test_an_owner_cannot_move_a_limit_to_another_instance_or_to_the_whole_of_theirs(world: World) -> None:
    owner, other = world.client("owner"), world.theirs
    url = reverse("admin:labs_quota_change", args=[world.mine.default.pk])
    forged = {"instance": str(other.instance.pk), "scope": "instance", "user": str(other.owner.pk)}
    owner.post(url, {**form_data(owner, url), **forged, "cpu_millis": "1"})
    row = Quota.objects.get(pk=world.mine.default.pk)
    assert (row.instance_id, row.scope, row.user_id) == (world.mine.instance.pk, "member", None)
    url = reverse("admin:labs_instance_change", args=[world.mine.instance.pk])
    data = form_data(owner, url)
    for place in ("quotas", "quotas-2", "quotas-3"):
        data |= {f"{place}-TOTAL_FORMS": "1", f"{place}-INITIAL_FORMS": "1"}
        data |= {f"{place}-0-id": str(other.whole.pk), f"{place}-0-instance": str(other.instance.pk)}
        data |= {f"{place}-0-cpu_millis": "999"}
    owner.post(url, data)
    assert Quota.objects.get(pk=other.whole.pk).cpu_millis == 32_000
    assert Quota.objects.get(pk=world.mine.whole.pk).cpu_millis == 32_000


def test_a_lab_is_not_named_as_the_site_itself(world: World, settings: object) -> None:
    """Where the site stands under the domain of labs, that lab would answer in its place, and be given everybody's password."""
    domain = world.mine.instance.clusters.get().lab_domain
    settings.SITE_URL, settings.ALLOWED_HOSTS = f"https://jupyter.{domain}:8443", [f"courses.{domain}", "testserver"]  # type: ignore[attr-defined]
    settings.ALLOWED_HOSTS.append(f"portal.hub.{domain}")  # type: ignore[attr-defined]
    for name in ("jupyter", "courses", "hub"):
        with pytest.raises(Refusal, match="reserved"):
            launch(
                actor=world.people["member"], instance=world.mine.instance, template=world.template,
                values={**VALUES, "name": name}, now=timezone.now(),
            )  # fmt: skip


def pressed(racers: Racers, what: str) -> tuple[list[str], dict[str, int]]:
    """What became of twenty presses at the same moment, and what the instance then has."""
    module, slug = "tests.support.races.buttons", f"pressed-{what}"
    racers.run(f"{module}:world", slug)
    outcomes = racers.race(f"{module}:press", [(slug, what, turn) for turn in range(20)])
    return outcomes, racers.run(f"{module}:facts", slug)


@pytest.mark.parametrize("what", ["approve", "suspend", "stop", "extend"])
def test_pressed_twenty_times_at_once_it_is_done_once(racers: Racers, what: str) -> None:
    outcomes, facts = pressed(racers, what)
    assert outcomes.count("done") == 1, outcomes
    assert set(outcomes) <= {"done", "before", "over-limit", "conflict", "not-running"}
    assert facts["events"] == (2 if what == "suspend" else 1)
    assert facts["mails"] == int(what in ("approve", "suspend", "stop"))


@pytest.mark.parametrize("what", ["demote", "remove", "leave"])
def test_of_two_owners_who_go_at_once_one_stays(racers: Racers, what: str) -> None:
    """Each demotes or removes the other, or both leave, many times at the same moment."""
    outcomes, facts = pressed(racers, what)
    assert outcomes.count("done") == 1, outcomes
    assert set(outcomes) <= {"done", "before", "forbidden", "last-owner", "gone"}
    assert facts == {"events": 1, "mails": int(what != "leave"), "owners": 1}
