"""What goes beyond a limit: its sentence for the person, for the staff about a person, and its fields for programs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from k8s.resources import RESOURCES
from labs.errors import OverLimit, Refusal
from labs.models import Lab
from labs.services.refusals import NO_NAME, out_of_range, over, to_staff
from tests.factories import InstanceFactory

pytestmark = pytest.mark.django_db
CPU = {"field": "cpu_millis", "limit": 32_000, "used": 30_000, "asked": 4000}
RUNNING = {"field": "running", "limit": 2, "used": 2, "asked": 1}
#: Code and amounts, with the sentence for the person and for the staff.
TOLD: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "over-limit", CPU, "Your course has used 30 of its 32 CPUs; you asked for 4.",
        "This course has used 30 of its 32 CPUs; it asks for 4.",
    ),
    (
        "over-own-limit", CPU | {"field": "memory_mib", "limit": 4096, "used": 512, "asked": 4096},
        "You have used 0.5 of your 4 GiB of memory; you asked for 4.",
        "They have used 0.5 of their 4 GiB of memory; it asks for 4.",
    ),
    (
        "over-own-limit", RUNNING, "You have 2 of your 2 services running. Stop one, or wait until one ends.",
        "They have 2 of their 2 services running. Stop one, or wait until one ends.",
    ),
    (
        "over-limit", {"field": "lifetime_minutes", "limit": 240, "used": 0, "asked": 480},
        "At most 4 hours here; you asked for 8 hours.", "At most 4 hours here; it asks for 8 hours.",
    ),
    (
        "no-room", CPU,
        "The machines have no room for this at the moment: 30 of their 32 CPUs are taken; you asked for 4.",
        "The machines have no room for this at the moment: 30 of their 32 CPUs are taken; it asks for 4.",
    ),
    (
        "too-large", CPU | {"asked": 64_000}, "No machine is that large: you asked for 64 CPUs, and at most 32 can be had here.",
        "No machine is that large: it asks for 64 CPUs, and at most 32 can be had here.",
    ),
    (
        "own-queue-full", RUNNING | {"field": "queued"}, "You already have 2 labs waiting in Physics, which is the maximum.",
        "They already have 2 labs waiting in Physics, which is the maximum.",
    ),
]  # fmt: skip


def refusal(code: str, amounts: dict[str, Any]) -> OverLimit:
    return over(code, **amounts, instance=InstanceFactory(title="Physics"))


@pytest.mark.parametrize(("code", "amounts", "sentence"), [row[:3] for row in TOLD])
def test_the_person_is_told_of_themselves(code: str, amounts: dict[str, Any], sentence: str) -> None:
    assert refusal(code, amounts).message == sentence


@pytest.mark.parametrize(("code", "amounts", "sentence"), [(*row[:2], row[3]) for row in TOLD])
def test_the_staff_are_told_of_a_person(code: str, amounts: dict[str, Any], sentence: str) -> None:
    assert to_staff(refusal(code, amounts)) == sentence


def test_the_staff_are_told_of_answers_and_names_too() -> None:
    found = {"memory": out_of_range("most", 16_384, "32768", "MiB"), "cpu": out_of_range("most", 8, "12", "cores")}
    errors = {name: str(one) for name, one in found.items()} | {"image": "Image: choose one from the list."}
    assert errors["memory"] == "At most 16384 MiB; you asked for 32768.", "to programs, in the units of the service"
    answers = Refusal("Please look at the marked fields.", code="invalid", errors=errors, ranges=found)
    assert to_staff(answers) == (
        "At most 16 GiB; it asks for 32 GiB. At most 8 cores; it asks for 12. Image: choose one from the list."
    )
    assert to_staff(Refusal("Yours is taken.", code="name", errors={"name": "Yours is taken."})) == NO_NAME
    names = OverLimit("You have …", code="name", field="names", limit=5, used=5, asked=1)
    assert to_staff(names) == "They have used 5 lab names, which is the maximum."
    # Words of the person's own course stay as they are.
    assert to_staff(Refusal("Your Own Lab is over.", code="instance-over")) == "Your Own Lab is over."


def test_each_resource_has_words_for_each_sentence() -> None:
    for resource in RESOURCES:
        told = over("no-room", resource.key, limit=2, used=1, asked=3)
        assert "  " not in told.message
        assert "no limit" not in told.message


def post(world: SimpleNamespace, **values: str) -> Any:
    client = Client()
    client.force_login(world.member)
    asked = {"name": "my-lab", "cpu": "1", "memory": "1024", "lifetime": "60"} | values
    body = {"instance": world.instance.slug, "service": world.template.slug, "values": asked}
    return client.post(reverse("api-labs"), body, content_type="application/json")


def test_a_program_is_told_the_limit_in_fields(world: SimpleNamespace) -> None:
    answer = post(world, cpu="5")
    assert answer.status_code == 400
    told = {name: answer.json()[name] for name in ("code", "field", "unit", "limit", "used", "asked")}
    assert told == {
        "code": "over-own-limit", "field": "cpu_millis", "unit": "millicores", "limit": 4000, "used": 0, "asked": 5000,
    }  # fmt: skip
    assert not Lab.objects.exists()


def test_a_program_is_told_the_longest_lifetime_in_fields(world: SimpleNamespace) -> None:
    told = post(world, lifetime="2880").json()
    assert (told["code"], told["field"], told["unit"], told["asked"]) == (
        "over-limit", "lifetime_minutes", "minutes", 2880,
    )  # fmt: skip
    assert told["errors"].keys() == {"lifetime"}


def test_what_is_no_limit_has_empty_fields(world: SimpleNamespace) -> None:
    told = post(world, name="Not A Name").json()
    assert (told["code"], told["field"], told["unit"]) == ("name", "", "")
    assert (told["limit"], told["used"], told["asked"]) == (None, None, None)
