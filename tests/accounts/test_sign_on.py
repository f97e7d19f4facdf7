"""Whole flows between the site and a real OpenID provider: who gets in, as whom, and which addresses count."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.account.signals import user_logged_in
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import Role, User
from accounts.rules import identity
from labs.models import Event, Verb
from tests.accounts.conftest import configure
from tests.factories import PASSWORD, MembershipFactory, UserFactory
from tests.support.openid import Provider, come_back, onward, set_out, sign_in

pytestmark = pytest.mark.django_db

#: As Globus speaks of somebody from a university: an institution, and no word on whether the address is verified.
GLOBUS: dict[str, Any] = {
    "name": "Ada Example", "preferred_username": "ada@uni.example", "email": "ada@uni.example",
    "organization": "Example University", "identity_provider": "41143743-f3c8-4d60-bbdb-eeecaba85bd9",
    "identity_provider_display_name": "Example University", "last_authentication": 1_700_000_000,
}  # fmt: skip
#: As CILogon does, with the scope org.cilogon.userinfo.
CILOGON: dict[str, Any] = {
    "given_name": "Ben", "family_name": "Example", "email": "Ben@Lab.example", "eppn": "ben@lab.example",
    "idp": "https://idp.lab.example/shibboleth", "idp_name": "Example Laboratory",
    "affiliation": "staff@lab.example;member@lab.example", "eptid": "https://idp.lab.example!https://cilogon.org!x",
}  # fmt: skip


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def the_code() -> str:
    """The code of the last mail."""
    found = re.search(r"^([A-Z0-9]{2,}(?:-[A-Z0-9]{2,})*)$", mail.outbox[-1].body, re.M)
    assert found, mail.outbox[-1].body
    return found.group(1)


def test_globus_shape_of_claims_signs_in_with_a_verified_address(client: Client, provider: Provider) -> None:
    provider.knows("globus-1", **GLOBUS)
    answer = sign_in(client, provider, "globus-1", "globus")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    user = User.objects.get()
    assert (user.email, user.name, user.affiliation) == ("ada@uni.example", "Ada Example", "Example University")
    assert identity.verified_addresses(user) == {"ada@uni.example"}
    assert identity.vouched_affiliations(user) == ["Example University"]
    assert is_in(client)
    assert not user.has_usable_password()
    assert Event.objects.get(verb=Verb.ACCOUNT_LINKED).user == user


def test_cilogon_shape_of_claims_counts_where_the_address_is_said_to_be_verified(
    client: Client, provider: Provider
) -> None:
    provider.knows("cilogon-1", **CILOGON, email_verified=True)
    sign_in(client, provider, "cilogon-1", "cilogon")
    user = User.objects.get()
    assert (user.email, user.name, user.affiliation) == ("ben@lab.example", "Ben Example", "Example Laboratory (staff)")
    assert identity.verified_addresses(user) == {"ben@lab.example"}


@pytest.mark.parametrize(
    ("name", "email", "said"),
    [
        ("campus", "eve@uni.example", {"email_verified": True}),  # Not trusted at all.
        ("globus", "eve@elsewhere.example", {}),  # Trusted for another domain.
        ("globus", "eve@sub.uni.example", {}),  # Domains are written out one by one.
        ("globus", "eve@uni.example", {"email_verified": False}),  # It says no.
        ("globus", "eve@uni.example", {"email_verified": "false"}),  # It says no, as text.
        ("cilogon", "eve@uni.example", {}),  # Its silence is no yes.
        ("cilogon", "eve@uni.example", {"email_verified": None}),
    ],
)
def test_an_address_that_nobody_vouches_for_is_proved_by_a_code_before_anybody_is_in(
    client: Client, provider: Provider, name: str, email: str, said: dict[str, Any]
) -> None:
    provider.knows("eve", email=email, name="Eve", **said)
    answer = sign_in(client, provider, "eve", name)
    assert answer["Location"] == "/accounts/confirm-email/"
    assert not is_in(client)
    assert not EmailAddress.objects.filter(verified=True).exists()
    assert mail.outbox[-1].to == [email]
    assert "Eve" not in mail.outbox[-1].body
    assert client.post("/accounts/confirm-email/", {"code": "WRONG"}).status_code == 200
    assert not is_in(client)
    answer = client.post("/accounts/confirm-email/", {"code": the_code()})
    assert answer.status_code == 302
    assert is_in(client)
    assert identity.verified_addresses(User.objects.get()) == {email}


def test_the_address_is_right_before_anybody_hears_of_the_sign_in(client: Client, provider: Provider) -> None:
    seen: list[set[str]] = []

    def hear(sender: Any, user: User, **kwargs: Any) -> None:
        seen.append(identity.verified_addresses(user))

    provider.knows("globus-2", **GLOBUS)
    user_logged_in.connect(hear)
    try:
        sign_in(client, provider, "globus-2", "globus")
    finally:
        user_logged_in.disconnect(hear)
    assert seen == [{"ada@uni.example"}]


def test_the_same_subject_with_another_address_is_the_same_account(client: Client, provider: Provider) -> None:
    provider.knows("globus-3", **GLOBUS)
    sign_in(client, provider, "globus-3", "globus")
    provider.knows("globus-3", **{**GLOBUS, "email": "ada.new@uni.example"})
    sign_in(Client(), provider, "globus-3", "globus")
    user = User.objects.get()
    assert user.email == "ada@uni.example"
    assert identity.verified_addresses(user) == {"ada@uni.example", "ada.new@uni.example"}


def test_the_same_subject_of_another_provider_is_somebody_else(client: Client, provider: Provider) -> None:
    provider.knows("shared-subject", **GLOBUS)
    sign_in(client, provider, "shared-subject", "globus")
    provider.knows("shared-subject", email="other@lab.example", email_verified=True)
    sign_in(Client(), provider, "shared-subject", "cilogon")
    assert User.objects.count() == 2


def test_the_same_address_from_another_provider_opens_no_account_and_says_so(
    client: Client, provider: Provider
) -> None:
    provider.knows("globus-4", **GLOBUS)
    sign_in(client, provider, "globus-4", "globus")
    provider.knows("cilogon-4", email="ada@uni.example", email_verified=True)
    other = Client()
    answer = sign_in(other, provider, "cilogon-4", "cilogon")
    assert answer.status_code == 409
    assert "There is already an account with the address <b>ada@uni.example</b>" in answer.text
    assert "Sign in as you did before" in answer.text
    assert not is_in(other)
    assert SocialAccount.objects.count() == 1


@pytest.mark.parametrize("with_passwords", [True, False])
def test_an_account_that_was_made_for_somebody_is_theirs_when_a_trusted_provider_vouches_for_the_address(
    client: Client, provider: Provider, settings: Any, with_passwords: bool
) -> None:
    settings.PASSWORD_SIGN_IN, settings.SIGN_UP = with_passwords, "nobody"
    expected = made_for("ada@uni.example")
    membership = MembershipFactory(user=expected, role=Role.OWNER)
    provider.knows("globus-20", **GLOBUS)
    assert sign_in(client, provider, "globus-20", "globus")["Location"] == "/"
    assert client.session["_auth_user_id"] == str(expected.pk)
    assert client.get(f"/i/{membership.instance.slug}/people/").status_code == 200
    assert identity.verified_addresses(expected) == {"ada@uni.example"}
    assert Event.objects.get(verb=Verb.ACCOUNT_LINKED).user == expected
    again = Client()
    sign_in(again, provider, "globus-20", "globus")
    assert is_in(again)
    assert User.objects.count() == 1
    other = Client()
    provider.knows("cilogon-20", email="ada@uni.example", email_verified=True)
    assert sign_in(other, provider, "cilogon-20", "cilogon").status_code == 409, "used by now"


def made_for(email: str) -> User:
    """As an administrator makes it."""
    user = User.objects.create_user(email)
    assert not user.has_usable_password()
    return user


@pytest.mark.parametrize("name", ["campus", "cilogon"])
def test_an_account_that_was_made_for_somebody_is_not_opened_by_a_word_that_does_not_count(
    client: Client, provider: Provider, name: str
) -> None:
    made_for("ada@uni.example")
    provider.knows("eve-20", email="ada@uni.example", email_verified=name == "campus")
    sign_in(client, provider, "eve-20", name)
    assert not is_in(client)
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize(
    "fields", [{"is_superuser": True}, {"is_active": False}, {"last_login": timezone.now()}, {"password": "md5$x$y"}]
)
def test_an_account_of_an_administrator_or_one_that_was_used_is_not_moved_into(
    client: Client, provider: Provider, settings: Any, fields: dict[str, Any]
) -> None:
    settings.PASSWORD_SIGN_IN = False
    user = made_for("ada@uni.example")
    User.objects.filter(pk=user.pk).update(**fields)
    provider.knows("globus-21", **GLOBUS)
    answer = sign_in(client, provider, "globus-21", "globus")
    assert answer.status_code == 409
    assert not is_in(client)
    assert "Forgot your password" not in answer.text
    assert "ask the site administrators" in answer.text


def test_an_unproved_claim_to_a_taken_address_learns_nothing(client: Client, provider: Provider) -> None:
    owner = UserFactory(email="ada@uni.example")
    provider.knows("eve-2", email="ada@uni.example", email_verified=True)
    answer = sign_in(client, provider, "eve-2", "campus")
    assert answer["Location"] == "/accounts/confirm-email/"
    assert "You already have an account there" in mail.outbox[-1].body
    assert mail.outbox[-1].to == ["ada@uni.example"]
    assert not is_in(client)
    assert list(User.objects.all()) == [owner]
    assert not SocialAccount.objects.exists()


def test_an_address_claimed_by_a_stranger_keeps_nobody_out(client: Client, provider: Provider) -> None:
    provider.knows("eve-3", email="ada@uni.example", email_verified=True)
    sign_in(Client(), provider, "eve-3", "campus")  # Eve never sees the code.
    assert User.objects.get().email == "ada@uni.example"
    provider.knows("globus-5", **GLOBUS)
    sign_in(client, provider, "globus-5", "globus")
    assert is_in(client)
    assert [account.uid for account in SocialAccount.objects.all()] == ["globus-5"]
    assert identity.verified_addresses(User.objects.get()) == {"ada@uni.example"}


def test_a_provider_that_says_no_address_is_followed_by_a_question(client: Client, provider: Provider) -> None:
    provider.knows("orcid-1", name="Cara")
    answer = sign_in(client, provider, "orcid-1", next="/about/")
    assert answer["Location"] == "/accounts/3rdparty/signup/"
    page = client.get(answer["Location"])
    assert "not your e-mail address" in page.text
    assert 'value="Cara"' in page.text
    answer = client.post("/accounts/3rdparty/signup/", {"email": "cara@uni.example", "name": "Cara", "affiliation": ""})
    assert answer["Location"] == "/accounts/confirm-email/"
    assert not is_in(client)
    answer = client.post("/accounts/confirm-email/", {"code": the_code()})
    assert (answer.status_code, answer["Location"]) == (302, "/about/")
    assert is_in(client)
    assert identity.verified_addresses(User.objects.get()) == {"cara@uni.example"}


def test_denied_consent_is_a_page_and_no_account(client: Client, provider: Provider) -> None:
    answer = come_back(client, provider.denies(set_out(client)))
    assert answer["Location"] == "/accounts/3rdparty/login/cancelled/"
    assert "You are not signed in" in client.get(answer["Location"]).text
    assert not User.objects.exists()


def test_a_state_is_good_for_one_return_in_the_browser_that_set_out(client: Client, provider: Provider) -> None:
    provider.knows("globus-6", **GLOBUS)
    back = provider.consents(set_out(client, "globus"), "globus-6")
    stranger = come_back(Client(), back)
    assert stranger.status_code == 401
    assert "Please start again" in stranger.text
    assert come_back(client, back).status_code == 302
    client.logout()
    assert come_back(client, back).status_code == 401
    assert not is_in(client)


@pytest.mark.parametrize("tamper", ["state=x&code=y", "code=y", "state=x", "error=server_error", ""])
def test_a_return_that_was_never_begun_is_a_page(client: Client, provider: Provider, tamper: str) -> None:
    answer = client.get(f"/accounts/oidc/campus/login/callback/?{tamper}")
    assert answer.status_code == 401
    assert "Not signed in" in answer.text


def test_an_id_token_for_another_sign_in_is_refused(client: Client, provider: Provider) -> None:
    provider.knows("globus-7", **GLOBUS)
    address = re.sub("nonce=[^&]+", "nonce=another", set_out(client, "globus"))
    answer = come_back(client, provider.consents(address, "globus-7"))
    assert answer.status_code == 401
    assert not User.objects.exists()


def test_what_an_address_asks_for_is_not_passed_on_to_the_provider(client: Client, provider: Provider) -> None:
    address = set_out(client)
    forged = "/accounts/oidc/campus/login/?auth_params=redirect_uri%3Dhttps%3A%2F%2Fevil.example&scope=everything"
    page = onward(client.post(forged, {"process": "login"}))
    assert "evil.example" not in page
    assert "everything" not in page
    assert "code_challenge_method=S256" in address


@pytest.mark.parametrize(
    "forged", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_a_forged_next_leads_home(client: Client, provider: Provider, forged: str) -> None:
    provider.knows("globus-8", **GLOBUS)
    answer = sign_in(client, provider, "globus-8", "globus", next=forged)
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_a_get_goes_nowhere(client: Client, provider: Provider) -> None:
    answer = client.get("/accounts/oidc/campus/login/")
    assert answer.status_code == 200
    assert "Sign in with Campus" in answer.text
    assert "http-equiv" not in answer.text
    assert Client(enforce_csrf_checks=True).post("/accounts/oidc/campus/login/").status_code == 403


@pytest.mark.parametrize("name", ["nobody", "openid_connect", "github", "google"])
def test_a_provider_that_is_not_offered_is_not_found(client: Client, provider: Provider, name: str) -> None:
    for address in (f"/accounts/oidc/{name}/login/", f"/accounts/oidc/{name}/login/callback/?code=x&state=y"):
        assert client.get(address).status_code == 404
        assert client.post(address).status_code == 404


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "ada@uni.example", "name": "A\0da\n\u202eevil", "organization": ["no", "text"], "idp_name": {"a": 1}},
        {"email": "a" * 400 + "@uni.example", "name": "x" * 5000, "organization": "y" * 5000},
        {"email": ["ada@uni.example"], "name": 7, "given_name": None},
        {"email": "no address", "email_verified": True},
        {"email": "ada\0@uni.example"},
    ],
)
def test_odd_claims_are_taken_for_what_they_are_worth(
    client: Client, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.knows("odd", **claims)
    answer = sign_in(client, provider, "odd", "globus")
    assert answer.status_code == 302
    for user in User.objects.all():
        assert (user.email, user.name, user.affiliation) == ("ada@uni.example", "A da evil", "")
    if not User.objects.exists():
        assert answer["Location"] == "/accounts/3rdparty/signup/"
        assert client.get(answer["Location"]).status_code == 200


# A provider that does not do as it should -------------------------------------------------------------------------------


def lose(key: str) -> Any:
    return lambda told: told.pop(key, None)


def say(key: str, value: Any) -> Any:
    return lambda told: told.update({key: value})


@pytest.mark.parametrize(
    ("path", "lie"),
    [
        ("/.well-known/openid-configuration", lose("token_endpoint")),
        ("/.well-known/openid-configuration", say("issuer", "https://evil.example")),
        ("/.well-known/openid-configuration", say("jwks_uri", "http://localhost:9/jwks")),
        ("/jwks", say("keys", [])),
        ("/jwks", lose("keys")),
        ("/oauth2/token", lose("id_token")),
        ("/oauth2/token", lose("access_token")),
        ("/oauth2/token", say("id_token", "no token")),
        ("/oauth2/token", say("id_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.")),
        ("/userinfo", say("sub", "somebody else")),
        ("/userinfo", lose("sub")),
    ],
)
def test_a_provider_that_answers_wrongly_signs_nobody_in(
    client: Client, provider: Provider, path: str, lie: Any
) -> None:
    provider.knows("globus-9", **GLOBUS)
    back = provider.consents(set_out(client, "globus"), "globus-9")
    provider.lies[path] = lie
    answer = come_back(client, back)
    assert answer.status_code == 401
    assert "is not responding correctly" in answer.text
    assert not User.objects.exists()


def test_a_provider_that_is_down_is_a_page(
    client: Client, provider: Provider, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.knows("globus-10", **GLOBUS)
    back = provider.consents(set_out(client, "globus"), "globus-10")
    configure("http://localhost:9", settings, monkeypatch)
    for answer in (client.post("/accounts/oidc/globus/login/", {"process": "login"}), come_back(client, back)):
        assert answer.status_code == 401
        assert "is not responding correctly" in answer.text


def test_a_code_that_cannot_be_mailed_is_a_page(client: Client, provider: Provider, settings: Any) -> None:
    settings.EMAIL_BACKEND = "accounts.backends.NoServer"
    provider.knows("eve-4", email="eve@elsewhere.example")
    answer = sign_in(client, provider, "eve-4")
    assert answer.status_code == 503
    assert "the site cannot send e-mails" in answer.text
    assert not is_in(client)


# Linking ---------------------------------------------------------------------------------------------------------------


def with_password(user: User) -> Client:
    """Signed in through the form, and asked once more whether it is them."""
    client = Client()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302
    return client


def test_a_signed_in_person_links_and_unlinks(provider: Provider) -> None:
    user = UserFactory(affiliation="")
    client = with_password(user)
    provider.knows("globus-11", **GLOBUS)
    answer = sign_in(client, provider, "globus-11", "globus", process="connect")
    assert answer["Location"] == "/accounts/3rdparty/"
    assert "You can now sign in with Globus" in client.get("/accounts/3rdparty/").text
    assert User.objects.get() == user
    assert identity.verified_addresses(user) == {user.email, "ada@uni.example"}
    user.refresh_from_db()
    assert user.affiliation == "Example University"
    elsewhere = Client()
    sign_in(elsewhere, provider, "globus-11", "globus")
    assert int(elsewhere.session["_auth_user_id"]) == user.pk
    account = SocialAccount.objects.get()
    assert client.post("/accounts/3rdparty/", {"account": account.pk}).status_code == 302
    assert not SocialAccount.objects.exists()
    verbs = Event.objects.filter(user=user).order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == [Verb.ACCOUNT_LINKED, Verb.ACCOUNT_UNLINKED]
    assert not SocialToken.objects.exists()


def test_a_sign_in_of_another_account_is_not_taken_from_it(client: Client, provider: Provider) -> None:
    provider.knows("globus-12", **GLOBUS)
    sign_in(client, provider, "globus-12", "globus")
    other = with_password(UserFactory())
    sign_in(other, provider, "globus-12", "globus", process="connect")
    assert "linked to another account" in other.get("/accounts/3rdparty/").text
    assert SocialAccount.objects.get().user.email == "ada@uni.example"


def test_linking_asks_first_whether_it_is_still_the_same_person(provider: Provider) -> None:
    user, client = UserFactory(), Client()
    client.force_login(user)
    answer = client.post("/accounts/oidc/campus/login/", {"process": "connect"})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    page = client.post(answer["Location"], {"password": PASSWORD})
    provider.knows("campus-1", email="ada@uni.example")
    assert come_back(client, provider.consents(onward(page), "campus-1"))["Location"] == "/accounts/3rdparty/"
    assert SocialAccount.objects.get().user == user


def test_nobody_unlinks_their_only_way_in_or_that_of_another(client: Client, provider: Provider) -> None:
    provider.knows("globus-13", **GLOBUS)
    sign_in(client, provider, "globus-13", "globus")
    account = SocialAccount.objects.get()
    answer = client.post("/accounts/3rdparty/", {"account": account.pk})
    assert "your only way to sign in" in answer.text
    with_password(UserFactory()).post("/accounts/3rdparty/", {"account": account.pk})
    assert SocialAccount.objects.filter(pk=account.pk).exists()


def test_a_closed_account_stays_closed(client: Client, provider: Provider) -> None:
    provider.knows("globus-14", **GLOBUS)
    sign_in(client, provider, "globus-14", "globus")
    User.objects.update(is_active=False)
    other = Client()
    answer = sign_in(other, provider, "globus-14", "globus")
    assert answer["Location"] == "/accounts/inactive/"
    assert "closed" in other.get(answer["Location"]).text
    assert not is_in(other)
    assert client.get("/profile/").status_code == 302


def test_who_begins_in_many_tabs_comes_back_in_each(client: Client, provider: Provider) -> None:
    provider.knows("globus-30", **GLOBUS)
    first = set_out(client, "globus")
    for _ in range(14):
        set_out(client, "globus")
    assert come_back(client, provider.consents(first, "globus-30")).status_code == 302
    assert is_in(client)


def test_somebody_whose_subject_has_changed_is_told_whom_to_ask_and_an_administrator_helps(
    client: Client, provider: Provider, settings: Any
) -> None:
    settings.PASSWORD_SIGN_IN = False
    provider.knows("globus-31", **GLOBUS)
    sign_in(client, provider, "globus-31", "globus")
    person = User.objects.get()
    admin = UserFactory(is_superuser=True)
    provider.knows("globus-32", **GLOBUS)
    answer = sign_in(Client(), provider, "globus-32", "globus")
    assert answer.status_code == 409
    assert "contact the site administrators" in answer.text
    console, page = Client(), f"/console/accounts/user/{person.pk}/unlink/"
    console.force_login(admin)
    assert "globus: globus-31" in console.get(page).text
    assert SocialAccount.objects.count() == 1
    console.post(page)
    event = Event.objects.get(verb=Verb.ACCOUNT_UNLINKED)
    assert (event.actor, event.user, event.subject) == (admin, person, "globus: globus-31")
    assert client.get("/profile/").status_code == 302, "signed out"
    again = Client()
    sign_in(again, provider, "globus-32", "globus")
    assert again.session["_auth_user_id"] == str(person.pk)
    assert SocialAccount.objects.get().uid == "globus-32"


@pytest.mark.parametrize("who", ["owner", "self", "of an administrator"])
def test_nobody_else_unlinks_sign_ins_in_the_console(who: str) -> None:
    admin, other = UserFactory(is_superuser=True), UserFactory(is_superuser=True)
    owner, member = MembershipFactory(role=Role.OWNER).user, UserFactory()
    actor = owner if who == "owner" else admin
    row = {"owner": member, "self": admin, "of an administrator": other}[who]
    SocialAccount.objects.create(user=row, provider="globus", uid="kept")
    console = Client()
    console.force_login(actor)
    console.post(f"/console/accounts/user/{row.pk}/unlink/")
    assert SocialAccount.objects.filter(uid="kept").exists()


def test_an_account_with_a_password_is_not_opened_by_unlinking(client: Client, provider: Provider) -> None:
    provider.knows("globus-33", **GLOBUS)
    sign_in(client, provider, "globus-33", "globus")
    person = User.objects.get()
    person.set_password(PASSWORD)
    person.save()
    console = Client()
    console.force_login(UserFactory(is_superuser=True))
    console.post(f"/console/accounts/user/{person.pk}/unlink/")
    provider.knows("globus-34", **GLOBUS)
    assert sign_in(Client(), provider, "globus-34", "globus").status_code == 409
