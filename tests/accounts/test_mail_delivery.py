"""Mails are written with the change that they tell of, and sent once."""

from __future__ import annotations

import datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from accounts.models import Mail, MailKind, MailState, Role
from accounts.rules import mailing
from accounts.services import delivery
from labs.errors import Refusal
from labs.models import Event, Verb
from labs.services.setup import schedule_sweep
from tests.factories import InstanceFactory, LetterFactory, MembershipFactory, UserFactory

from .mails import Clock, waiting

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_it_is_refused() -> None:
    with pytest.raises(RuntimeError):
        mailing.write(MailKind.ACCESS_APPROVED, "a@example.org", key="a", now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_it_goes_with_its_change() -> None:
    class Undone(Exception):
        pass

    def change() -> None:
        with transaction.atomic():
            mailing.write(MailKind.ACCESS_APPROVED, "a@example.org", key="a", now=timezone.now())
            raise Undone

    with pytest.raises(Undone):
        change()
    assert not Mail.objects.exists()
    assert not OrmQ.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_thirty_mails_of_one_change_are_one_task_without_arguments() -> None:
    with transaction.atomic():
        for number in range(30):
            mailing.write(MailKind.ACCESS_APPROVED, f"{number}@example.org", key=f"{number}", now=timezone.now())
    (queued,) = OrmQ.objects.all()
    assert queued.task["func"] == "accounts.tasks.send_mails"
    assert queued.task["args"] == ()


def test_the_same_key_is_one_mail() -> None:
    for _ in range(2):
        mailing.write(MailKind.ACCESS_APPROVED, "A@Example.org", key="same", now=timezone.now())
    assert Mail.objects.get().recipient == "a@example.org"
    mailing.write_many([mailing.draft(MailKind.LETTER, "b@example.org", key="same", now=timezone.now())])
    assert Mail.objects.count() == 1


def test_a_minutely_schedule_finds_what_was_lost() -> None:
    schedule_sweep()
    assert Schedule.objects.get(name="mails").func == "accounts.tasks.send_mails"


def test_a_mail_is_sent_once_however_often_it_is_looked_at() -> None:
    waiting()
    assert [delivery.deliver_due() for _ in range(3)] == [1, 0, 0]
    assert len(django_mail.outbox) == 1


def test_a_mail_of_later_waits() -> None:
    mail, clock = waiting(), Clock()
    Mail.objects.filter(pk=mail.pk).update(due_at=clock.now + datetime.timedelta(hours=1))
    assert delivery.deliver_due(clock=clock) == 0
    clock.advance(hours=2)
    assert delivery.deliver_due(clock=clock) == 1


def test_a_mail_that_another_worker_holds_is_left_alone_until_that_one_is_lost() -> None:
    mail = waiting()
    now = timezone.now()
    held = Mail.objects.filter(pk=mail.pk)
    held.update(claim=mail.pk, claimed_until=now + datetime.timedelta(seconds=30))
    assert delivery.deliver_due() == 0
    held.update(claimed_until=now - datetime.timedelta(seconds=1))
    assert delivery.deliver_due() == 1


def test_more_than_one_batch_asks_for_another() -> None:
    instance = InstanceFactory()
    for _ in range(delivery.MOST + 1):
        waiting(instance=instance)
    OrmQ.objects.all().delete()
    assert delivery.deliver_due() == delivery.MOST
    assert OrmQ.objects.count() == 1
    assert delivery.deliver_due() == 1
    assert len(django_mail.outbox) == delivery.MOST + 1


def test_a_mail_that_cannot_be_written_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.services.wording.HOOKS", {MailKind.INVITATION: "nowhere.at.all"})
    bad, good = waiting(MailKind.INVITATION), waiting()
    assert delivery.deliver_due() == 1
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, good.state) == (MailState.WAITING, MailState.SENT)
    assert bad.problem == "The site could not create this e-mail."
    assert bad.offered_at is None


def test_without_a_mail_server_mails_wait_and_say_why() -> None:
    mail = waiting()
    with override_settings(EMAIL_BACKEND="accounts.backends.NoServer"):
        assert delivery.deliver_due() == 0
    mail.refresh_from_db()
    assert (mail.state, mail.problem) == (MailState.WAITING, "This site has no mail server.")


