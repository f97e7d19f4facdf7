"""Invariant 7 through the console: whatever a form or button changes, one line of the history tells it with before and after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from django.urls import reverse

from accounts.models import Membership, Role, Status
from labs.models import Event, Instance, Quota, Scope, State, Workload
from tests.factories import ClusterFactory, LabFactory, MembershipFactory, TemplateFactory

from .conftest import World, form_data

#: Of each kind of row, the columns that people and the clock change. A new column is told of, or left out here with a reason.
TOLD: dict[Any, tuple[str, ...]] = {
    Membership: ("role", "status"),
    Quota: ("cpu_millis", "memory_mib", "gpus", "storage_gib", "running", "lifetime_minutes"),
    Workload: ("state", "end_reason", "lifetime_minutes", "expires_at"),
    Instance: (
        "slug", "title", "kind", "summary", "about", "footer", "accent", "policy", "email_domains", "staff_may_approve",
        "is_public", "starts_on", "ends_on", "archived_at",
    ),
}  # fmt: skip


@pytest.fixture
def world(world: World) -> World:
    """With a few rows more, of which the ways below make something."""
    world.suspended = MembershipFactory(instance=world.mine.instance, status=Status.SUSPENDED)
    world.newcomer = MembershipFactory(instance=world.mine.instance)
    world.queued = LabFactory(instance=world.mine.instance, state=State.QUEUED)
    return world


def snapshot() -> dict[tuple[str, Any], dict[str, Any]]:
    return {
        (model.__name__, row["pk"]): row
        for model, columns in TOLD.items()
        for row in model.objects.order_by("pk").values("pk", *columns)
    }


def changed(before: dict[Any, Any], after: dict[Any, Any]) -> dict[tuple[str, Any], set[str]]:
    """What is another value now: the row, and the names of its columns; all of them of a row that came or went."""
    found = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        names = {name for name in (new or old or {}) if name != "pk" and (old or {}).get(name) != (new or {}).get(name)}
        if names:
            found[key] = names
    return found


def assert_told(world: World, before: dict[Any, Any], known: set[int], actor: Any) -> None:
    """Each change of a row stands in a new Event, by this person, with the value before and the value after."""
    events = list(Event.objects.exclude(pk__in=known))
    differences = changed(before, snapshot())
    assert differences
    for (_kind, pk), names in differences.items():
        for name in names:
            told = [event for event in events if name in event.before or name in event.after]
            assert told, (pk, name, [str(event) for event in events])
            assert any(event.before.get(name) != event.after.get(name) for event in told), (pk, name)
    assert all(event.actor == actor and event.at and event.instance for event in events)


def url(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def inline(client: Any, world: World, scope: str, row: int = 0) -> tuple[str, dict[str, Any]]:
    """The address of the instance's page, its form as it is, and where the limits of this scope stand in it."""
    page = url("labs_instance_change", world.mine.instance.pk)
    data = form_data(client, page)
    for formset in client.get(page).context["inline_admin_formsets"]:
        if getattr(formset.opts, "scope", "") == scope:
            return f"{formset.formset.prefix}-{row}", data
    raise AssertionError(scope)


def decide(name: str, which: str = "request") -> Callable[[World, Any], Any]:
    return lambda world, client: client.post(
        url(f"accounts_membership_{name}", getattr(world.mine, which).pk), {"word": "because"}
    )


def in_bulk(name: str, which: str) -> Callable[[World, Any], Any]:
    return lambda world, client: client.post(
        url("accounts_membership_changelist"),
        {
            "action": f"{name}_selected",
            "confirmed": "yes",
            "keys": str(getattr(world.mine, which).pk),
            "word": "because",
        },
    )


def reinstate(world: World, client: Any) -> Any:
    return client.post(url("accounts_membership_reinstate", world.suspended.pk))


def role(world: World, client: Any) -> Any:
    page = url("accounts_membership_change", world.mine.member.pk)
    return client.post(page, form_data(client, page) | {"role": Role.STAFF})


def limits(world: World, client: Any) -> Any:
    page = url("labs_quota_change", world.mine.default.pk)
    return client.post(
        page, form_data(client, page) | {"cpu_millis": "1", "gpus": "2", "storage_gib": "10", "running": "1"}
    )


def limits_new(world: World, client: Any) -> Any:
    person = world.newcomer.user.pk
    data = {"instance": world.mine.instance.pk, "scope": Scope.PERSON, "user": person, "memory_mib": "16"}
    return client.post(url("labs_quota_add"), data)


def limits_gone(world: World, client: Any) -> Any:
    return client.post(url("labs_quota_delete", world.mine.personal.pk), {"post": "yes"})


