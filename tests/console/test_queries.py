"""The number of queries of a page does not depend on the number of rows."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role, Status
from labs.models import EndReason, Scope, State
from tests.factories import EventFactory, InstanceFactory, LabFactory, MembershipFactory, QuotaFactory

from .conftest import World

MANY = 200
LISTS = (
    "index",
    "accounts_membership_changelist",
    "labs_lab_changelist",
    "labs_quota_changelist",
    "labs_instance_changelist",
    "labs_event_changelist",
)


def add_rows(world: World, count: int) -> None:
    """More of everything, in the owner's own instance, and instances besides."""
    for index in range(count):
        member = MembershipFactory(instance=world.mine.instance)
        MembershipFactory(instance=world.mine.instance, status=Status.REQUESTED)
        QuotaFactory(instance=world.mine.instance, scope=Scope.PERSON, user=member.user, cpu_millis=1000 + index)
        LabFactory(instance=world.mine.instance, owner=member.user, template=world.template, state=State.RUNNING)
        LabFactory(
            instance=world.mine.instance, template=world.template, state=State.ENDED, end_reason=EndReason.FAILED
        )
        EventFactory(instance=world.mine.instance, user=member.user, workload=world.mine.lab)
        instance = InstanceFactory(services=[world.template])
        MembershipFactory(instance=instance, role=Role.OWNER, user=world.people["owner"])
        QuotaFactory(instance=instance, scope=Scope.INSTANCE, cpu_millis=1000)


def queries(client: Any, url: str) -> int:
    client.get(url)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_200_rows_take_as_many_queries_as_2(world: World) -> None:
    """Every list, the overview, and the pages of one instance and one lab; for an owner and for a site administrator."""
    urls = [reverse(f"admin:{page}") for page in LISTS]
    urls.append(reverse("admin:labs_instance_change", args=[world.mine.instance.pk]))
    urls.append(reverse("admin:labs_lab_change", args=[world.mine.lab.pk]))
    pages = [(role, url) for role in ("owner", "administrator") for url in urls]
    add_rows(world, 2)
    few = {page: queries(world.client(page[0]), page[1]) for page in pages}
    add_rows(world, MANY - 2)
    many = {page: queries(world.client(page[0]), page[1]) for page in pages}
    # More personal limits than a form holds are no part of it.
    assert {page: cost for page, cost in many.items() if cost > few[page]} == {}
    assert {page for page in pages if many[page] < few[page]} <= {
        page for page in pages if "/labs/instance/" in page[1]
    }
    assert max(many.values()) < 40
