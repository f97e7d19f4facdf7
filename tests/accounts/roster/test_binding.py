"""A roster entry becomes somebody's by a verified address, and never by another."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from accounts.models import Membership, Role, RosterEntry, Status
from accounts.services.roster.admitting import bind_person
from labs.models import Event, Quota, Verb
from tests.factories import PASSWORD, InstanceFactory, UserFactory

from .conftest import somebody


def entry_of(course: SimpleNamespace, **fields: Any) -> RosterEntry:
    return RosterEntry.objects.create(**{"instance": course.instance, "email": "ann@uni.example", **fields})


def sign_in(client: Client, email: str) -> None:
    client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    assert "_auth_user_id" in client.session


def test_the_first_sign_in_with_a_verified_address_gives_membership_role_and_limits(
    course: SimpleNamespace, client: Client
) -> None:
    ann = UserFactory(email="ann@uni.example")
    EmailAddress.objects.bulk_create([EmailAddress(user=ann, email=ann.email, verified=True, primary=True)])
    entry = entry_of(course, role=Role.STAFF, limits={"cpu_millis": 2000})
    sign_in(client, ann.email)
    entry.refresh_from_db()
    assert entry.user == ann
    membership = Membership.objects.get(user=ann)
    assert (membership.role, membership.status) == (Role.STAFF, Status.APPROVED)
    assert Quota.objects.get(user=ann).cpu_millis == 2000
    told = Event.objects.filter(user=ann).order_by("pk").values_list("verb", "actor_name", "reason")
    assert list(told) == [
        (Verb.ACCESS_APPROVED, "the site", "on the roster"),
        (Verb.LIMITS_CHANGED, "the site", "on the roster"),
    ]


def test_an_unverified_address_binds_nothing(course: SimpleNamespace, client: Client) -> None:
    entry = entry_of(course)
    ann = somebody("ann@uni.example", verified=False)
    sign_in(client, ann.email)
    entry.refresh_from_db()
    assert entry.user is None
    assert not Membership.objects.filter(user=ann).exists()


def test_signing_up_with_an_address_of_the_roster_is_not_enough(course: SimpleNamespace, client: Client) -> None:
    entry = entry_of(course)
    client.post(
        "/accounts/signup/",
        {"email": "ann@uni.example", "password1": "a-long-password-1", "password2": "a-long-password-1", "name": "Ann"},
    )
    entry.refresh_from_db()
    assert entry.user is None


def test_verifying_the_address_binds(course: SimpleNamespace) -> None:
    entry = entry_of(course)
    ann = somebody("ann@uni.example", verified=False)
    EmailAddress.objects.get(user=ann).set_verified()
    entry.refresh_from_db()
    assert entry.user == ann


def test_binding_again_changes_nothing(course: SimpleNamespace, now: datetime.datetime) -> None:
    entry_of(course)
    ann = somebody("ann@uni.example")
    count = Event.objects.count()
    assert bind_person(ann, now=now) == 0
    assert Event.objects.count() == count
    assert Membership.objects.filter(user=ann).count() == 1


def test_all_instances_that_expect_somebody_let_them_in(course: SimpleNamespace, now: datetime.datetime) -> None:
    other, archived = InstanceFactory(), InstanceFactory(archived_at=now)
    for instance in (course.instance, other, archived):
        entry_of(course, instance=instance)
    ann = somebody("ann@uni.example")
    assert set(Membership.objects.filter(user=ann).values_list("instance", flat=True)) == {course.instance.pk, other.pk}


def test_an_entry_that_was_left_out_binds_nobody(course: SimpleNamespace, now: datetime.datetime) -> None:
    entry = entry_of(course, left_at=now)
    somebody("ann@uni.example")
    entry.refresh_from_db()
    assert entry.user is None


def test_a_person_who_may_not_sign_in_is_bound_by_nothing(course: SimpleNamespace, now: datetime.datetime) -> None:
    ann = somebody("ann@uni.example")
    type(ann).objects.filter(pk=ann.pk).update(is_active=False)
    ann.refresh_from_db()
    entry_of(course)
    assert bind_person(ann, now=now) == 0


def test_the_account_goes_and_the_entry_is_nobodys_again(course: SimpleNamespace) -> None:
    entry = entry_of(course)
    ann = somebody("ann@uni.example")
    Membership.objects.filter(user=ann).delete()
    ann.delete()
    entry.refresh_from_db()
    assert entry.user is None


@pytest.mark.parametrize("address", ["ann@uni.example.evil.example", "ann+x@uni.example", "ann@uni.examp1e"])
def test_an_address_near_it_is_another(course: SimpleNamespace, address: str) -> None:
    entry = entry_of(course)
    somebody(address)
    entry.refresh_from_db()
    assert entry.user is None
