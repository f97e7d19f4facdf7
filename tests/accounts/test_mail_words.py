"""What mails say: golden texts for every kind (GOLDEN=write accepts what is said now), an instance's own words, and text of people that
must stay text."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Mail, MailKind, MailTemplate, Role, Status
from accounts.services import wording, wordings
from accounts.services.wording import Rendered, Words
from labs.errors import Refusal
from labs.models import Event, Verb
from tests.factories import InstanceFactory, LetterFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db
GOLDEN = Path(__file__).parent / "golden"
CONTEXT: dict[str, Any] = {
    "note": "Welcome!\nThe first exercise is due on Monday.",
    "people": ["Mina Member, Example University: I take the course.", "Sam Second"],
    "role": "staff",
    "inviter": "Olga Owner",
    "until": "14 Dec 2026",
    "lab": "my-lab",
    "left": "1 hour",
    "waited": "25 minutes",
    "more": "You can extend it by up to 20 hours on its page.",
    "why": "Its machine was taken out of service.",
    "what": "The machine ran short of memory. The lab was ended to protect the machine.",
    "next": "Launch a new lab.",
    "count": "2 labs",
    "labs": "my-lab (Mina Member): Its machine was taken out of service.\nother (Sam Second): Its machine was taken out of service.",
}
#: What a kind calls by a name that another has for something else.
OWN: dict[str, dict[str, Any]] = {
    MailKind.LABS_STOPPED: {"labs": "mina-lab\nmina-lab-2", "why": "Stefan Staff stopped labs in Physics 250."}
}
CRAFTED = 'Eve <script>alert(1)</script>\r\nBcc: all@example.org\u202egnp.exe {link} {{ settings }}"'


def signed(mail: Mail) -> dict[str, str]:
    return {"link": "http://testserver/invitations/signed-token/"}


@pytest.fixture(autouse=True)
def invitations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "HOOKS", {MailKind.INVITATION: f"{__name__}.signed"})


def mail_of(kind: MailKind, **fields: Any) -> Mail:
    user = UserFactory(name="Ada Lovelace", email="ada@example.org")
    instance = InstanceFactory(title="Physics 250", slug="physics-250")
    context = {**CONTEXT, **OWN.get(kind, {}), "by": UserFactory(name="Olga Owner", email="owner@example.org").pk}
    made = {"recipient": user.email, "user": user, "instance": instance, "context": context, **fields}
    if kind == MailKind.LETTER:
        made["letter"] = LetterFactory(instance=instance, author__name="Olga Owner", author__email="olga@example.org")
    return Mail(kind=kind, key=kind, **made)


@pytest.mark.parametrize("kind", MailKind)
def test_every_kind_says_what_the_golden_text_says(kind: MailKind) -> None:
    mail = wording.compose(mail_of(kind))
    said = re.sub(r"instance__id__exact=\d+", "instance__id__exact=1", f"Subject: {mail.subject}\n\n{mail.text}")
    if os.environ.get("GOLDEN") == "write":
        (GOLDEN / f"{kind}.txt").write_text(said)
    assert said == (GOLDEN / f"{kind}.txt").read_text()


@pytest.mark.parametrize("kind", MailKind)
def test_html_loads_nothing_and_links_to_this_site_only(kind: MailKind) -> None:
    html = wording.compose(mail_of(kind)).html
    assert not re.search(r"<(img|script|link|iframe|object|form|table)\b|url\(|@import|\son\w+=", html)
    links = re.findall(r'href="([^"]*)"', html)
    assert all(link.startswith("http://testserver") for link in links if "example.org/exercise" not in link)
    assert html.count('class="button"') <= 1


def test_who_waits_is_looked_up_when_the_mail_is_sent() -> None:
    mail = mail_of(MailKind.REQUESTS_WAITING, context={})
    MembershipFactory(instance=mail.instance, user=mail.user, role=Role.OWNER)
    with pytest.raises(wording.NotNeeded):
        wording.compose(mail)
    for number in range(25):
        MembershipFactory(instance=mail.instance, status=Status.REQUESTED, reason=f"Reason {number}")
    said = wording.compose(mail)
    assert said.subject == "Physics 250: 25 requests are waiting"
    assert "Reason 19" in said.text
    assert "Reason 20" not in said.text
    assert "and 5 more" in said.text


def test_a_paragraph_without_anything_to_say_is_left_out() -> None:
    text = wording.compose(mail_of(MailKind.ACCESS_APPROVED, context={})).text
    assert ">" not in text
    assert "\n\n\n" not in text


def test_an_instances_own_words_are_used_there_and_nowhere_else() -> None:
    mail = mail_of(MailKind.ACCESS_APPROVED)
    MailTemplate.objects.create(
        instance=mail.instance, kind=mail.kind, subject="Bienvenue, {name}", body="{instance} vous attend.\n\n{link}"
    )
    said = wording.compose(mail)
    assert said.subject == "Bienvenue, Ada Lovelace"
    assert said.text.startswith("Physics 250 vous attend.\n\nOpen Physics 250:\nhttp://testserver/i/physics-250/")
    elsewhere = mail_of_other(mail)
    assert "Bienvenue" not in wording.compose(elsewhere).subject


def mail_of_other(mail: Mail) -> Mail:
    return Mail(kind=mail.kind, key="other", recipient=mail.recipient, user=mail.user, instance=InstanceFactory())


@pytest.mark.parametrize("kind", [kind for kind in MailKind if kind != MailKind.LETTER])
def test_crafted_names_and_notes_stay_text(kind: MailKind) -> None:
    user = UserFactory(name=CRAFTED)
    context = {**CONTEXT, "note": CRAFTED, "inviter": CRAFTED, "people": [CRAFTED], "until": CRAFTED, "role": CRAFTED}
    instance = InstanceFactory(title=CRAFTED[:120])
    _safe(wording.compose(Mail(kind=kind, recipient=user.email, user=user, instance=instance, context=context)))


def test_a_crafted_letter_stays_text() -> None:
    letter = LetterFactory(
        subject=CRAFTED,
        text=f"{CRAFTED}\n\nhttps://evil.example/<script>",
        author_name=CRAFTED,
        author_email="o@example.org",
    )
    mail = Mail(kind=MailKind.LETTER, recipient="ada@example.org", instance=letter.instance, letter=letter)
    _safe(wording.compose(mail))


def _safe(mail: Rendered) -> None:
    assert "<script" not in mail.html
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject
    assert not wording.TURNING & set(mail.subject + mail.text + mail.html)
    assert "settings }}" in mail.text or "settings" not in mail.text, "no template language reads it"


def test_a_value_that_looks_like_a_placeholder_is_not_filled_in() -> None:
    mail = mail_of(MailKind.ACCESS_APPROVED)
    mail.user = UserFactory(name="{link}{note}")
    assert "Hello {link}{note}," in wording.compose(mail).text


@pytest.mark.parametrize(
    ("kind", "subject", "body", "field", "says"),
    [
        (MailKind.ACCESS_APPROVED, "Hi", "Hello {nmae}", "body", "no placeholder {nmae}"),
        (MailKind.ACCESS_APPROVED, "{settings.SECRET_KEY}", "Hello", "subject", "no placeholder {settings.SECRET_KEY}"),
        (MailKind.INVITATION, "Hi", "Hello {name}", "body", "needs {link}"),
        (MailKind.ACCESS_APPROVED, "See {link}", "Hello", "subject", "The subject cannot contain {link}"),
    ],
)
def test_words_that_do_not_do_are_refused_with_a_sentence(
    kind: MailKind, subject: str, body: str, field: str, says: str
) -> None:
    with pytest.raises(Refusal) as refused:
        wording.check(kind, Words(subject, body))
    assert says in refused.value.errors[field]


@pytest.mark.parametrize("kind", [kind for kind in MailKind if kind != MailKind.LETTER])
def test_the_sites_own_words_pass_the_check(kind: MailKind) -> None:
    wording.check(kind, wording.built_in(kind))


def test_only_an_owner_changes_the_words_and_it_is_in_the_history() -> None:
    instance = InstanceFactory()
    people = {role: MembershipFactory(instance=instance, role=role).user for role in Role}
    stranger = MembershipFactory(role=Role.OWNER).user
    words = {"instance": instance, "kind": MailKind.ACCESS_DENIED, "subject": "Sorry", "body": "Not this term."}
    for actor in (people[Role.STAFF], people[Role.MEMBER], stranger):
        with pytest.raises(Refusal):
            wordings.save(MailTemplate(**words), actor=actor, now=timezone.now())
    template = MailTemplate(**words)
    wordings.save(template, actor=people[Role.OWNER], now=timezone.now())
    template.subject = "Sorry, {name}"
    wordings.save(template, actor=people[Role.OWNER], now=timezone.now())
    event = Event.objects.filter(verb=Verb.INSTANCE_CHANGED, instance=instance).first()
    assert event
    assert (event.before["subject"], event.after["subject"]) == ("Sorry", "Sorry, {name}")
    with pytest.raises(Refusal):
        wordings.remove(template, actor=people[Role.STAFF], now=timezone.now())
    wordings.remove(template, actor=people[Role.OWNER], now=timezone.now())
    assert not MailTemplate.objects.exists()


def test_a_link_to_another_site_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.signed", lambda mail: {"link": "http://testserver.evil.example/"})
    with pytest.raises(ValueError, match="only link to this site"):
        wording.compose(mail_of(MailKind.INVITATION))


def test_a_long_link_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "http://testserver/invitations/" + "a" * 900
    monkeypatch.setattr(f"{__name__}.signed", lambda mail: {"link": long})
    mail = wording.compose(mail_of(MailKind.INVITATION))
    assert long in mail.text
    assert long in mail.html


@pytest.mark.parametrize(
    "body",
    [
        "Come: https://elsewhere.example/?u={link}",
        "{link} and more",
        "First:\n\nSee {link}",
        "{link}{link}",
        "{{link}}",
        "https://elsewhere.example/?u=\u2028{link}",
        "{link}\n\n<{link}>",
    ],
)
def test_the_link_stands_alone_or_is_not_mailed(body: str) -> None:
    """A link of an invitation lets somebody in: joined to an owner's text it could be sent to another site."""
    with pytest.raises(Refusal) as refusal:
        wording.check(MailKind.INVITATION, Words("Come", body))
    assert "separate line" in refusal.value.errors["body"]
    mail = mail_of(MailKind.INVITATION)
    MailTemplate.objects.create(instance=mail.instance, kind=MailKind.INVITATION, subject="Come", body=body)
    said = wording.compose(mail)
    assert "elsewhere" not in said.text + said.html
    assert re.search(r"^http://testserver/invitations/signed-token/$", said.text, re.M)


def test_a_link_on_a_line_of_its_own_is_an_owners_wording() -> None:
    wording.check(MailKind.INVITATION, Words("Come", "Hello {name},\nopen this:\n{link}\n\nBye"))
