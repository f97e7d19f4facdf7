"""Mails through Mailgun: its wire format, and a server that plays it with failures. In the end each was accepted exactly once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail as django_mail
from django.test import override_settings

from accounts.models import Mail, MailKind, MailState
from accounts.services import delivery
from tests.factories import InstanceFactory, UserFactory
from tests.support.mailgun import DOMAIN, FakeMailgun, mailgun

from .mails import Clock, run_until_settled, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[FakeMailgun]:
    with mailgun() as server, override_settings(**server.settings):
        yield server


def again(mail: Mail) -> Mail:
    mail.refresh_from_db()
    return mail


def test_a_mail_has_our_message_id_no_tracking_and_one_recipient(server: FakeMailgun) -> None:
    mail = waiting(instance=InstanceFactory(title="Physics 250"), user=UserFactory(name="Ada", email="ada@example.org"))
    assert delivery.deliver_due() == 1
    assert again(mail).state == MailState.SENT
    (sent,) = server.accepted
    assert sent["to"] == "ada@example.org"
    assert sent["from"] == f"Physics 250 <labs@{DOMAIN}>"
    assert sent["subject"] == "Physics 250: your access is approved"
    assert sent["h:Message-Id"] == mail.message_id
    assert mail.message_id.endswith(f"@{DOMAIN}>")
    assert sent["h:Auto-Submitted"] == "auto-generated"
    assert (sent["o:tracking-clicks"], sent["o:tracking-opens"]) == ("no", "no")
    assert sent["v:mail"] == str(mail.pk)
    assert "Hello Ada" in sent["text"]
    assert "Hello Ada" in sent["html"]


def test_the_message_is_what_anymail_expects() -> None:
    """By Anymail's own test back end, which reads each attribute as the back ends of all services do."""
    with override_settings(EMAIL_BACKEND="anymail.backends.test.EmailBackend"):
        mail = waiting()
        delivery.deliver_due()
    (sent,) = django_mail.outbox
    params: dict[str, Any] = sent.anymail_test_params  # type: ignore[attr-defined]
    again(mail)
    assert [str(to.addr_spec) for to in params["to"]] == [mail.recipient]
    assert params["metadata"] == {"mail": str(mail.pk), "message": mail.message_id.strip("<>")}
    assert params["extra_headers"]["Message-ID"] == mail.message_id
    assert params["text_body"]
    assert params["html_body"]


def test_thirty_mails_take_one_connection(server: FakeMailgun) -> None:
    instance = InstanceFactory()
    for _ in range(30):
        waiting(instance=instance)
    assert delivery.deliver_due() == 30
    assert len(set(server.recipients())) == 30
    assert len(server.connections) == 1


@pytest.mark.parametrize("step", ["500", "503", "429", "401", "taken-500", "gibberish"])
def test_a_failure_is_tried_again_until_one_is_accepted(server: FakeMailgun, step: str) -> None:
    server.plan.extend([step])
    mail, clock = waiting(), Clock()
    assert delivery.deliver_due(clock=clock) == 0
    assert again(mail).state == MailState.WAITING
    assert mail.problem
    run_until_settled(clock)
    assert again(mail).state == MailState.SENT
    assert len(server.accepted) == 1


def test_a_time_out_after_it_was_taken_is_found_out_and_not_sent_again(server: FakeMailgun) -> None:
    server.plan.append("taken-hang")
    mail, clock = waiting(), Clock()
    with override_settings(ANYMAIL=server.settings["ANYMAIL"] | {"REQUESTS_TIMEOUT": (5, 1)}):
        delivery.deliver_due(clock=clock)
    assert again(mail).state == MailState.WAITING
    assert mail.offered_at
    run_until_settled(clock)
    assert again(mail).state == MailState.SENT
    assert len(server.accepted) == 1
    assert server.asked[-1]["event"] == "accepted"
    assert server.asked[-1]["recipient"] == mail.recipient


def test_a_time_out_of_one_that_was_not_taken_is_sent_when_mailguns_list_is_complete(server: FakeMailgun) -> None:
    server.plan.append("hang")
    mail, clock = waiting(), Clock()
    with override_settings(ANYMAIL=server.settings["ANYMAIL"] | {"REQUESTS_TIMEOUT": (5, 1)}):
        delivery.deliver_due(clock=clock)
    clock.advance(minutes=10)
    delivery.deliver_due(clock=clock)
    assert server.accepted == []
    assert again(mail).attempts == 1
    run_until_settled(clock)
    assert again(mail).state == MailState.SENT
    assert len(server.accepted) == 1


