"""What nobody types: null characters, surrogates, numbers beyond all numbers, keys that are none. Refused, never a fault of the site."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Status, User
from labs.models import Event, Lab
from tests.console.conftest import World, form_data
from tests.factories import ClusterFactory, UserFactory

BAD = [
    "\0",
    "a\0b",
    "-1",
    "NaN",
    "1e400",
    "Infinity",
    "1 Gi",
    "9" * 400,
    "\n",
    "1_000",
    "٣",
    "[]",
    "%s%n",
    "\u202e\uffff",
]
GOOD = {"name": "fine", "cpu": "1", "memory": "1024", "lifetime": "60"}


@pytest.fixture
def stranger(db: Any) -> Client:
    client = Client()
    client.force_login(UserFactory(), backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def launch(client: Client, world: World, body: Any) -> Any:
    sent = body if isinstance(body, str) else json.dumps({"instance": world.mine.instance.slug, **body})
    return client.post("/api/labs/", sent, content_type="application/json")


def test_a_null_character_is_refused_before_it_reaches_the_data_base(world: World, stranger: Client) -> None:
    """PostgreSQL stores none: without the check, each of these is a fault of the site there."""
    lab, request = world.mine.lab, world.mine.request
    owner = world.client("owner")
    for client, url, field in (
        (stranger, reverse("request-access", args=[world.mine.instance.slug]), "reason"),
        (owner, reverse("admin:accounts_membership_deny", args=[request.pk]), "word"),
        (owner, reverse("admin:labs_lab_stop", args=[lab.pk]), "word"),
    ):
        assert client.post(url, {field: "a\0b"}).status_code == 400, url
    request.refresh_from_db()
    assert request.status == Status.REQUESTED
    assert Membership.objects.filter(instance=world.mine.instance).count() == 5
    assert owner.get(reverse("admin:labs_event_changelist"), {"verb__exact": "\0"}).status_code == 400


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("field", ["cpu", "memory", "gpu", "lifetime", "name", "repository", "image"])
def test_a_launch_with_it_is_refused_with_a_sentence(world: World, field: str, bad: str) -> None:
    values = {"name": "fine", "cpu": "1", "memory": "1", "lifetime": "1", "lifetime_unit": "hours", field: bad}
    before = Lab.objects.count()
    answer = world.client("member").post(f"/i/{world.mine.instance.slug}/launch/jupyterlab/", values)
    # A number in other digits is a number, and an empty line is nothing.
    assert answer.status_code == 400 or bad in ("٣", "\n")
    assert Lab.objects.count() == before + (answer.status_code == 302)


@pytest.mark.parametrize(
    "values",
    [{**GOOD, "cpu": "1e400"}, {**GOOD, "memory": "NaN"}, {**GOOD, "\ud800": "1"}, {**GOOD, "x" * 10_000: "1"},
     {**GOOD, "password": "\ud800" * 9}, {**GOOD, "cpu": -1}, {**GOOD, "lifetime": 10**30}, {**GOOD, "cpu": [1]}],
)  # fmt: skip
def test_the_json_interface_refuses_it_too(world: World, values: dict[str, Any]) -> None:
    answer = launch(world.client("member"), world, {"values": values})
    assert answer.status_code == 400
    assert len(answer.content) < 1000
    assert Lab.objects.filter(name="fine").count() == 0


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"minutes": NaN}', "{", "[]", "null", '{"minutes": ' + "9" * 5000 + "}"]
)
def test_json_that_is_none_is_refused(world: World, body: str) -> None:
    client = world.client("member")
    for url in ("/api/labs/", f"/api/labs/{world.mine.lab.pk}/extend/"):
        assert client.post(url, body, content_type="application/json").status_code == 400


def test_the_json_interface_takes_json_alone(world: World) -> None:
    """A form of another site is sent without a question to the browser's owner; JSON is not."""
    url = f"/api/labs/{world.mine.lab.pk}/extend/"
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        answer = world.client("member").post(url, '{"minutes": 5}', content_type=kind)
        assert answer.status_code in (400, 415)
    assert Lab.objects.get(pk=world.mine.lab.pk).lifetime_minutes == world.mine.lab.lifetime_minutes


@pytest.mark.parametrize("key", ["x", "\0", "1e400", "9" * 400, "' OR 1=1--"])
@pytest.mark.parametrize(("model", "action"), [("accounts_membership", "deny_selected"), ("labs_lab", "stop_selected")])
def test_a_bulk_action_on_a_key_that_is_none_does_nothing(world: World, model: str, action: str, key: str) -> None:
    before = Event.objects.count()
    data = {"action": action, "_selected_action": key, "confirmed": "yes"}
    answer = world.client("owner").post(reverse(f"admin:{model}_changelist"), data)
    assert answer.status_code in (302, 400)
    assert Event.objects.count() == before


#: One line of the GPU models in the cluster's form, as a browser sends it.
GPU_LINE = {"gpu_models-lines": "1", "gpu_models-0-name": "a100"}


@pytest.mark.parametrize(
    ("field", "sent"),
    [("gpu_models", {"gpu_models-lines": "1", "gpu_models-0-title": "x"}),
     ("gpu_models", {**GPU_LINE, "gpu_models-0-count": "many"}), ("gpu_models", {**GPU_LINE, "gpu_models-0-memory_gib": "NaN"}),
     ("gpu_models", {**GPU_LINE, "gpu_models-0-count": "1e400"}), ("gpu_models", {**GPU_LINE, "gpu_models-0-node_labels": "x"}),
     *(("ingress_annotations", {"ingress_annotations": text}) for text in (
         "[]", "NaN", '{"a": "b"}', '{"nginx.ingress.kubernetes.io/server-snippet": "return 200;"}',
         '{"nginx.ingress.kubernetes.io/proxy-read-timeout": "1; }\\nserver { listen 80;"}'))],
)  # fmt: skip
def test_a_cluster_whose_json_has_another_form_is_not_saved(world: World, field: str, sent: dict[str, str]) -> None:
    """Every member's launch form reads it."""
    cluster, client = ClusterFactory(), world.client("administrator")
    url = reverse("admin:labs_cluster_change", args=[cluster.pk])
    answer = client.post(url, {**form_data(client, url), **sent})
    assert answer.status_code == 200
    assert field in answer.context["adminform"].form.errors


def test_a_search_full_of_signs_finds_nothing_and_breaks_nothing(world: World) -> None:
    client = world.client("owner")
    for model in ("labs_lab", "accounts_membership", "labs_event", "labs_quota", "labs_instance"):
        for bad in ("%", "_", "'", '"', "\\", "(", "é" * 2000):
            assert client.get(reverse(f"admin:{model}_changelist"), {"q": bad}).status_code in (200, 302)


@pytest.mark.parametrize("bad", ["Ada\r\nBcc: x@example.org", "Ada\x1b[2J", "Ada \u202erenwO", "Ada\u2028x"])
def test_a_name_is_one_line_that_reads_as_it_is_written(world: World, bad: str) -> None:
    """Owners decide by it, and mails carry it."""
    for field in ("name", "affiliation"):
        answer = world.client("member").post("/profile/", {"name": "Ada", "affiliation": "", field: bad})
        assert answer.status_code == 400
    sent = {
        "email": "new@example.org",
        "password1": "a-long-pass-phrase",
        "password2": "a-long-pass-phrase",
        "name": bad,
    }
    assert Client().post("/accounts/signup/", sent).status_code == 200
    assert not User.objects.filter(email="new@example.org").exists()
