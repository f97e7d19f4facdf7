"""A password typed into the site stands nowhere in it afterwards: in no table, no log, no answer. Nor does a lab's token."""

from __future__ import annotations

import json
import logging

import pytest
from django.apps import apps
from django.core import mail as django_mail
from django.db import connection
from django.utils import timezone

from accounts.models import Mail, MailKind
from accounts.rules import mailing
from accounts.services import delivery
from labs.models import Lab
from labs.services.secrets import token_of
from tests.console.conftest import World

TYPED = "a-phrase-that-nobody-else-types"


def everything() -> str:
    """All that the data base holds, table by table."""
    held = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            held += [f"{table}: {row}" for row in cursor.fetchall()]
    return "\n".join(held)


def test_it_stands_in_no_table_no_log_and_no_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, slug = world.client("member"), world.mine.instance.slug
    values = {"cpu": "1", "memory": "1024", "lifetime": "60", "password": TYPED}
    sent = {"instance": slug, "values": {**values, "name": "by-json"}}
    form = {**values, "memory": "1", "lifetime_unit": "minutes"}
    answers = [
        client.post("/api/labs/", json.dumps(sent), content_type="application/json"),
        client.post(f"/i/{slug}/launch/jupyterlab/", {**form, "name": "by-form"}),
        client.post(f"/i/{slug}/launch/jupyterlab/", {**form, "name": "NOT A NAME"}),
        client.post("/accounts/login/", {"login": world.people["owner"].email, "password": TYPED}),
    ]
    assert Lab.objects.filter(name__in=["by-json", "by-form"]).count() == 2
    for url in ("/", "/labs/", "/api/labs/", f"/labs/{Lab.objects.get(name='by-form').pk}/"):
        answers.append(client.get(url))
    assert apps.get_model("labs.Event").objects.filter(subject="by-form").exists()
    said = everything() + caplog.text + "".join(answer.text for answer in answers)
    assert "by-form" in said
    assert TYPED not in said
    assert token_of(world.mine.lab) == ""
    Lab.objects.filter(pk=world.mine.lab.pk).update(password_hash="")
    lab = Lab.objects.get(pk=world.mine.lab.pk)
    client.post(f"/labs/{lab.pk}/token/")
    assert token_of(lab)
    assert token_of(lab) not in everything() + caplog.text


def signed(mail: Mail) -> dict[str, str]:
    return {"link": f"http://testserver/invitations/{TYPED}/"}


def test_a_signed_link_stands_in_its_mail_alone(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made when the mail is sent: no row, task, log or page of the console ever has it."""
    monkeypatch.setattr("accounts.services.wording.HOOKS", {MailKind.INVITATION: f"{__name__}.signed"})
    caplog.set_level(logging.DEBUG)
    mailing.write(
        MailKind.INVITATION, "new@example.org", key="invitation", now=timezone.now(), instance=world.mine.instance
    )
    waiting = everything()
    assert delivery.deliver_due() == 1
    assert TYPED in django_mail.outbox[0].body
    sent = Mail.objects.get()
    client = world.client("owner")
    pages = [client.get(f"/console/accounts/mail/{page}").text for page in ("", f"{sent.pk}/change/")]
    assert "new@example.org" in pages[0]
    assert TYPED not in waiting + everything() + caplog.text + "".join(pages)


def test_a_hash_stands_in_no_answer(world: World) -> None:
    """Only the lab itself needs it."""
    for role in ("member", "owner", "administrator"):
        client = world.client(role)
        for url in (
            "/labs/",
            f"/labs/{world.mine.lab.pk}/",
            "/api/labs/",
            f"/api/labs/{world.mine.lab.pk}/",
            "/api/schema/",
        ):
            assert "secretsecret" not in client.get(url).text