def test_on_a_laptop_each_mail_is_a_file_for_its_reader(tmp_path: Path) -> None:
    backend: dict[str, Any] = {"EMAIL_BACKEND": "accounts.backends.Folder", "MAIL_FOLDER": str(tmp_path / "mail")}
    mail = waiting()
    with override_settings(**backend):
        delivery.deliver_due()
    (path,) = (tmp_path / "mail").iterdir()
    assert path.suffix == ".eml"
    assert path.stat().st_mode & 0o077 == 0
    assert message_from_bytes(path.read_bytes())["To"] == mail.recipient


def test_an_address_from_which_mail_came_back_gets_no_more_for_many() -> None:
    now = timezone.now()
    back = waiting()
    Mail.objects.filter(pk=back.pk).update(state=MailState.BOUNCED, bounced_at=now, sent_at=now)
    bulk = waiting(MailKind.INVITATION, recipient=back.recipient)
    own = waiting(MailKind.ACCESS_APPROVED, recipient=back.recipient)
    delivery.deliver_due()
    bulk.refresh_from_db()
    own.refresh_from_db()
    assert (bulk.state, own.state) == (MailState.FAILED, MailState.SENT)
    assert bulk.problem.startswith("Not sent: an earlier e-mail to this address bounced on ")


def came_back(days_ago: float = 0) -> Mail:
    """Of another instance."""
    mail, at = waiting(), timezone.now() - datetime.timedelta(days=days_ago)
    Mail.objects.filter(pk=mail.pk).update(state=MailState.BOUNCED, bounced_at=at, sent_at=at)
    return mail


def test_what_an_owner_sends_by_hand_goes_though_another_mail_came_back() -> None:
    instance = InstanceFactory()
    owner = MembershipFactory(instance=instance, role=Role.OWNER).user
    bulk = waiting(MailKind.LETTER, instance=instance, recipient=came_back().recipient)
    Mail.objects.filter(pk=bulk.pk).update(letter=LetterFactory(instance=instance))
    delivery.deliver_due()
    bulk.refresh_from_db()
    assert bulk.state == MailState.FAILED
    assert delivery.try_again(bulk, actor=owner, now=timezone.now())
    assert delivery.deliver_due() == 1


def test_mail_that_came_back_counts_until_another_arrives_and_for_thirty_days() -> None:
    old, recent, better = came_back(31), came_back(29), came_back(2)
    waiting(MailKind.ACCESS_APPROVED, recipient=better.recipient)
    assert delivery.deliver_due() == 1
    assert set(Mail.objects.unreachable([old.recipient, recent.recipient, better.recipient])) == {recent.recipient}
    assert not Mail.objects.came_back(old.recipient).exists()
    Mail.objects.filter(recipient=better.recipient, state=MailState.SENT).update(
        state=MailState.BOUNCED, bounced_at=timezone.now()
    )
    assert Mail.objects.came_back(better.recipient).exists()


@pytest.mark.parametrize("state", [MailState.FAILED, MailState.BOUNCED])
def test_an_owner_sends_it_again_as_a_new_mail(state: MailState) -> None:
    now, instance = timezone.now(), InstanceFactory()
    mail = waiting(instance=instance)
    Mail.objects.filter(pk=mail.pk).update(state=state, bounced_at=now, attempts=8, message_id="<old@x>", problem="no")
    mail.refresh_from_db()
    owner = MembershipFactory(instance=instance, role=Role.OWNER).user
    for actor in (UserFactory(), MembershipFactory(instance=instance, role=Role.STAFF).user):
        with pytest.raises(Refusal):
            delivery.try_again(mail, actor=actor, now=now)
    assert delivery.try_again(mail, actor=owner, now=now)
    assert not delivery.try_again(mail, actor=owner, now=now)
    assert delivery.deliver_due() == 1
    mail.refresh_from_db()
    assert (mail.state, mail.attempts, mail.problem) == (MailState.SENT, 1, "")
    assert mail.message_id != "<old@x>"
    assert Event.objects.filter(verb=Verb.MAIL_WRITTEN, actor=owner, instance=instance).count() == 1
