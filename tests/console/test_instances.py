"""Instances: made by site administrators, kept by owners, looked at by staff."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from accounts.models import Mail, MailKind, Membership, Role, Status, User
from labs.models import Event, Instance, State, Verb
from tests.factories import ClusterFactory, TemplateFactory, UserFactory

from .conftest import World, form_data


def page(world: World, name: str = "change") -> str:
    return reverse(f"admin:labs_instance_{name}", args=[world.mine.instance.pk])


def test_an_owner_changes_pages_and_dates_and_it_is_told(world: World) -> None:
    client = world.client("owner")
    data = form_data(client, page(world)) | {
        "title": "Mine, new",
        "accent": "#112233",
        "policy": "closed",
        "ends_on": "2030-01-31",
    }
    assert client.post(page(world), data).status_code == 302
    row = Instance.objects.get(pk=world.mine.instance.pk)
    assert (row.title, row.accent, row.policy, str(row.ends_on)) == ("Mine, new", "#112233", "closed", "2030-01-31")
    event = Event.objects.get(verb=Verb.INSTANCE_CHANGED)
    assert event.after["title"] == "Mine, new"
    assert event.actor == world.people["owner"]


@pytest.mark.parametrize("role", ["owner", "administrator"])
def test_the_slug_is_never_changed(world: World, role: str) -> None:
    client, before = world.client(role), world.mine.instance.slug
    client.post(page(world), form_data(client, page(world)) | {"slug": "kube-system"})
    assert Instance.objects.get(pk=world.mine.instance.pk).slug == before


def test_an_owner_cannot_move_the_instance_to_another_cluster(world: World) -> None:
    client, before = world.client("owner"), list(world.mine.instance.clusters.all())
    forged = {"places-TOTAL_FORMS": "1", "places-INITIAL_FORMS": "0", "places-0-rank": "1"}
    client.post(page(world), form_data(client, page(world)) | forged | {"places-0-cluster": ClusterFactory().pk})
    assert list(world.mine.instance.clusters.all()) == before


def test_an_administrator_adds_a_cluster_for_the_overflow_and_it_is_told(world: World) -> None:
    client, cloud = world.client("administrator"), ClusterFactory(title="Cloud")
    first = world.mine.instance.places.get().cluster
    more = {"places-TOTAL_FORMS": "2", "places-1-rank": "2", "places-1-cluster": cloud.pk, "places-1-cpu_millis": "8"}
    assert client.post(page(world), form_data(client, page(world)) | more).status_code == 302
    places = world.mine.instance.places.all()
    assert [(place.cluster, place.cpu_millis) for place in places] == [(first, None), (cloud, 8000)]
    event = Event.objects.get(verb=Verb.INSTANCE_CHANGED)
    assert event.before == {"clusters": [str(first)]}
    assert event.after == {"clusters": [str(first), "Cloud (at most cpu_millis 8000)"]}


def test_a_cluster_on_which_something_runs_is_not_taken_away(world: World) -> None:
    client, cloud = world.client("administrator"), ClusterFactory()
    world.mine.instance.places.create(cluster=cloud, rank=2)
    data = form_data(client, page(world)) | {"places-0-DELETE": "on"}
    assert "still running" in client.post(page(world), data, follow=True).content.decode()
    assert world.mine.instance.clusters.count() == 2


def test_an_instance_keeps_at_least_one_cluster(world: World) -> None:
    client = world.client("administrator")
    answer = client.post(page(world), form_data(client, page(world)) | {"places-0-DELETE": "on"})
    assert "Add a cluster" in answer.content.decode()
    assert world.mine.instance.clusters.count() == 1


def test_staff_cannot_change_an_instance_by_a_forged_post(world: World) -> None:
    data = form_data(world.client("owner"), page(world)) | {"title": "Forged", "policy": "open"}
    assert world.client("staff").post(page(world), data).status_code == 403
    assert Instance.objects.get(pk=world.mine.instance.pk).title == "Mine"


def test_the_services_that_are_offered_are_told_of(world: World) -> None:
    other = TemplateFactory(slug="other", version=1, title="Other")
    client = world.client("owner")
    client.post(page(world), form_data(client, page(world)) | {"services": [other.pk]})
    assert list(world.mine.instance.services.all()) == [other]
    assert Event.objects.get(verb=Verb.INSTANCE_CHANGED).after == {"services": ["Other, version 1"]}
    assert not Instance.objects.get(pk=world.mine.instance.pk).is_settled, "its clusters are to learn of it"


def make(world: World, owner: str, **more: Any) -> Instance:
    """What an administrator sends who fills in no more than title, owner and cluster; the rest is as the form gives it."""
    client, url = world.client("administrator"), reverse("admin:labs_instance_add")
    data = form_data(client, url) | {
        "title": "New Course: Ö",
        "owner_email": owner,
        "places-0-cluster": ClusterFactory().pk,
    }
    answer = client.post(url, data | more)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    made = Instance.objects.latest("pk")
    assert answer.url == reverse("admin:labs_instance_change", args=[made.pk])
    return made


def test_a_new_instance_has_all_that_work_takes(world: World) -> None:
    owner = UserFactory()
    EmailAddress.objects.create(user=owner, email=owner.email, verified=True, primary=True)
    made = make(world, owner.email.upper())
    row = Membership.objects.get(instance=made)
    assert (row.user, row.role, row.status) == (owner, Role.OWNER, Status.APPROVED)
    assert (made.slug, list(made.services.all())) == ("new-course-o", [world.template])
    assert set(made.quotas.values_list("scope", "running")) == {("instance", 40), ("member", 2)}
    assert {Verb.INSTANCE_CHANGED, Verb.ACCESS_APPROVED, Verb.ROSTER_CHANGED, Verb.LIMITS_CHANGED} == set(
        Event.objects.filter(instance=made).values_list("verb", flat=True)
    )
    assert Mail.objects.get(instance=made).kind == MailKind.ACCESS_APPROVED


def test_an_owner_without_an_account_is_invited(world: World) -> None:
    made = make(world, "new.owner@example.org")
    assert not made.memberships.exists()
    entry = made.roster.get()
    assert (entry.email, entry.role) == ("new.owner@example.org", Role.OWNER)
    assert [(mail.kind, mail.recipient) for mail in Mail.objects.filter(instance=made)] == [
        (MailKind.INVITATION, "new.owner@example.org")
    ]


def test_an_account_that_only_claims_the_address_owns_nothing(world: World) -> None:
    claims = UserFactory()
    EmailAddress.objects.create(user=claims, email=claims.email, verified=False, primary=True)
    made = make(world, claims.email)
    assert not made.memberships.exists()
    assert Mail.objects.get(instance=made).kind == MailKind.INVITATION


def test_two_of_the_same_title_get_slugs_of_their_own(world: World) -> None:
    slugs = [make(world, "owner@example.org", title=title).slug for title in ("2026", "2026", "A" * 90, "数学")]
    assert slugs == ["course-2026", "course-2026-2", "a" * 40, "course"]


def test_the_page_of_an_instance_says_what_is_missing(world: World) -> None:
    made = make(world, "owner@example.org", services=[])
    url = reverse("admin:labs_instance_change", args=[made.pk])
    text = world.client("administrator").get(url).text
    assert "owner@example.org has been invited but has not joined yet." in text
    assert "It offers no services." in text
    assert "It has no summary and no page yet." in text
    Instance.objects.filter(pk=world.mine.instance.pk).update(about="All about it.")
    assert "Setup checklist" not in world.client("owner").get(page(world)).text, "nothing is missing there"


def test_an_instance_is_archived_after_a_question(world: World) -> None:
    client = world.client("owner")
    assert client.get(page(world, "archive")).status_code == 200
    assert Instance.objects.get(pk=world.mine.instance.pk).archived_at is None
    client.post(page(world, "archive"))
    assert Instance.objects.get(pk=world.mine.instance.pk).archived_at
    world.mine.lab.refresh_from_db()
    assert world.mine.lab.state == State.STOPPING


def test_staff_do_not_archive(world: World) -> None:
    assert world.client("staff").post(page(world, "archive")).status_code == 403
    assert Instance.objects.get(pk=world.mine.instance.pk).archived_at is None


def test_people_are_made_without_a_password_and_nothing_of_one_is_shown(world: World) -> None:
    client = world.client("administrator")
    client.post(reverse("admin:accounts_user_add"), {"email": "New@Example.org", "name": "New", "affiliation": ""})
    made = User.objects.get(email="new@example.org")
    assert not made.has_usable_password()
    text = client.get(reverse("admin:accounts_user_change", args=[world.people["owner"].pk])).content.decode()
    assert world.people["owner"].password not in text
    assert 'name="password"' not in text


def test_an_administrator_cannot_lock_themselves_out(world: World) -> None:
    me = world.people["administrator"]
    client, url = world.client("administrator"), reverse("admin:accounts_user_change", args=[me.pk])
    client.post(url, {"name": "Ada", "affiliation": "", "is_active": "", "is_superuser": ""})
    me.refresh_from_db()
    assert (me.is_active, me.is_superuser, me.name) == (True, True, "Ada")


def test_the_log_of_the_console_holds_names_of_fields_only(world: World) -> None:
    client = world.client("owner")
    client.post(page(world), form_data(client, page(world)) | {"about": "a-long-secret-sentence"})
    entries = [f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all()]
    assert entries
    assert not [entry for entry in entries if "a-long-secret-sentence" in entry]
