"""The pages of the site itself: health, errors, colours, and the JSON interface."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.template.loader import render_to_string
from django.test import Client, RequestFactory

from accounts.models import User
from labs.colours import DARK_GROUND, LIGHT_GROUND, contrast, ink_on, readable_on
from labs.models import Lab, State
from tests.factories import PASSWORD, LabFactory, UserFactory

SignIn = Callable[[User], Client]


def test_health_is_the_data_bases(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "database": "ok"}

    def broken(*args: Any) -> None:
        raise DatabaseError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("mlsite.views.connection.cursor", broken)
        assert client.get("/healthz").status_code == 503


def test_a_page_that_is_not_there_is_answered_in_our_own_words(client: Client, db: None) -> None:
    answer = client.get("/nothing/here/")
    assert answer.status_code == 404
    assert "Page not found" in answer.text


def test_an_error_of_ours_is_told_without_the_data_base(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("a detail")

    monkeypatch.setattr("mlsite.views.render", broken)
    client.raise_request_exception = False
    answer = client.get("/about/")
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert "a detail" not in answer.text


def test_a_form_without_its_token_is_refused_in_words(db: None) -> None:
    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", {})
    assert answer.status_code == 403
    assert "has expired" in answer.text


def test_signing_in_and_out(client: Client, db: None) -> None:
    user = UserFactory()
    answer = client.post("/accounts/login/", {"login": user.email.upper(), "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "Sign out" in client.get("/accounts/logout/").text
    assert client.get("/labs/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/labs/").status_code == 302


def test_signing_in_speaks_as_the_rest_of_the_site(db: None) -> None:
    text = Client().get("/accounts/login/").text
    assert "Remember me" in text
    assert "Remember Me" not in text


def test_a_new_person_makes_an_account_with_a_name(client: Client, db: None) -> None:
    word = "a-very-long-password"
    answer = client.post("/accounts/signup/", {
        "email": "Nico@Example.org", "password1": word, "password2": word, "name": "Nico New", "affiliation": "Lab 3",
    })  # fmt: skip
    assert answer.status_code == 302
    user = User.objects.get()
    assert (user.email, user.name, user.affiliation) == ("nico@example.org", "Nico New", "Lab 3")


@pytest.mark.parametrize(
    "accent", ["#3454d1", "#ffff00", "#000000", "#ffffff", "#0f766e", "#808080", "#757575", "#ff0000"]
)
def test_any_accent_can_be_read_on_both_themes(accent: str) -> None:
    assert contrast(accent, ink_on(accent)) >= 4.5
    for ground in (LIGHT_GROUND, DARK_GROUND):
        colour = readable_on(accent, ground)
        assert contrast(colour, ground) >= 4.5
        assert contrast(colour, ink_on(colour)) >= 4.5


def test_an_instances_colours_are_a_style_sheet_of_its_own(client: Client, world: SimpleNamespace) -> None:
    world.instance.accent = "#ffee00"
    world.instance.save()
    answer = client.get("/i/physics/theme.css")
    assert answer["Content-Type"] == "text/css; charset=utf-8"
    assert "max-age=86400" in answer["Cache-Control"]
    assert "--mark: #ffee00; --mark-ink: #000000" in answer.text
    assert "/i/physics/theme.css?v=ffee00" in client.get("/i/physics/").text


# The JSON interface ----------------------------------------------------------------------------------------------------


def api(signed_in: SignIn, user: User) -> Any:
    client = signed_in(user)
    return lambda path, data: client.post(f"/api/{path}", data, content_type="application/json")


VALUES = {"name": "from-afar", "cpu": "1", "memory": "1024", "lifetime": "60", "password": "a secret word"}


def test_the_interface_launches_by_the_same_service(world: SimpleNamespace, signed_in: SignIn) -> None:
    answer = api(signed_in, world.member)("labs/", {"instance": "physics", "values": VALUES})
    assert answer.status_code == 201
    assert answer.json()["address"] is None
    assert "secret" not in answer.text
    assert Lab.objects.get().password_hash


def test_a_refusal_is_the_services_own_words(world: SimpleNamespace, signed_in: SignIn) -> None:
    LabFactory(instance=world.instance, name="from-afar")
    answer = api(signed_in, world.member)("labs/", {"instance": "physics", "values": VALUES})
    assert answer.status_code == 400
    assert answer.json() == {
        "message": "The name “from-afar” is taken. Please choose another.",
        "code": "name",
        "errors": {"name": "The name “from-afar” is taken. Please choose another."},
        "suggestion": "from-afar-2",
        "field": "",
        "unit": "",
        "limit": None,
        "used": None,
        "asked": None,
    }


def test_the_interface_extends_and_stops(world: SimpleNamespace, signed_in: SignIn) -> None:
    lab = LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING, lifetime_minutes=60)
    send = api(signed_in, world.member)
    assert send(f"labs/{lab.pk}/extend/", {"minutes": 30}).json()["lifetime_minutes"] == 90
    assert send(f"labs/{lab.pk}/extend/", {"minutes": 99999}).status_code == 400
    assert send(f"labs/{lab.pk}/stop/", {}).json() == {"stopped": True}
    assert send(f"labs/{lab.pk}/stop/", {}).json() == {"stopped": False}


def test_the_interface_shows_ones_own_and_those_one_helps_to_run(world: SimpleNamespace, signed_in: SignIn) -> None:
    lab = LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING)
    for who, count, status in (("member", 1, 200), ("staff", 1, 200), ("stranger", 0, 404)):
        client = signed_in(getattr(world, who))
        assert client.get("/api/labs/").json()["count"] == count
        assert client.get(f"/api/labs/{lab.pk}/").status_code == status
        assert client.get("/api/instances/").status_code == 200
    assert api(signed_in, world.stranger)(f"labs/{lab.pk}/stop/", {}).status_code == 404
    assert Client().get("/api/labs/").status_code == 403


def test_the_interface_describes_itself(world: SimpleNamespace, signed_in: SignIn) -> None:
    answer = signed_in(world.member).get("/api/schema/")
    assert answer.status_code == 200
    assert "/api/labs/{id}/extend/" in answer.text


def test_labels_are_small_and_of_one_spelling(client: Client, world: SimpleNamespace, signed_in: SignIn) -> None:
    pages = [client.get("/accounts/login/"), client.get("/accounts/signup/")]
    pages.append(signed_in(world.member).get("/accounts/password/change/"))
    labels = [re.sub("<[^>]*>", "", label).strip() for page in pages for label in re.findall("<label.*?</label>", page.text)]  # fmt: skip
    assert {"E-mail", "Remember me", "Current password", "New password"} <= set(labels)
    assert not [label for label in labels if re.search(r"\w [A-Z][a-z]", label) or label == "Email"]


def test_who_is_not_signed_in_is_not_told_otherwise(world: SimpleNamespace) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    assert "Your account does not have permission" not in render_to_string("403.html", request=request)
    request.user = world.member
    assert "Your account does not have permission" in render_to_string("403.html", request=request)


def test_a_line_of_django_is_written_once_and_none_for_a_refused_form() -> None:
    chain = [logging.getLogger(name) for name in ("django.request", "django", None)]
    writers = [handler for logger in chain for handler in logger.handlers if type(handler) is logging.StreamHandler]
    assert len(writers) == 1
    for status, is_written in ((400, False), (403, True), (500, True)):
        record = logging.makeLogRecord({"name": "django.request", "status_code": status, "msg": "said"})
        assert bool(writers[0].filter(record)) is is_written
