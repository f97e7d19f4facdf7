"""What stands on the pages of the console, for whom. Who reaches which is in tests/security/matrix_table.py."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.models import Role
from labs.access import RULES
from labs.admin.limits import MemberInline, PersonalInline, WholeInline
from labs.admin.scoped import AdministratorsOnly, Scoped, ScopedAdmin
from labs.models import Instance
from tests.factories import InstanceFactory, MembershipFactory

from .conftest import Side, World

INLINES = {Instance: (WholeInline, MemberInline, PersonalInline)}
MODELS = {
    "labs_instance": lambda side: side.instance,
    "accounts_membership": lambda side: side.member,
    "labs_lab": lambda side: side.lab,
    "labs_quota": lambda side: side.default,
    "labs_event": lambda side: side.event,
}
INSIDE = ("staff", "owner", "administrator")


def link(model: str, page: str, side: Side) -> str:
    return reverse(f"admin:{model}_{page}", args=[MODELS[model](side).pk])


def outcome(response: Any) -> str:
    """What the answer is for the person: in, sign in, refused or missing."""
    if response.status_code == 302 and "/accounts/login/" in response["Location"]:
        return "sign in"
    return {200: "in", 302: "in", 403: "refused", 404: "missing"}[response.status_code]


@pytest.mark.parametrize("role", ["staff", "owner", "other owner", "administrator"])
@pytest.mark.parametrize("model", MODELS)
def test_lists_show_only_what_is_within_reach(world: World, role: str, model: str) -> None:
    response = world.client(role).get(
        reverse(f"admin:{model}_changelist"), {"which": "all"} if model == "labs_lab" else {}
    )
    shown = {str(row.pk) for row in response.context["cl"].result_list}
    sees = {"mine": role in INSIDE, "theirs": role in ("other owner", "administrator")}
    assert (str(MODELS[model](world.mine).pk) in shown) is sees["mine"]
    assert (str(MODELS[model](world.theirs).pk) in shown) is sees["theirs"]


@pytest.mark.parametrize("model", ["labs_event", "labs_lab", "labs_instance", "accounts_membership"])
@pytest.mark.parametrize("role", INSIDE)
def test_nobody_deletes_history_labs_instances_or_memberships(world: World, role: str, model: str) -> None:
    url, row = link(model, "delete", world.mine), MODELS[model](world.mine)
    assert outcome(world.client(role).post(url, {"post": "yes"})) == "refused"
    assert type(row).objects.filter(pk=row.pk).exists()


def test_every_page_of_the_console_is_scoped() -> None:
    for model, page in admin.site._registry.items():
        assert isinstance(page, ScopedAdmin), model
        assert model in RULES or isinstance(page, AdministratorsOnly), model
        for inline in (*page.inlines, *INLINES.get(model, ())):
            assert issubclass(inline, Scoped), inline


def test_pages_that_packages_bring_are_left_out() -> None:
    names = {model._meta.label for model in admin.site._registry}
    assert not {"auth.Group", "account.EmailAddress", "account.EmailConfirmation"} & names


@pytest.mark.parametrize("page", ["labs_lab", "accounts_membership", "labs_quota", "labs_event"])
def test_filters_offer_ones_own_instances_only(world: World, page: str) -> None:
    """With two instances of one's own, so that the filter is shown."""
    second = InstanceFactory(title="My second")
    MembershipFactory(instance=second, role=Role.OWNER, user=world.people["owner"])
    text = world.client("owner").get(reverse(f"admin:{page}_changelist")).content.decode()
    assert "My second" in text
    assert "Theirs" not in text


def test_a_filter_by_a_foreign_instance_finds_nothing_of_it(world: World) -> None:
    url = reverse("admin:labs_lab_changelist")
    response = world.client("owner").get(url, {"instance__id__exact": world.theirs.instance.pk, "which": "all"})
    assert world.theirs.lab not in response.context["cl"].result_list


