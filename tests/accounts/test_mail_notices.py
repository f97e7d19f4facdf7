"""What Mailgun tells of mails: signed for real, believed once, shown on the person."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from secrets import token_hex
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import Mail, MailNotice, MailState
from accounts.services import delivery
from labs.models import Event, Verb

from .mails import Clock, waiting

pytestmark = pytest.mark.django_db
URL = "/anymail/mailgun/tracking/"
SIGNING_KEY = "signing-key-of-the-tests"


@pytest.fixture(autouse=True)
def signing_key() -> Any:
    with override_settings(ANYMAIL={"MAILGUN_WEBHOOK_SIGNING_KEY": SIGNING_KEY}):
        yield


def sent() -> Mail:
    mail = waiting()
    delivery.deliver_due()
    mail.refresh_from_db()
    return mail


def signature(*, key: str = SIGNING_KEY, at: float | None = None, token: str = "") -> dict[str, str]:
    stamp, token = str(int(time.time() if at is None else at)), token or token_hex(25)
    signed = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {"timestamp": stamp, "token": token, "signature": signed}


def notice(mail: Mail, event: str = "failed", **more: Any) -> dict[str, Any]:
    """As in Mailgun's documentation of its notices."""
    data = {
        "event": event,
        "severity": "permanent",
        "timestamp": time.time(),
        "recipient": mail.recipient,
        "reason": "bounce",
        "message": {"headers": {"message-id": mail.message_id.strip("<>"), "to": mail.recipient}},
        "user-variables": {"mail": str(mail.pk), "message": mail.message_id.strip("<>")},
        "delivery-status": {"code": 550, "message": "5.1.1 no such person", "description": ""},
    }
    return {"signature": signature(), "event-data": {**data, **more}}


def tell(body: Any) -> HttpResponse:
    return Client(enforce_csrf_checks=True).post(URL, json.dumps(body), content_type="application/json")  # type: ignore[return-value]


def test_a_mail_that_came_back_is_marked_with_the_reason_and_an_event() -> None:
    mail = sent()
    assert tell(notice(mail)).status_code == 200
    mail.refresh_from_db()
    assert mail.state == MailState.BOUNCED
    assert mail.problem == "The address does not accept e-mail: 5.1.1 no such person"
    event = Event.objects.get(verb=Verb.MAIL_BOUNCED)
    assert (event.user, event.instance, event.subject) == (mail.user, mail.instance, mail.recipient)
    assert Mail.objects.unreachable([mail.recipient.upper()]) == {mail.recipient: mail.bounced_at}


def test_a_complaint_counts_as_come_back_and_a_short_trouble_does_not() -> None:
    wanted, unwanted = sent(), sent()
    tell(notice(wanted, severity="temporary"))
    tell(notice(unwanted, "complained"))
    wanted.refresh_from_db()
    unwanted.refresh_from_db()
    assert (wanted.state, unwanted.state) == (MailState.SENT, MailState.BOUNCED)
    assert "spam" in unwanted.problem


def test_a_second_notice_of_the_same_bounce_adds_no_event() -> None:
    mail = sent()
    tell(notice(mail))
    tell(notice(mail))
    assert Event.objects.filter(verb=Verb.MAIL_BOUNCED).count() == 1


def test_a_copy_of_a_notice_is_refused_also_with_another_content() -> None:
    first, other = sent(), sent()
    told = notice(first)
    assert tell(told).status_code == 200
    assert tell(told).status_code == 406
    assert tell({**notice(other), "signature": told["signature"]}).status_code == 406
    other.refresh_from_db()
    assert other.state == MailState.SENT


@pytest.mark.parametrize("hours", [10, -1, 24 * 365])
def test_a_notice_that_is_not_of_now_is_refused(hours: float) -> None:
    mail = sent()
    told = {**notice(mail), "signature": signature(at=time.time() - hours * 3600)}
    assert tell(told).status_code == 406
    mail.refresh_from_db()
    assert mail.state == MailState.SENT


def test_a_wrong_signature_is_refused() -> None:
    mail = sent()
    told = {**notice(mail), "signature": signature(key="another")}
    assert tell(told).status_code == 406
    mail.refresh_from_db()
    assert mail.state == MailState.SENT
    assert not MailNotice.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        [], "text", None, {}, {"signature": []}, {"signature": {"token": 1, "timestamp": [], "signature": {}}},
        {"signature": {"token": "ü", "timestamp": "ü", "signature": "ü"}}, {"event-data": {}},
    ],
)  # fmt: skip
def test_crafted_bodies_are_refused(body: Any) -> None:
    assert tell(body).status_code == 406


@pytest.mark.parametrize(
    "data", [None, [], {}, {"event": "failed"}, {"event": [], "user-variables": []}, {"event": "failed", "message": 7}]
)
def test_a_signed_body_without_sense_is_no_error_of_the_site(data: Any) -> None:
    assert tell({"signature": signature(), "event-data": data}).status_code in (200, 406)


def test_what_is_told_of_unknown_mails_is_ignored() -> None:
    mail = sent()
    strange = notice(mail, **{"user-variables": {}, "message": {"headers": {"message-id": "somebody@else"}}})
    assert tell(strange).status_code == 200
    elsewhere = notice(mail, recipient="other@example.org")
    assert tell(elsewhere).status_code == 200
    mail.refresh_from_db()
    assert mail.state == MailState.SENT
    assert not Event.objects.filter(verb=Verb.MAIL_BOUNCED).exists()


def test_it_is_found_by_message_id_alone() -> None:
    mail = sent()
    tell(notice(mail, **{"user-variables": {}}))
    mail.refresh_from_db()
    assert mail.state == MailState.BOUNCED


def test_a_delivery_settles_a_mail_whose_fate_was_open() -> None:
    mail, clock = waiting(), Clock()
    Mail.objects.filter(pk=mail.pk).update(offered_at=clock.now, message_id="<open@example.org>", attempts=1)
    mail.refresh_from_db()
    assert tell(notice(mail, "delivered")).status_code == 200
    mail.refresh_from_db()
    assert mail.state == MailState.SENT
    clock.advance(days=1)
    assert delivery.deliver_due(clock=clock) == 0


def test_without_a_signing_key_the_page_is_not_there() -> None:
    with override_settings(ANYMAIL={"MAILGUN_API_KEY": SIGNING_KEY}):
        assert tell(notice(sent())).status_code == 404
        assert Client().get(URL).status_code == 404
    assert Client().get(URL).status_code == 405


def test_the_older_form_is_refused() -> None:
    mail = sent()
    fields = {**signature(), "event": "bounced", "Message-Id": mail.message_id, "recipient": mail.recipient}
    assert Client().post(URL, fields).status_code == 406


def test_old_notices_are_forgotten() -> None:
    MailNotice.objects.create(token="old", at=timezone.now() - 2 * delivery.ASKED_FOR)
    tell(notice(sent()))
    assert not MailNotice.objects.filter(token="old").exists()


def test_the_person_sees_it_on_the_profile() -> None:
    mail = sent()
    client = Client()
    client.force_login(mail.user, backend="allauth.account.auth_backends.AuthenticationBackend")  # type: ignore[arg-type]
    assert "bounced" not in client.get("/profile/").text
    tell(notice(mail))
    assert f"An e-mail to {mail.recipient} bounced on" in client.get("/profile/").text