def limits_inline(world: World, client: Any) -> Any:
    at, data = inline(client, world, Scope.MEMBER)
    return client.post(url("labs_instance_change", world.mine.instance.pk), data | {f"{at}-cpu_millis": "1"})


def limits_inline_gone(world: World, client: Any) -> Any:
    at, data = inline(client, world, Scope.PERSON)
    return client.post(url("labs_instance_change", world.mine.instance.pk), data | {f"{at}-DELETE": "on"})


def instance(world: World, client: Any) -> Any:
    page = url("labs_instance_change", world.mine.instance.pk)
    return client.post(page, form_data(client, page) | {
        "title": "Another", "kind": "workshop", "summary": "s", "about": "a", "footer": "f", "accent": "#112233", "policy": "domain",
        "email_domains": "uni.example", "is_public": "", "staff_may_approve": "", "starts_on": "2030-01-01", "ends_on": "2030-02-01",
    })  # fmt: skip


def services(world: World, client: Any) -> Any:
    page = url("labs_instance_change", world.mine.instance.pk)
    return client.post(
        page, form_data(client, page) | {"title": "x", "services": [TemplateFactory(slug="other", version=1).pk]}
    )


def archive(world: World, client: Any) -> Any:
    return client.post(url("labs_instance_archive", world.mine.instance.pk))


def stop(world: World, client: Any) -> Any:
    return client.post(url("labs_lab_stop", world.mine.lab.pk), {"word": "because"})


def stop_many(world: World, client: Any) -> Any:
    labs = [world.mine.lab, world.queued]
    data = {"action": "stop_selected", "confirmed": "yes", "keys": ",".join(str(lab.pk) for lab in labs)}
    return client.post(url("labs_lab_changelist"), data)


WAYS: dict[str, Callable[[World, Any], Any]] = {
    "approve": decide("approve"), "deny": decide("deny"), "suspend": decide("suspend", "member"),
    "remove": decide("remove", "member"), "reinstate": reinstate, "approve in bulk": in_bulk("approve", "request"),
    "deny in bulk": in_bulk("deny", "request"), "suspend in bulk": in_bulk("suspend", "member"),
    "remove in bulk": in_bulk("remove", "member"), "role": role, "limits": limits, "limits, new": limits_new,
    "limits, gone": limits_gone, "limits on the instance's page": limits_inline,
    "limits gone on the instance's page": limits_inline_gone, "instance": instance, "services": services, "archive": archive,
    "stop": stop, "stop many": stop_many,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_what_a_form_changes_is_told_with_before_and_after(world: World, way: str) -> None:
    client, known, before = world.client("owner"), set(Event.objects.values_list("pk", flat=True)), snapshot()
    response = WAYS[way](world, client)
    assert response.status_code == 302, response.content.decode()[-2000:]
    assert_told(world, before, known, world.people["owner"])


@pytest.mark.parametrize("way", WAYS)
def test_without_its_line_a_form_changes_nothing(world: World, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row and its Event are written in one transaction."""

    class Broken(Exception):
        pass

    def broken(*args: Any, **kwargs: Any) -> NoReturn:
        raise Broken

    from labs.models import Event as Model

    client = world.client("owner")
    client.raise_request_exception = True
    before: list[Any] = []

    def post(*args: Any, **kwargs: Any) -> Any:
        before.append(snapshot())
        monkeypatch.setattr(Model, "save", broken)
        monkeypatch.setattr(type(Model.objects), "bulk_create", broken)
        return type(client).post(client, *args, **kwargs)

    monkeypatch.setattr(client, "post", post)
    with pytest.raises(Broken):
        WAYS[way](world, client)
    assert changed(before[-1], snapshot()) == {}


def test_the_places_of_an_instance_are_told_by_their_names(world: World) -> None:
    client, cloud = world.client("administrator"), ClusterFactory(title="Cloud")
    page = url("labs_instance_change", world.mine.instance.pk)
    more = {"places-TOTAL_FORMS": "2", "places-1-rank": "2", "places-1-cluster": cloud.pk, "places-1-gpus": "3"}
    client.post(page, form_data(client, page) | more)
    event = Event.objects.latest("pk")
    assert len(event.before["clusters"]) == 1
    assert "Cloud (at most gpus 3)" in event.after["clusters"]


def test_every_line_names_its_person_also_when_the_account_is_gone(world: World) -> None:
    stop(world, world.client("staff"))
    event = Event.objects.latest("pk")
    assert event.actor_name == world.people["staff"].email
    assert event.reason == "because"
