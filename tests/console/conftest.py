"""Two instances with people in every role, and one object of each kind in both."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from accounts.models import Membership, Role, Status, User
from labs.models import Event, Instance, Lab, Quota, Scope, ServiceTemplate, State
from tests.factories import (
    EventFactory,
    InstanceFactory,
    LabFactory,
    MembershipFactory,
    QuotaFactory,
    TemplateFactory,
    UserFactory,
)


@dataclass
class Side:
    """One instance, and what belongs to it."""

    instance: Instance
    owner: User
    member: Membership
    request: Membership
    lab: Lab
    whole: Quota
    default: Quota
    personal: Quota
    event: Event


@dataclass
class World:
    mine: Side
    theirs: Side
    people: dict[str, User]
    template: ServiceTemplate

    def client(self, role: str) -> Client:
        """A browser of the person with this role; not signed in for `anonymous`."""
        client = Client()
        if role != "anonymous":
            client.force_login(self.people[role], backend="allauth.account.auth_backends.AuthenticationBackend")
        return client


def make_side(title: str, template: ServiceTemplate) -> Side:
    instance = InstanceFactory(title=title, services=[template])
    owner = MembershipFactory(instance=instance, role=Role.OWNER, user__name=f"{title} Owner").user
    member = MembershipFactory(instance=instance, user__name=f"{title} Member")
    request = MembershipFactory(
        instance=instance, status=Status.REQUESTED, reason=f"{title} reason", user__name=f"{title} Asker"
    )
    lab = LabFactory(instance=instance, owner=member.user, template=template, state=State.RUNNING, name=f"{instance.slug}-lab",
                     password_hash="argon2:$argon2id$v=19$secretsecret")  # fmt: skip
    return Side(
        instance=instance,
        owner=owner,
        member=member,
        request=request,
        lab=lab,
        whole=QuotaFactory(instance=instance, scope=Scope.INSTANCE, cpu_millis=32_000, memory_mib=65_536, running=20),
        default=QuotaFactory(instance=instance, scope=Scope.MEMBER, cpu_millis=4_000, lifetime_minutes=1440),
        personal=QuotaFactory(instance=instance, scope=Scope.PERSON, user=member.user, cpu_millis=8_000),
        event=EventFactory(instance=instance, actor=owner, subject=f"{title} subject"),
    )


@pytest.fixture(scope="module")
def world_of_module(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any
) -> Iterator[World | None]:
    """Made once for all tests of a file, each of which undoes what it changed; None where tests have real transactions."""
    if any(mark.kwargs.get("transaction") for mark in request.node.iter_markers("django_db")):
        yield None
        return
    with django_db_blocker.unblock(), transaction.atomic():
        yield make_world()
        transaction.set_rollback(True)


@pytest.fixture
def world(world_of_module: World | None, db: None) -> World:
    """The test's own copy, with which it may do what it likes."""
    return copy.deepcopy(world_of_module) if world_of_module else make_world()


def make_world() -> World:
    template = TemplateFactory()
    mine, theirs = make_side("Mine", template), make_side("Theirs", template)
    staff = MembershipFactory(instance=mine.instance, role=Role.STAFF, user__name="Stefan Staff").user
    suspended = MembershipFactory(instance=mine.instance, role=Role.OWNER, status=Status.SUSPENDED).user
    return World(
        mine=mine,
        theirs=theirs,
        template=template,
        people={
            "member": mine.member.user,
            "staff": staff,
            "owner": mine.owner,
            "other owner": theirs.owner,
            "suspended": suspended,
            "administrator": UserFactory(is_superuser=True, name="Ada Administrator"),
        },
    )


def form_data(client: Client, url: str) -> dict[str, str]:
    """What the browser would send back of the page's form, unchanged."""
    response = client.get(url)
    assert response.status_code == 200, response.status_code
    form = response.context["adminform"].form
    data = {bound.html_name: bound.value() for bound in form}
    for inline in response.context["inline_admin_formsets"]:
        formset = inline.formset
        data |= {bound.html_name: bound.value() for bound in formset.management_form}
        for row in formset.forms:
            data |= {bound.html_name: bound.value() for bound in row}
    return {name: _sent(value) for name, value in data.items() if value is not None and value is not False}


def _sent(value: Any) -> Any:
    if value is True:
        return "on"
    if isinstance(value, list):
        return [getattr(item, "pk", item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