def test_a_late_list_of_events_does_not_make_a_second_copy(server: FakeMailgun) -> None:
    server.plan.append("taken-500")
    server.events_are_late = True
    mail, clock = waiting(), Clock()
    for _ in range(4):
        delivery.deliver_due(clock=clock)
        clock.advance(minutes=5)
    server.events_are_late = False
    run_until_settled(clock)
    assert again(mail).state == MailState.SENT
    assert len(server.accepted) == 1


def test_nothing_is_sent_while_mailgun_cannot_say_whether_it_has_it(server: FakeMailgun) -> None:
    server.plan.append("taken-500")
    server.events_are_down = True
    mail, clock = waiting(), Clock()
    for _ in range(10):
        delivery.deliver_due(clock=clock)
        clock.advance(hours=4)
    assert len(server.accepted) == 1
    clock.advance(days=1)
    delivery.deliver_due(clock=clock)
    assert again(mail).state == MailState.FAILED
    assert "may have arrived" in mail.problem


def test_an_address_that_is_refused_fails_at_once_with_the_reason(server: FakeMailgun) -> None:
    server.plan.append("400")
    bad, good = waiting(), waiting()
    assert delivery.deliver_due() == 1
    assert {again(bad).state, again(good).state} == {MailState.FAILED, MailState.SENT}
    failed = Mail.objects.get(state=MailState.FAILED)
    assert failed.problem.startswith("The mail service rejected it: to parameter is not a valid address")
    assert failed.attempts == 1


def test_a_service_that_asks_to_wait_is_left_alone_for_as_long(server: FakeMailgun) -> None:
    server.plan.append("429")
    for _ in range(3):
        waiting()
    clock = Clock()
    assert delivery.deliver_due(clock=clock) == 0
    first = Mail.objects.get(attempts=1)
    assert (first.due_at - clock.now).total_seconds() == 900
    assert server.arrived.acquire(timeout=0)
    assert not server.arrived.acquire(timeout=0), "the others were not tried"
    run_until_settled(clock)
    assert len(server.accepted) == 3


def test_a_service_that_cannot_be_reached_costs_no_tries_of_those_that_wait() -> None:
    with mailgun() as server:
        gone = server.settings
    mails, clock = [waiting(), waiting()], Clock()
    with override_settings(**gone):
        delivery.deliver_due(clock=clock)
    tried = sorted(again(mail).attempts for mail in mails)
    assert tried == [0, 1]
    assert Mail.objects.get(attempts=1).offered_at is None, "surely not taken"
    with mailgun() as server, override_settings(**server.settings):
        run_until_settled(clock)
        assert len(server.accepted) == 2


def test_after_a_day_of_tries_it_is_given_up_in_plain_words(server: FakeMailgun) -> None:
    server.plan.extend(["503"] * 50)
    mail, clock = waiting(), Clock()
    started = clock.now
    run_until_settled(clock)
    assert again(mail).state == MailState.FAILED
    assert mail.problem == "Failed after 8 attempts. The mail service is not working (503)."
    assert 12 < (clock.now - started).total_seconds() / 3600 < 30


def test_all_failures_in_a_row_and_many_mails_end_in_one_accepted_message_each(server: FakeMailgun) -> None:
    server.plan.extend(["500", "429", "taken-500", "503", "gibberish", "401", "taken-500", "500"])
    mails, clock = [waiting() for _ in range(20)], Clock()
    run_until_settled(clock)
    assert {again(mail).state for mail in mails} == {MailState.SENT}
    assert sorted(server.recipients()) == sorted(mail.recipient for mail in mails)


def test_no_link_and_no_key_stands_in_a_log_or_row(
    server: FakeMailgun, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invitation's link is known to the mail alone."""
    monkeypatch.setattr("accounts.services.wording.HOOKS", {MailKind.INVITATION: "tests.accounts.test_mailgun.signed"})
    caplog.set_level(logging.DEBUG)
    server.plan.extend(["500", "400"])
    waiting(MailKind.INVITATION, context={"inviter": "Olga", "until": "Monday"})
    waiting(MailKind.INVITATION, context={"inviter": "Olga", "until": "Monday"})
    run_until_settled(Clock())
    assert "signed-token" in server.accepted[0]["text"]
    rows = repr(list(Mail.objects.values()))
    for said in (caplog.text, rows):
        assert "signed-token" not in said
        assert "key-of-the-tests" not in said


def signed(mail: Mail) -> dict[str, str]:
    return {"link": "http://testserver/invitations/signed-token/"}
