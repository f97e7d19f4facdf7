"""Pages that are open while their person is signed out, or signs in again in another tab."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from labs.models import State
from tests.factories import LabFactory

pytestmark = pytest.mark.django_db


def test_no_part_of_a_page_is_the_sign_in_page(world: SimpleNamespace) -> None:
    lab = LabFactory(instance=world.instance, owner=world.member, state=State.STARTING)
    for path in (f"/labs/{lab.pk}/live/", "/labs/changes/", world.launch + "limits/", world.launch + "name/"):
        answer = Client().get(path, headers={"HX-Request": "true"})
        assert (answer.status_code, answer.content) == (401, b""), path
        assert Client().get(path).status_code == 302, path
    answer = Client().post(f"/labs/{lab.pk}/token/", headers={"HX-Request": "true"})
    assert answer.status_code == 401


def test_who_was_signed_out_comes_back_to_the_form_with_what_they_typed(world: SimpleNamespace) -> None:
    answer = Client().post(world.launch, {"name": "typed"})
    assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={world.launch}%3Fagain%3D1")


def test_every_page_of_a_person_can_tell_it(world: SimpleNamespace, signed_in: Any) -> None:
    assert 'id="signed-out"' in signed_in(world.member).get("/labs/").text
