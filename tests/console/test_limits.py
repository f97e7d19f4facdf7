"""Limits: in cores, GiB and hours; of members by owners, of the whole instance by site administrators."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.urls import reverse

from labs.admin.limits import PERSONAL
from labs.models import Event, Quota, Scope, Verb
from tests.factories import MembershipFactory

from .conftest import World, form_data


def change(quota: Quota) -> str:
    return reverse("admin:labs_quota_change", args=[quota.pk])


def instance_page(world: World) -> str:
    return reverse("admin:labs_instance_change", args=[world.mine.instance.pk])


def prefix_of(client: Any, url: str, scope: str) -> str:
    for inline in client.get(url).context["inline_admin_formsets"]:
        if inline.opts.scope == scope:
            return str(inline.formset.prefix)
    raise AssertionError(scope)


def test_an_owner_sets_limits_in_friendly_units(world: World) -> None:
    client, url = world.client("owner"), change(world.mine.default)
    data = form_data(client, url) | {"cpu_millis": "1.5", "memory_mib": "2.5", "lifetime_minutes": "36", "gpus": "1"}
    assert client.post(url, data).status_code == 302
    row = Quota.objects.get(pk=world.mine.default.pk)
    assert (row.cpu_millis, row.memory_mib, row.lifetime_minutes, row.gpus) == (1500, 2560, 2160, 1)
    event = Event.objects.get(verb=Verb.LIMITS_CHANGED)
    assert (event.before["cpu_millis"], event.after["cpu_millis"]) == (4000, 1500)


def test_saving_without_a_change_writes_no_event(world: World) -> None:
    client, url = world.client("owner"), change(world.mine.default)
    client.post(url, form_data(client, url))
    assert not Event.objects.filter(verb=Verb.LIMITS_CHANGED).exists()


@pytest.mark.parametrize("value", ["-1", "abc", "1e99", "NaN", "Infinity", "99999999"])
def test_what_is_no_number_of_cores_is_refused_at_its_field(world: World, value: str) -> None:
    client, url = world.client("owner"), change(world.mine.default)
    response = client.post(url, form_data(client, url) | {"cpu_millis": value})
    assert response.status_code == 200
    assert "cpu_millis" in response.context["adminform"].form.errors
    assert Quota.objects.get(pk=world.mine.default.pk).cpu_millis == 4000


@pytest.mark.parametrize("which", ["whole", "default", "personal"])
def test_staff_cannot_raise_limits_by_a_forged_post(world: World, which: str) -> None:
    quota: Quota = getattr(world.mine, which)
    assert world.client("staff").post(change(quota), {"cpu_millis": "999"}).status_code == 403
    assert Quota.objects.get(pk=quota.pk).cpu_millis == quota.cpu_millis


@pytest.mark.parametrize("page", ["change", "delete"])
def test_an_owner_cannot_touch_the_limits_of_the_whole_instance(world: World, page: str) -> None:
    url = reverse(f"admin:labs_quota_{page}", args=[world.mine.whole.pk])
    assert world.client("owner").post(url, {"cpu_millis": "999", "post": "yes"}).status_code == 403
    assert Quota.objects.get(pk=world.mine.whole.pk).cpu_millis == 32_000


def test_an_administrator_sets_the_limits_of_the_whole_instance(world: World) -> None:
    client, url = world.client("administrator"), change(world.mine.whole)
    client.post(url, form_data(client, url) | {"cpu_millis": "64"})
    assert Quota.objects.get(pk=world.mine.whole.pk).cpu_millis == 64_000


@pytest.mark.parametrize("role", ["staff", "owner"])
def test_no_new_limit_for_a_whole_instance_by_a_forged_post(world: World, role: str) -> None:
    world.mine.whole.delete()
    data = {"instance": world.mine.instance.pk, "scope": Scope.INSTANCE, "cpu_millis": "999"}
    world.client(role).post(reverse("admin:labs_quota_add"), data)
    assert not Quota.objects.filter(instance=world.mine.instance, scope=Scope.INSTANCE).exists()


def test_no_limit_in_an_instance_of_others(world: World) -> None:
    person = world.theirs.request.user
    data = {"instance": world.theirs.instance.pk, "scope": Scope.PERSON, "user": person.pk, "cpu_millis": "1"}
    response = world.client("owner").post(reverse("admin:labs_quota_add"), data)
    assert response.status_code == 200
    assert {"instance", "user"} <= set(response.context["adminform"].form.errors)


def test_a_person_gets_limits_of_their_own_once(world: World) -> None:
    member = MembershipFactory(instance=world.mine.instance).user
    client, url = world.client("owner"), reverse("admin:labs_quota_add")
    data = {"instance": world.mine.instance.pk, "scope": Scope.PERSON, "user": member.pk, "memory_mib": "16"}
    assert client.post(url, data).status_code == 302
    assert Quota.objects.get(user=member).memory_mib == 16_384
    again = client.post(url, data)
    assert "already has personal limits" in again.content.decode()


def test_personal_limits_name_the_address_too(world: World) -> None:
    member = world.mine.member.user
    for url in (instance_page(world), reverse("admin:labs_quota_changelist")):
        assert f"{member.name} ({member.email})" in world.client("owner").get(url).text


def test_an_owner_removes_a_personal_limit_and_it_is_told(world: World) -> None:
    url = reverse("admin:labs_quota_delete", args=[world.mine.personal.pk])
    world.client("owner").post(url, {"post": "yes"})
    assert not Quota.objects.filter(pk=world.mine.personal.pk).exists()
    assert Event.objects.get(verb=Verb.LIMITS_CHANGED).reason == "removed"


def test_limits_can_be_changed_on_the_page_of_the_instance(world: World) -> None:
    client, url = world.client("owner"), instance_page(world)
    prefix = prefix_of(client, url, Scope.MEMBER)
    data = form_data(client, url) | {f"{prefix}-0-cpu_millis": "2", f"{prefix}-0-lifetime_minutes": "0.5"}
    assert client.post(url, data).status_code == 302
    row = Quota.objects.get(pk=world.mine.default.pk)
    assert (row.cpu_millis, row.lifetime_minutes) == (2000, 30)
    assert Event.objects.filter(verb=Verb.LIMITS_CHANGED).count() == 1


def test_a_personal_limit_can_be_added_on_the_page_of_the_instance(world: World) -> None:
    member = MembershipFactory(instance=world.mine.instance).user
    client, url = world.client("owner"), instance_page(world)
    prefix = prefix_of(client, url, Scope.PERSON)
    new = {f"{prefix}-TOTAL_FORMS": "2", f"{prefix}-1-user": member.pk, f"{prefix}-1-cpu_millis": "3"}
    assert client.post(url, form_data(client, url) | new).status_code == 302
    assert Quota.objects.get(user=member, scope=Scope.PERSON).cpu_millis == 3000


def test_a_new_personal_limit_begins_as_what_every_member_has(world: World) -> None:
    """It replaces that as a whole: what is left empty is without a limit, and nobody should come to that unawares."""
    for inline in world.client("owner").get(instance_page(world)).context["inline_admin_formsets"]:
        if inline.opts.scope == Scope.PERSON:
            form = inline.formset.empty_form
            assert (form["cpu_millis"].value(), form["lifetime_minutes"].value()) == ("4", "24")
            assert inline.formset.forms[0]["cpu_millis"].value() == "8"


@pytest.mark.parametrize("role", ["staff", "owner"])
def test_the_whole_instance_is_not_changed_by_a_forged_post_to_its_page(world: World, role: str) -> None:
    client, url = world.client(role), instance_page(world)
    prefix = prefix_of(client, url, Scope.INSTANCE)
    forged = {
        f"{prefix}-TOTAL_FORMS": "1", f"{prefix}-INITIAL_FORMS": "1", f"{prefix}-0-id": world.mine.whole.pk,
        f"{prefix}-0-cpu_millis": "999", f"{prefix}-0-DELETE": "",
    }  # fmt: skip
    data = form_data(world.client("owner"), url) | forged
    client.post(url, data)
    client.post(url, data | {f"{prefix}-0-DELETE": "on"})
    assert Quota.objects.get(pk=world.mine.whole.pk).cpu_millis == 32_000


def test_a_foreign_limit_cannot_be_pulled_into_ones_own_page(world: World) -> None:
    client, url = world.client("owner"), instance_page(world)
    prefix = prefix_of(client, url, Scope.MEMBER)
    client.post(
        url, form_data(client, url) | {f"{prefix}-0-id": world.theirs.default.pk, f"{prefix}-0-cpu_millis": "9"}
    )
    theirs = Quota.objects.get(pk=world.theirs.default.pk)
    assert (theirs.cpu_millis, theirs.instance) == (4000, world.theirs.instance)


def test_the_form_of_an_instance_with_many_personal_limits_is_saved(world: World) -> None:
    """More of them than a form can hold stand in a list of their own, which the page links to."""
    client, url = world.client("owner"), instance_page(world)
    assert prefix_of(client, url, Scope.PERSON) == PERSONAL
    people = MembershipFactory.create_batch(150, instance=world.mine.instance)
    Quota.objects.bulk_create(
        Quota(instance=world.mine.instance, scope=Scope.PERSON, user=row.user, cpu_millis=1000) for row in people
    )
    page = client.get(url).text
    listed = f"/console/labs/quota/?instance__id__exact={world.mine.instance.pk}&amp;scope__exact=person"
    assert f'href="{listed}">Personal limits (151)<' in page
    assert client.get(html.unescape(listed)).context["cl"].result_count == 151
    data = form_data(client, url) | {"summary": "Changed"}
    assert len(data) < 1000
    assert client.post(url, data).status_code == 302
    world.mine.instance.refresh_from_db()
    assert world.mine.instance.summary == "Changed"
    assert Quota.objects.filter(scope=Scope.PERSON, instance=world.mine.instance).count() == 151


def test_a_form_that_was_sent_with_personal_limits_is_read_with_them(world: World) -> None:
    client, url = world.client("owner"), instance_page(world)
    data = form_data(client, url)
    data |= {f"{PERSONAL}-0-cpu_millis": "3"}
    people = MembershipFactory.create_batch(70, instance=world.mine.instance)
    Quota.objects.bulk_create(Quota(instance=world.mine.instance, scope=Scope.PERSON, user=row.user) for row in people)
    assert client.post(url, data).status_code == 302
    assert Quota.objects.get(pk=world.mine.personal.pk).cpu_millis == 3000
