"""The number of queries of a page does not depend on the number of rows."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Role, Status
from labs.models import EndReason, Instance, InstanceCluster, Scope, State
from tests.factories import (
    ClusterFactory,
    EventFactory,
    InstanceFactory,
    LabFactory,
    MembershipFactory,
    QuotaFactory,
    UserFactory,
    many,
)

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
    mine, owner = world.mine.instance, world.people["owner"]
    people, askers = many(UserFactory, count), many(UserFactory, count)
    many(MembershipFactory, count, instance=mine, user=people)
    many(MembershipFactory, count, instance=mine, user=askers, status=Status.REQUESTED)
    many(QuotaFactory, count, instance=mine, scope=Scope.PERSON, user=people, cpu_millis=1000)
    for owners, state, reason in ((people, State.RUNNING, ""), (askers, State.ENDED, EndReason.FAILED)):
        for person in owners:
            LabFactory(instance=mine, owner=person, template=world.template, state=state, end_reason=reason)
    many(EventFactory, count, instance=mine, actor=owner, user=people, workload=world.mine.lab)
    instances = many(InstanceFactory, count)
    InstanceCluster.objects.bulk_create(
        InstanceCluster(instance=one, cluster=cluster)
        for one, cluster in zip(instances, many(ClusterFactory, count), strict=True)
    )
    offers = Instance.services.through
    offers.objects.bulk_create(offers(instance=one, servicetemplate=world.template) for one in instances)
    many(MembershipFactory, count, instance=instances, user=owner, role=Role.OWNER)
    many(QuotaFactory, count, instance=instances, scope=Scope.INSTANCE, cpu_millis=1000)


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
