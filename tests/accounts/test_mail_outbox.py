"""What is kept of mails when they have gone."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mail, MailKind, MailState, Role
from accounts.services import deletion, delivery, outbox
from accounts.services.sweep import sweep
from tests.factories import LetterFactory, MembershipFactory, UserFactory

from .mails import waiting

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def in_state(state: MailState, *, days: float = 0, **fields: Any) -> Mail:
    """A mail on which the last was done so many days ago."""
    mail = waiting(**fields)
    at = NOW - datetime.timedelta(days=days)
    times = {MailState.SENT: {"sent_at": at}, MailState.BOUNCED: {"bounced_at": at}}.get(state, {})
    Mail.objects.filter(pk=mail.pk).update(state=state, created_at=at, due_at=at, **times)
    mail.refresh_from_db()
    return mail


def kept() -> set[Any]:
    return set(Mail.objects.values_list("pk", flat=True))


def test_the_sweep_deletes_what_was_sent_or_given_up_long_ago_and_nothing_else(settings: Any) -> None:
    assert settings.MAIL_KEEP_DAYS == 90
    for state in (MailState.SENT, MailState.FAILED, MailState.BOUNCED):
        in_state(state, days=91)
    stay = {in_state(state, days=89).pk for state in MailState}
    stay.add(in_state(MailState.WAITING, days=91).pk)
    sweep(NOW)
    assert kept() == stay
    settings.MAIL_KEEP_DAYS = 30
    assert outbox.forget_old(NOW) == 3


def test_one_that_came_back_stays_for_as_long_as_it_keeps_letters_from_its_address(settings: Any) -> None:
    settings.MAIL_KEEP_DAYS = 1
    in_state(MailState.BOUNCED, days=31)
    stays = in_state(MailState.BOUNCED, days=29)
    assert outbox.forget_old(NOW) == 1
    assert kept() == {stays.pk}
    assert Mail.objects.came_back(stays.recipient).exists()


def test_it_deletes_so_many_at_once_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST", 2)
    mails = [in_state(MailState.SENT, days=days) for days in (100, 300, 200)]
    assert outbox.forget_old(NOW) == 2
    assert kept() == {mails[0].pk}
    assert outbox.forget_old(NOW) == 1
    assert outbox.forget_old(NOW) == 0


def test_a_mail_that_was_tried_again_counts_from_then() -> None:
    owner = MembershipFactory(role=Role.OWNER)
    mail = in_state(MailState.FAILED, days=89, instance=owner.instance)
    assert delivery.try_again(mail, actor=owner.user, now=NOW)
    Mail.objects.update(state=MailState.SENT, sent_at=NOW)
    assert outbox.forget_old(NOW + datetime.timedelta(days=2)) == 0


def test_a_letter_still_counts_the_mails_that_are_no_longer_kept(client: Any) -> None:
    letter = LetterFactory(count=3)
    mail = in_state(MailState.SENT)
    Mail.objects.filter(pk=mail.pk).update(letter=letter, instance=letter.instance)
    client.force_login(UserFactory(is_superuser=True))
    assert "1 sent, 2 no longer stored" in client.get(reverse("admin:accounts_letter_changelist")).text


def test_with_an_account_its_addresses_go_from_mails_that_are_over_and_nobody_loses_one() -> None:
    user = UserFactory(email="gone@example.org")
    for email, verified in (("gone@example.org", True), ("old@example.org", True), ("claimed@example.org", False)):
        EmailAddress.objects.create(user=user, email=email, verified=verified)
    own = waiting(user=user)
    told = {"context": {"name": "Gone"}, "kind": MailKind.INVITATION}
    invitations = [
        in_state(MailState.SENT, recipient="gone@example.org", **told),
        in_state(MailState.FAILED, recipient="gone@example.org", **told),
        in_state(MailState.BOUNCED, recipient="old@example.org", **told),
    ]
    Mail.objects.filter(pk__in=[mail.pk for mail in invitations]).update(user=None, problem="gone@example.org: full")
    to_come = waiting(recipient="gone@example.org", **told)  # from another course, which expects somebody there
    others = [in_state(MailState.SENT, recipient="claimed@example.org"), in_state(MailState.SENT), waiting(), to_come]
    before = {mail.pk: mail.recipient for mail in others}
    assert deletion.delete_account(user, now=NOW)
    assert own.pk not in kept()
    for mail in Mail.objects.filter(pk__in=[mail.pk for mail in invitations]):
        assert (mail.recipient, mail.problem, mail.context, mail.can_be_tried_again) == ("", "", {}, False)
        assert str(mail) == "Invitation to a deleted account"
    assert dict(Mail.objects.filter(pk__in=before).values_list("pk", "recipient")) == before
    assert [mail.pk for mail in Mail.objects.filter(recipient__in=["gone@example.org", "old@example.org"])] == [
        to_come.pk
    ]


def test_what_was_mailed_to_a_deleted_account_is_not_sent_again() -> None:
    owner = MembershipFactory(role=Role.OWNER)
    mail = in_state(MailState.FAILED, instance=owner.instance)
    outbox.forget_addresses([mail.recipient])
    assert not delivery.try_again(mail, actor=owner.user, now=NOW)


def test_a_mail_to_a_deleted_account_has_its_place_in_the_console(client: Any) -> None:
    mail = in_state(MailState.SENT)
    outbox.forget_addresses([mail.recipient])
    client.force_login(UserFactory(is_superuser=True))
    for page in (reverse("admin:accounts_mail_changelist"), reverse("admin:accounts_mail_change", args=[mail.pk])):
        assert client.get(page).status_code == 200
