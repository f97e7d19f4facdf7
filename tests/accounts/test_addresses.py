"""One form for addresses: whatever signs somebody pasted, the same mailbox is the same person, everywhere an address comes in."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.core import mail
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.test import Client

from accounts.addresses import BadAddress, domain, is_as_said, normalised, searched
from accounts.models import Mail, RosterEntry, User
from accounts.rules import identity
from labs.admin.domains import DomainsField
from mlsite import sign_in_settings
from tests.factories import PASSWORD, InstanceFactory, UserFactory
from tests.support.openid import Provider, sign_in

ANN = "ann.lee@uni.example"
#: Signs that nobody sees, by which one address becomes many.
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060"
    "\u2061\u2064\u2066\u2069\u206a\u206f\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\ufff9\U000e0001\U000e0041\U000e0100"
)


@pytest.mark.parametrize("sign", UNSEEN, ids=lambda sign: f"U+{ord(sign):04X}")
def test_a_sign_that_nobody_sees_makes_no_other_address(sign: str) -> None:
    for text in (f"{sign}{ANN}", f"{ANN}{sign}", f"ann{sign}.lee@uni.example", f"ann.lee@uni{sign}.example"):
        assert normalised(text) == ANN


@pytest.mark.parametrize(
    "text",
    [
        f"{ANN}；", f"{ANN}，", f"{ANN}。", f"{ANN}、", f"“{ANN}”", f"‘{ANN}’", f"«{ANN}»", f"<{ANN}>", f"＜{ANN}＞", f"'{ANN}'",
        f"{ANN}.", f"\u00a0{ANN}\u3000", f" {ANN}\r\n", ANN.upper(), "ann.lee＠uni.example", "ａｎｎ.lee@uni。example", f"({ANN});",
    ],
)  # fmt: skip
def test_what_programs_write_around_an_address_is_taken_off(text: str) -> None:
    assert normalised(text) == ANN


def test_a_domain_and_its_xn_form_are_one() -> None:
    assert normalised("dan@münchen.example") == normalised("Dan@XN--MNCHEN-3YA.example") == "dan@xn--mnchen-3ya.example"
    assert domain("@München.example") == "xn--mnchen-3ya.example"
    # Two registrations, two people (IDNA 2008); the older standard made one of them.
    assert normalised("ann@faß.example") != normalised("ann@fass.example")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jürgen@uni.example", "ü (latin small letter u with diaeresis)"),
        ("\u017fam@uni.example", "long s"),
        ("a\u0301nn@uni.example", "combining acute accent"),
        ("ann@uni.example\u0301", "combining acute accent"),
        ("аnn@uni.example", "cyrillic small letter a"),
        ("ann@unі.example", "cyrillic"),
        ("ann\u2011lee@uni.example", "non-breaking hyphen"),
        ("ann@uni\u2011x.example", "non-breaking hyphen"),
        ("ann@نامه\u200cای.example", "zero width non-joiner"),
        ("a;b@uni.example", "a semicolon"),
        ("ann，bob@uni.example", "a comma"),
        ("ann lee@uni.example", "a space"),
        ("a\0nn@uni.example", "u+0000"),
        ("\ud800nn@uni.example", "u+d800"),
        ('"ann"@uni.example', "a quotation mark"),
        (f"{ANN}; bob@uni.example", "more than one"),
        ("hal@uni", "not a complete domain"),
        ("ivy@localhost", "not a complete domain"),
        ("ann@10.0.0.1", "not a complete domain"),
        ("ann@xn--zz--.example", "not a complete domain"),
        ("", "not an e-mail address"),
        (f"{'a' * 250}@uni.example", "not an e-mail address"),
        ("a" * 100_000, "not an e-mail address"),
    ],
)  # fmt: skip
def test_what_may_be_somebody_else_is_refused_with_the_sign_named(text: str, words: str) -> None:
    with pytest.raises(BadAddress, match="“") as refused:
        normalised(text)
    assert words in str(refused.value)
    str(refused.value).encode()


def test_an_address_of_long_ago_is_still_found() -> None:
    assert searched(" Admin@localhost ") == "admin@localhost"
    assert is_as_said(ANN.upper())
    assert not is_as_said(f"ann\u200b{ANN[3:]}")


@pytest.mark.django_db
def test_people_sign_up_in_and_ask_for_a_password_with_what_they_pasted(client: Client, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "none"
    form = {"name": "Ann", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/accounts/signup/", {**form, "email": "\u200bann.lee@Uni.example；"}).status_code == 302
    assert User.objects.get().email == EmailAddress.objects.get().email == ANN
    client.logout()
    answer = client.post("/accounts/login/", {"login": f"“{ANN}”\u200b", "password": PASSWORD})
    assert answer.status_code == 302
    client.logout()
    client.post("/accounts/password/reset/", {"email": f"{ANN}\u00ad"})
    assert mail.outbox[-1].to == [ANN]
    answer = client.post("/accounts/signup/", {**form, "email": "jürgen@uni.example"})
    assert "latin small letter u with diaeresis" in answer.content.decode()
    assert "Ann" in answer.content.decode(), "nothing typed is lost"


@pytest.mark.django_db
def test_nobody_adds_another_persons_address_with_an_unseen_sign(client: Client) -> None:
    other = UserFactory(email=ANN)
    EmailAddress.objects.create(user=other, email=ANN, verified=True, primary=True)
    user = UserFactory(email="eve@uni.example")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    client.login(email=user.email, password=PASSWORD)
    client.post("/accounts/email/", {"action_add": "", "email": "ann.lee\u2060@uni.example"})
    assert not EmailAddress.objects.filter(user=user).exclude(email=user.email).exists()


@pytest.mark.django_db
def test_a_claim_with_unseen_signs_is_no_other_address_and_no_proof(client: Client, provider: Provider) -> None:
    provider.knows("ann-1", name="Ann", email="ann\u200b.lee@uni.example", email_verified=True)
    sign_in(client, provider, "ann-1", "globus")
    assert not User.objects.filter(email__contains="\u200b").exists()
    assert not EmailAddress.objects.filter(verified=True).exists()


@pytest.mark.django_db
def test_a_claim_meets_the_roster_however_its_domain_is_written(
    client: Client, provider: Provider, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGN_IN_GLOBUS_TRUSTED_DOMAINS", "München.example")
    settings.SOCIALACCOUNT_PROVIDERS = sign_in_settings.providers(allow_http=True)
    entry = RosterEntry.objects.create(instance=InstanceFactory(), email="Dan@xn--mnchen-3ya.example")
    provider.knows("dan-1", name="Dan", email="dan@münchen.example", email_verified=True)
    sign_in(client, provider, "dan-1", "globus")
    entry.refresh_from_db()
    assert identity.verified_addresses(User.objects.get()) == {entry.email}
    assert entry.user == User.objects.get()


def test_domains_of_settings_and_courses_have_the_same_form(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DomainsField().clean("@München.example, uni.example.") == ["xn--mnchen-3ya.example", "uni.example"]
    with pytest.raises(ValidationError, match="Not a domain: localhost"):
        DomainsField().clean("localhost")
    monkeypatch.setenv("SIGN_IN_PROVIDERS", "globus")
    for name, value in {"CLIENT_ID": "x", "CLIENT_SECRET": "x", "TRUSTED_DOMAINS": "uni_x.example"}.items():
        monkeypatch.setenv(f"SIGN_IN_GLOBUS_{name}", value)
    with pytest.raises(ImproperlyConfigured, match="SIGN_IN_GLOBUS_TRUSTED_DOMAINS"):
        sign_in_settings.providers(allow_http=False)


@pytest.mark.django_db
def test_rows_made_by_code_are_in_the_form_or_refused() -> None:
    assert User.objects.create_user(f"{ANN}\u200b").email == ANN
    assert RosterEntry.objects.create(instance=InstanceFactory(), email=f"\ufeff{ANN}").email == ANN
    with pytest.raises(BadAddress):
        User(email="jürgen@uni.example").save()
    with pytest.raises(ValidationError, match="diaeresis"):
        User(email="jürgen@uni.example").clean()


@pytest.mark.django_db
def test_rows_of_before_get_the_form_where_nobody_else_has_it() -> None:
    mend = import_module("accounts.migrations.0011_addresses_in_one_form").mend
    instance = InstanceFactory()
    kept: dict[str, User] = {}
    for key, old in {
        "hidden": "bo\u200bb@uni.example",
        "idn": "dan@münchen.example",
        "twin": "kim@uni.example\u200b",
    }.items():
        user = UserFactory(email=f"{key}@old.example")
        row = EmailAddress.objects.create(user=user, email=f"{key}@old.example", verified=True, primary=True)
        entry = RosterEntry.objects.create(instance=instance, email=f"{key}@old.example")
        for model, pk in ((User, user.pk), (EmailAddress, row.pk), (RosterEntry, entry.pk)):
            model._default_manager.filter(pk=pk).update(email=old)
        Mail.objects.create(key=key, kind="access-approved", user=user, recipient=old)
        kept[key] = user
    UserFactory(email="kim@uni.example")
    RosterEntry.objects.create(instance=instance, email="kim@uni.example")
    odd = UserFactory(email="odd@old.example")
    User.objects.filter(pk=odd.pk).update(email="admin@localhost")

    mend(apps, None)

    emails = {key: User.objects.get(pk=user.pk).email for key, user in kept.items()}
    assert emails == {"hidden": "bob@uni.example", "idn": "dan@xn--mnchen-3ya.example", "twin": "kim@uni.example\u200b"}
    proved = {row.email: row.verified for row in EmailAddress.objects.all()}
    assert proved["dan@xn--mnchen-3ya.example"]
    assert not proved["bob@uni.example"]
    assert Mail.objects.get(key="hidden").recipient == "bob@uni.example"
    on_roster = set(RosterEntry.objects.values_list("email", flat=True))
    assert on_roster == {"bob@uni.example", "dan@xn--mnchen-3ya.example", "kim@uni.example", "kim@uni.example\u200b"}
    odd.refresh_from_db()
    odd.save()  # as a sign-in does
    assert User.objects.get_by_natural_key("admin@localhost") == odd
