"""The owner of a lab is told in time that it ends: as often as is useful, once for each end, and by a mail that is true when it is sent."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Mail, MailKind
from accounts.services import wording
from labs.models import Lab, State
from labs.services import ending, sweep
from labs.services.extension import extend
from labs.services.stopping import stop
from tests.factories import LabFactory, UserFactory

pytestmark = pytest.mark.django_db
MINUTE, HOUR = datetime.timedelta(minutes=1), datetime.timedelta(hours=1)


def running(world: SimpleNamespace, hours: float, **fields: Any) -> Lab:
    fields = {"owner": world.member, "created_at": world.now, **fields}
    lab: Lab = LabFactory(
        instance=world.instance,
        template=world.template,
        state=State.RUNNING,
        lifetime_minutes=int(hours * 60),
        **fields,
    )
    return lab


def times_told(world: SimpleNamespace, lab: Lab) -> list[datetime.timedelta]:
    """How long before the end of the lab a mail is written, with a sweep each minute of the last two days."""
    assert lab.expires_at
    told, before = [], 0
    steps = [*range(2900, 1430, -10), *range(1430, 65, -60), *range(65, -2, -1)]
    for left in steps:
        ending.tell(lab.expires_at - left * MINUTE)
        count = Mail.objects.count()
        told += [left * MINUTE] * (count - before)
        before = count
    return told


@pytest.mark.parametrize(
    ("hours", "minutes"), [(72, [1440, 60]), (48, [60]), (4, [60]), (3, [10]), (0.5, [10]), (0.25, [])]
)
def test_the_moments_fit_the_lifetime(world: SimpleNamespace, hours: float, minutes: list[int]) -> None:
    lab = running(world, hours)
    assert times_told(world, lab) == [number * MINUTE for number in minutes]


def test_the_sweep_tells_the_owner_once(world: SimpleNamespace) -> None:
    lab = running(world, 4)
    assert lab.expires_at
    for _ in range(3):
        sweep.sweep(lab.expires_at - HOUR)
    (mail,) = Mail.objects.all()
    assert (mail.kind, mail.recipient) == (MailKind.LAB_ENDING, world.member.email)


def test_an_extended_lab_is_told_of_its_new_end(world: SimpleNamespace) -> None:
    lab = running(world, 4)
    assert lab.expires_at
    ending.tell(lab.expires_at - HOUR)
    extend(lab, actor=world.member, minutes=120, now=lab.expires_at - HOUR)
    assert not ending.tell(lab.expires_at)
    assert ending.tell(lab.expires_at + HOUR) == 1
    assert Mail.objects.count() == 2


def test_a_mail_says_what_is_true_when_it_is_sent(world: SimpleNamespace) -> None:
    now = timezone.now()
    lab = running(world, 4, created_at=now - 3 * HOUR)
    ending.tell(now)
    mail = Mail.objects.get()
    said = wording.compose(mail)
    assert said.subject == f"{lab.name} ends in 1 hour"
    assert "You can extend it by up to 20 hours on its page." in said.text
    assert f"http://testserver/labs/{lab.pk}/" in said.text
    extend(lab, actor=world.member, minutes=1200, now=now)
    with pytest.raises(wording.NotNeeded):
        wording.compose(mail)


def test_a_lab_that_can_get_no_more_time_is_not_offered_any(world: SimpleNamespace) -> None:
    now = timezone.now()
    running(world, 24, created_at=now - 23.5 * HOUR)
    ending.tell(now)
    said = wording.compose(Mail.objects.get())
    assert said.subject.endswith("ends in 30 minutes")
    assert "cannot be extended further" in said.text


def test_what_is_over_or_of_nobody_is_not_told(world: SimpleNamespace) -> None:
    lab = running(world, 4)
    assert lab.expires_at
    running(world, 4, owner=UserFactory(is_active=False))
    stop(lab, actor=world.member, now=world.now)
    ending.tell(lab.expires_at - HOUR)
    assert not Mail.objects.exists()


def test_a_class_costs_as_many_queries_as_one(world: SimpleNamespace) -> None:
    def cost(count: int) -> int:
        labs = [running(world, 4, owner=UserFactory()) for _ in range(count)]
        assert labs[0].expires_at
        with CaptureQueriesContext(connection) as queries:
            assert ending.tell(labs[0].expires_at - HOUR) == count
        return len(queries)

    assert cost(1) == cost(40)
