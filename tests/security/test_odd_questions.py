"""Numbers that no year has in the lists of the console, and one shape for what the JSON interface refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import DateField
from django.test import Client
from django.urls import reverse

from tests.factories import LabFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
ODD = ["99999999999", "99999", "0", "-1", "9" * 400, "x", "٣"]


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(UserFactory(is_superuser=True))
    return client


def test_no_number_in_a_lookup_of_a_date_is_an_error_of_ours(root: Client) -> None:
    LabFactory()
    asked = 0
    for model in admin.site._registry:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for field in (field for field in model._meta.get_fields() if isinstance(field, DateField)):
            for part in ("year", "month", "day"):
                for value in ODD:
                    answer = root.get(page, {f"{field.name}__{part}": value})
                    assert answer.status_code in (302, 400, 403, 404), (page, field.name, part, value)
                    asked += 1
    assert asked


def test_a_year_is_still_a_filter() -> None:
    from labs.admin.scoped import _is_part_of_time

    assert _is_part_of_time("2026")
    assert _is_part_of_time("12")
    assert not any(map(_is_part_of_time, ODD))


def test_whatever_the_interface_refuses_has_one_shape() -> None:
    member = MembershipFactory()
    client = Client()
    client.force_login(member.user)

    def post(path: str, body: Any, kind: str = "application/json") -> Any:
        text = body if isinstance(body, str) else json.dumps(body)
        return client.post(f"/api/{path}", text, content_type=kind)

    slug = member.instance.slug
    answers = {
        "nothing": post("labs/", {}),
        "no JSON": post("labs/", "{"),
        "another kind": post("labs/", "x", "text/plain"),
        "wrong values": post("labs/", {"instance": slug, "service": "jupyterlab", "values": {"cpu": "x"}}),
        "not there": client.get("/api/labs/00000000-0000-0000-0000-000000000000/"),
        "no such page": client.get("/api/labs/?page=99999999999"),
        "another method": client.delete("/api/labs/"),
        "not signed in": Client().get("/api/labs/"),
    }
    for name, answer in answers.items():
        assert 400 <= answer.status_code < 500, name
        told = answer.json()
        amounts = {"field", "unit", "limit", "used", "asked"}
        assert set(told) == {"message", "code", "errors", "suggestion"} | amounts, (name, told)
        assert told["message"], name
        assert told["code"], name
        assert all(isinstance(value, str) for value in told["errors"].values()), (name, told)
    assert answers["nothing"].json()["errors"]["instance"] == "This field is required."
