"""A member sees on an instance's page how they came in, and nothing of anybody else."""

from __future__ import annotations

import pytest
from django.test import Client

from labs.models import Verb
from tests.factories import EventFactory, LabFactory, MembershipFactory

pytestmark = pytest.mark.django_db


def test_a_member_sees_their_own_membership_history_only() -> None:
    row = MembershipFactory()
    EventFactory(instance=row.instance, user=row.user, verb=Verb.ACCESS_APPROVED, reason="welcome to it")
    EventFactory(instance=row.instance, verb=Verb.ACCESS_DENIED, reason="somebody else")
    EventFactory(user=row.user, verb=Verb.ACCESS_DENIED, reason="elsewhere")
    lab = LabFactory(instance=row.instance, owner=row.user)
    EventFactory(instance=row.instance, user=row.user, workload=lab, verb=Verb.LAUNCHED, reason="a lab")
    client = Client()
    client.force_login(row.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    text = client.get(row.instance.get_absolute_url()).content.decode()
    assert "Your access history" in text
    assert "welcome to it" in text
    assert "somebody else" not in text
    assert "elsewhere" not in text
    assert "a lab" not in text.partition("Your access history")[2].partition("</section>")[0]


def test_a_visitor_sees_no_history() -> None:
    row = MembershipFactory()
    EventFactory(instance=row.instance, user=row.user, verb=Verb.ACCESS_APPROVED)
    assert "Your access history" not in Client().get(row.instance.get_absolute_url()).content.decode()