@pytest.mark.parametrize(
    ("page", "lookup"),
    [
        ("labs_lab", "password_hash__startswith"),
        ("labs_lab", "owner__password__startswith"),
        ("labs_lab", "owner_uid__startswith"),
        ("accounts_membership", "user__password__startswith"),
        ("accounts_membership", "instance__slug__startswith"),
        ("labs_quota", "user__email__startswith"),
        ("labs_event", "actor__password__startswith"),
    ],
)
def test_a_secret_cannot_be_guessed_by_filtering(world: World, page: str, lookup: str) -> None:
    assert world.client("owner").get(reverse(f"admin:{page}_changelist"), {lookup: "a"}).status_code == 400


def test_choices_of_a_new_limit_are_ones_own(world: World) -> None:
    form = world.client("owner").get(reverse("admin:labs_quota_add")).context["adminform"].form
    assert list(form.fields["instance"].queryset) == [world.mine.instance]
    assert world.theirs.member.user not in form.fields["user"].queryset
    assert [value for value, _ in form.fields["scope"].choices if value] == ["member", "person"]


@pytest.mark.parametrize(
    ("role", "wanted"), [("anonymous", 302), ("member", 403), ("owner", 403), ("administrator", 200)]
)
def test_people_are_completed_for_administrators_only(world: World, role: str, wanted: int) -> None:
    query = {"term": "Their", "app_label": "accounts", "model_name": "membership", "field_name": "user"}
    assert world.client(role).get(reverse("admin:autocomplete"), query).status_code == wanted


def test_search_finds_nothing_of_others(world: World) -> None:
    for model in ("labs_lab", "accounts_membership", "labs_event", "labs_quota", "labs_instance"):
        response = world.client("owner").get(reverse(f"admin:{model}_changelist"), {"q": "Theirs", "which": "all"})
        if response.status_code == 200:
            assert list(response.context["cl"].result_list) == [], model


def test_the_overview_tells_of_ones_own_instances_only(world: World) -> None:
    text = world.client("owner").get(reverse("admin:index")).content.decode()
    assert "Mine" in text
    assert "Mine reason" in text
    assert "Theirs" not in text


@pytest.mark.parametrize("role", INSIDE)
def test_no_page_of_a_lab_shows_its_secret(world: World, role: str) -> None:
    client = world.client(role)
    for url in (reverse("admin:labs_lab_changelist"), link("labs_lab", "change", world.mine)):
        assert "argon2" not in client.get(url).content.decode()


@pytest.mark.parametrize("role", INSIDE)
@pytest.mark.parametrize("model", MODELS)
def test_no_page_writes_a_style_that_the_policy_forbids(world: World, role: str, model: str) -> None:
    """Also where a form is only read: the browser would show it without."""
    client = world.client(role)
    for url in (link(model, "change", world.mine), reverse(f"admin:{model}_changelist"), reverse("admin:index")):
        assert not re.search(r"<style|\sstyle=", client.get(url).content.decode()), url


def test_no_redirect_tells_whether_an_object_exists(world: World) -> None:
    """Django's shortcut to an object's page on the site is left out."""
    assert world.client("owner").get("/console/r/1/1/").status_code == 404


def test_sign_in_is_that_of_the_site(world: World) -> None:
    response = world.client("anonymous").get("/console/login/?next=/console/labs/lab/")
    assert response.status_code == 302
    assert response["Location"] == "/accounts/login/?next=/console/labs/lab/"


def test_sign_out_is_by_post(world: World) -> None:
    client = world.client("owner")
    client.get("/console/logout/")
    assert client.get("/console/").status_code == 200
    client.post("/console/logout/")
    assert outcome(client.get("/console/")) == "sign in"


def test_the_policy_of_the_console_is_its_own_and_tight(world: World) -> None:
    client = world.client("owner")
    policy = client.get(reverse("admin:index"))["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["script-src"] == "'self' 'unsafe-eval'"
    assert directives["style-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in client.get("/accounts/login/").headers.get("Content-Security-Policy", "")
