"""A sceptical owner at the console: crafted addresses and forms reach nothing of other instances, and rewrite no history."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Role, Status
from labs.models import Event, Lab, Quota, State
from tests.factories import LabFactory, MembershipFactory

from .conftest import World, form_data

pytestmark = pytest.mark.slow

LISTS = ("accounts_membership", "labs_lab", "labs_quota", "labs_instance", "labs_event")
RUNNERS = ("staff", "owner")


def shown(client: Client, page: str, asked: dict[str, Any]) -> tuple[int, str]:
    response = client.get(reverse(f"admin:{page}_changelist"), asked, follow=True)
    return response.status_code, response.content.decode()


@pytest.mark.parametrize("role", RUNNERS)
@pytest.mark.parametrize("page", LISTS)
def test_no_crafted_lookup_shows_what_is_not_ones_own(world: World, page: str, role: str) -> None:
    """What a link of ours may carry is scoped; all other lookups are refused."""
    client, theirs = world.client(role), world.theirs
    for asked in (
        {"instance__id__exact": theirs.instance.pk}, {"user__id__exact": theirs.member.user_id},
        {"owner__id__exact": theirs.member.user_id}, {"workload__id__exact": str(theirs.lab.pk)},
        {"instance__memberships__user__email__startswith": "person"}, {"instance__id__in": f"{theirs.instance.pk}"},
        {"instance__id__gte": "0"}, {"pk__in": f"{theirs.member.pk}"}, {"id__exact": theirs.member.pk},
        {"user__memberships__instance__title": "Theirs"}, {"at__year": "2020"}, {"at__year": "x"}, {"created_at__year": "x"},
        {"which": "' OR 1=1 --"}, {"about": "limits'"}, {"o": "9.9"}, {"o": "x"}, {"p": "999"}, {"p": "x"}, {"all": ""},
        {"_popup": "1"}, {"_to_field": "id"}, {"_to_field": "password_hash", "_popup": "1"}, {"e": "1"}, {"q": "Theirs"},
    ):  # fmt: skip
        status, text = shown(client, page, asked)
        assert status in (200, 400), asked
        assert "Theirs " not in text, asked


@pytest.mark.parametrize("page", ["labs_event", "labs_lab"])
def test_the_days_that_are_offered_are_those_of_ones_own_rows(world: World, page: str) -> None:
    """A year in which only others did something is not in the list of years."""
    world.theirs.lab.created_at = world.theirs.lab.created_at.replace(year=2001)
    world.theirs.lab.save()
    Event._base_manager.create(at=world.theirs.lab.created_at, actor_name="x", subject="Theirs", instance=world.theirs.instance,
                               verb="launched")  # fmt: skip
    status, text = shown(world.client("owner"), page, {"which": "all"} if page == "labs_lab" else {})
    assert status == 200
    assert "2001" not in text


@pytest.mark.parametrize("role", RUNNERS)
def test_no_autocomplete_of_any_form_names_people_of_others(world: World, role: str) -> None:
    client = world.client(role)
    for model in [*admin.site._registry, Lab, Event]:
        for field in model._meta.get_fields():
            if not isinstance(field, models.ForeignKey | models.ManyToManyField):
                continue
            query = {"app_label": model._meta.app_label, "model_name": model._meta.model_name, "field_name": field.name}
            for term in ("", "Theirs", "person"):
                answer = client.get(reverse("admin:autocomplete"), query | {"term": term})
                assert answer.status_code in (200, 403), query
                assert "Theirs" not in answer.content.decode(), query


@pytest.mark.parametrize("extra", ["_popup=1", "_to_field=id", "_to_field=slug&_popup=1", "_changelist_filters=x"])
@pytest.mark.parametrize("page", LISTS)
def test_a_window_of_its_own_opens_no_form_of_others(world: World, page: str, extra: str) -> None:
    rows: dict[str, Any] = {
        "accounts_membership": world.theirs.member, "labs_lab": world.theirs.lab, "labs_quota": world.theirs.default,
        "labs_instance": world.theirs.instance, "labs_event": world.theirs.event,
    }  # fmt: skip
    url = reverse(f"admin:{page}_change", args=[rows[page].pk])
    assert world.client("owner").get(f"{url}?{extra}").status_code in (400, 404)
    assert world.client("owner").post(f"{url}?{extra}", {"_popup": "1"}).status_code in (400, 404)


ACTIONS = {
    "accounts_membership": [f"{name}_selected" for name in ("approve", "deny", "suspend", "reinstate", "remove")],
    "labs_lab": ["stop_selected"],
}


@pytest.mark.parametrize("role", RUNNERS)
@pytest.mark.parametrize(("page", "action"), [(page, action) for page, names in ACTIONS.items() for action in names])
def test_an_action_on_keys_of_others_does_nothing(world: World, page: str, action: str, role: str) -> None:
    """By the boxes, by the one field of the confirmation page, and by "select all"."""
    theirs = world.theirs
    denied = MembershipFactory(instance=theirs.instance, status=Status.SUSPENDED)
    keys = [str(row.pk) for row in ((theirs.lab,) if page == "labs_lab" else (theirs.member, theirs.request, denied))]
    before = list(Membership.objects.filter(instance=theirs.instance).order_by("pk").values_list("pk", "status"))
    client, url = world.client(role), reverse(f"admin:{page}_changelist") + ("?which=all" if page == "labs_lab" else "")
    for data in (
        {"_selected_action": keys}, {"keys": ",".join(keys)}, {"keys": ",".join(keys), "_selected_action": keys},
        {"_selected_action": keys, "select_across": "1"},
    ):  # fmt: skip
        assert client.post(url, {"action": action, "confirmed": "yes", **data}).status_code in (200, 302)
    theirs.lab.refresh_from_db()
    assert theirs.lab.state == State.RUNNING
    assert (
        list(Membership.objects.filter(instance=theirs.instance).order_by("pk").values_list("pk", "status")) == before
    )


@pytest.mark.parametrize("value", ["x", "1,x", "1;DROP", "-1", "9" * 30])
def test_keys_that_are_none_are_a_bad_request_or_find_nothing(world: World, value: str) -> None:
    data = {"action": "approve_selected", "confirmed": "yes", "keys": value}
    assert world.client("owner").post(reverse("admin:accounts_membership_changelist"), data).status_code in (
        200,
        302,
        400,
    )


@pytest.mark.parametrize("action", ["delete_selected", "export_admin_action", "__class__", "stop_selected"])
def test_an_action_that_is_not_offered_is_not_carried_out(world: World, action: str) -> None:
    data = {"action": action, "_selected_action": [world.mine.event.pk], "post": "yes", "confirmed": "yes"}
    for page in ("labs_event", "labs_quota", "labs_instance"):
        world.client("administrator").post(reverse(f"admin:{page}_changelist"), data)
    assert Event.objects.filter(pk=world.mine.event.pk).exists()
    assert Quota.objects.filter(pk=world.mine.default.pk).exists()


@pytest.mark.parametrize("role", ["staff", "owner", "administrator"])
def test_history_is_written_by_no_form(world: World, role: str) -> None:
    """Neither a new line, nor a change, nor a deletion, in any form that a browser could send."""
    client, event, count = world.client(role), world.mine.event, Event.objects.count()
    told = Event.objects.filter(pk=event.pk).values().get()
    data = {"actor_name": "x", "subject": "x", "verb": "ended", "reason": "forged", "_save": "Save", "post": "yes"}
    for name, key in (("add", []), ("change", [event.pk]), ("delete", [event.pk])):
        assert client.post(reverse(f"admin:labs_event_{name}", args=key), data).status_code == 403
    client.post(reverse("admin:labs_event_changelist"), {**data, "form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1",
                                                         "form-0-id": event.pk, "form-0-reason": "forged"})  # fmt: skip
    assert Event.objects.filter(pk=event.pk).values().get() == told
    assert Event.objects.count() == count


@pytest.mark.parametrize("page", ["accounts_membership", "labs_lab", "labs_quota", "labs_instance"])
def test_the_history_of_a_row_is_the_sites_own(world: World, page: str) -> None:
    rows: dict[str, Any] = {
        "accounts_membership": world.mine.member, "labs_lab": world.mine.lab, "labs_quota": world.mine.default,
        "labs_instance": world.mine.instance,
    }  # fmt: skip
    response = world.client("owner").get(reverse(f"admin:{page}_history", args=[rows[page].pk]), follow=True)
    assert response.status_code == 200
    assert response.redirect_chain[0][0].startswith(reverse("admin:labs_event_changelist"))


def test_the_page_of_a_row_shows_its_history_and_no_other(world: World) -> None:
    from tests.factories import EventFactory

    EventFactory(
        instance=world.mine.instance, user=world.mine.member.user, verb="access-approved", reason="welcome to it"
    )
    EventFactory(
        instance=world.mine.instance, user=world.mine.request.user, verb="access-denied", reason="somebody else"
    )
    EventFactory(instance=world.theirs.instance, user=world.mine.member.user, verb="access-denied", reason="elsewhere")
    client = world.client("owner")
    text = client.get(reverse("admin:accounts_membership_change", args=[world.mine.member.pk])).content.decode()
    assert "welcome to it" in text
    assert "somebody else" not in text
    assert "elsewhere" not in text
    text = client.get(reverse("admin:labs_instance_change", args=[world.mine.instance.pk])).content.decode()
    assert "welcome to it" in text
    assert "somebody else" in text
    assert "elsewhere" not in text


def test_a_limit_of_others_is_not_pulled_over_by_its_fields(world: World) -> None:
    """The instance, the person and the scope of a limit stay what they were."""
    row = world.mine.default
    client, url = world.client("owner"), reverse("admin:labs_quota_change", args=[row.pk])
    client.post(url, form_data(client, url) | {
        "instance": world.theirs.instance.pk, "scope": "instance", "user": world.theirs.member.user_id, "id": world.theirs.default.pk,
    })  # fmt: skip
    again = Quota.objects.get(pk=row.pk)
    assert (again.instance, again.scope, again.user) == (world.mine.instance, "member", None)
    assert Quota.objects.get(pk=world.theirs.default.pk).cpu_millis == 4000


def test_200_labs_are_stopped_at_once_in_as_many_queries_as_2(world: World) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def stop(count: int) -> int:
        labs = [LabFactory(instance=world.mine.instance, owner=world.mine.member.user, template=world.template, state=State.RUNNING)
                for _ in range(count)]  # fmt: skip
        data = {"action": "stop_selected", "_selected_action": [lab.pk for lab in labs]}
        client, url = world.client("owner"), reverse("admin:labs_lab_changelist")
        hidden = client.post(url, data).context["question"].hidden
        assert len(hidden) < 10
        with CaptureQueriesContext(connection) as captured:
            assert client.post(url, dict(hidden)).status_code == 302
        assert Lab.objects.filter(pk__in=[lab.pk for lab in labs], state=State.STOPPING).count() == count
        return len(captured)

    # SQLite takes 999 values in a statement: the 200 lines of the history are written in three.
    few = stop(2)
    assert stop(200) <= few + 2


def test_more_rows_than_a_form_may_have_fields_are_decided_at_once(world: World) -> None:
    """Django refuses forms of more than a thousand fields; a course may have more requests than that."""
    people = MembershipFactory.create_batch(4, instance=world.mine.instance, status=Status.REQUESTED, role=Role.MEMBER)
    keys = ",".join([str(row.pk) for row in people] + [str(10**6 + number) for number in range(1500)])
    data = {"action": "approve_selected", "confirmed": "yes", "keys": keys}
    assert world.client("owner").post(reverse("admin:accounts_membership_changelist"), data).status_code == 302
    assert Membership.objects.filter(pk__in=[row.pk for row in people], status=Status.APPROVED).count() == 4


@pytest.mark.parametrize("role", RUNNERS)
def test_nothing_of_the_queue_is_to_be_seen(world: World, role: str) -> None:
    client = world.client(role)
    for page in ("index", *(f"{name}_changelist" for name in LISTS)):
        text = client.get(reverse(f"admin:{page}")).content.decode()
        assert "django_q" not in text
        assert "ormq" not in text
