"""Mails through an SMTP server, which cannot be asked what it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from accounts.models import Mail, MailState
from accounts.services import delivery
from tests.factories import InstanceFactory
from tests.support.smtp import FakeSmtp, smtp

from .mails import Clock, run_until_settled, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[FakeSmtp]:
    with smtp() as server, override_settings(**server.settings):
        yield server


def test_many_mails_take_one_connection(server: FakeSmtp) -> None:
    mails = [waiting() for _ in range(10)]
    assert delivery.deliver_due() == 10
    assert server.connections == 1
    assert sorted(message["To"] for message in server.accepted) == sorted(mail.recipient for mail in mails)


def test_a_refused_address_fails_at_once_and_holds_up_nobody(server: FakeSmtp) -> None:
    first, second = waiting(), waiting()
    server.refuse[first.recipient] = "550 no such person here"
    assert delivery.deliver_due() == 1
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == (MailState.FAILED, MailState.SENT)
    assert first.problem == "The mail server rejected the address: 550 no such person here"


def test_an_address_that_is_refused_for_now_is_tried_again(server: FakeSmtp) -> None:
    mail, clock = waiting(), Clock()
    server.refuse[mail.recipient] = "451 greylisted"
    delivery.deliver_due(clock=clock)
    mail.refresh_from_db()
    assert (mail.state, mail.offered_at) == (MailState.WAITING, None)
    server.refuse.clear()
    run_until_settled(clock)
    assert len(server.accepted) == 1


def test_a_lost_answer_is_repeated_with_the_same_message_id(server: FakeSmtp) -> None:
    """Two copies do less harm than none, and mailboxes know a second copy by its Message-ID."""
    server.drops = 1
    mail, clock = waiting(), Clock()
    run_until_settled(clock)
    mail.refresh_from_db()
    assert mail.state == MailState.SENT
    assert {message["Message-ID"] for message in server.accepted} == {mail.message_id}
    assert len(server.accepted) == 2


def test_names_with_line_breaks_and_quotes_add_no_header(server: FakeSmtp) -> None:
    mail = waiting(instance=InstanceFactory(title='Physics "250" <b>\r\nBcc: all@example.org'))
    Mail.objects.filter(pk=mail.pk).update(recipient="ada@example.org")
    delivery.deliver_due()
    (message,) = server.accepted
    assert message["Bcc"] is None
    assert message["To"] == "ada@example.org"
    assert message["From"].addresses[0].addr_spec == "labs@localhost"
    assert "\n" not in message["Subject"]


def test_it_has_text_and_html(server: FakeSmtp) -> None:
    waiting()
    delivery.deliver_due()
    (message,) = server.accepted
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
