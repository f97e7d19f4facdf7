"""One's own account: sessions, data, deletion; and what is there at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, Role, RosterEntry, User
from accounts.rules import identity
from accounts.services import deletion, sign_in
from accounts.services.sweep import sweep
from labs.models import Event, Lab, State, Verb
from tests.factories import PASSWORD, EventFactory, LabFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


# Sessions --------------------------------------------------------------------------------------------------------------


def test_signing_out_everywhere_ends_every_session_of_that_person_and_no_other() -> None:
    user, other = UserFactory(), UserFactory()
    here, there, strangers = signed_in(user), signed_in(user), signed_in(other)
    assert here.get("/accounts/sessions/").text.count("<li>") == 2
    assert here.post("/profile/sign-out-everywhere/").status_code == 302
    assert [is_in(client) for client in (here, there, strangers)] == [False, False, True]
    assert [row.user for row in UserSession.objects.all()] == [other]


def test_signing_out_elsewhere_keeps_this_session() -> None:
    user = UserFactory()
    here, there = signed_in(user), signed_in(user)
    assert here.post("/accounts/sessions/").status_code == 302
    assert [is_in(client) for client in (here, there)] == [True, False]


def test_another_password_ends_the_other_sessions() -> None:
    user = UserFactory()
    here, there = signed_in(user), signed_in(user)
    word = "quite-another-password"
    here.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": word, "password2": word})
    assert not is_in(there)


# What is kept ----------------------------------------------------------------------------------------------------------


def test_the_data_are_ones_own_and_hold_no_secret() -> None:
    mine, other = MembershipFactory(reason="I take it."), MembershipFactory()
    client = signed_in(mine.user)
    LabFactory(owner=mine.user, instance=mine.instance, name="my-lab", password_hash="argon2:secret")
    LabFactory(owner=other.user, name="their-lab")
    RosterEntry.objects.create(
        instance=mine.instance, email=mine.user.email, user=mine.user, notes={"number": "17"}, limits={"gpus": 1}
    )
    RosterEntry.objects.create(instance=other.instance, email=other.user.email, user=other.user, notes={"number": "18"})
    EventFactory(user=mine.user, actor=other.user, actor_name=other.user.email, subject="my-event")
    Authenticator.objects.create(user=mine.user, type=Authenticator.Type.TOTP, data={"secret": "hush"})
    SocialAccount.objects.create(user=mine.user, provider="campus", uid="subject-7")
    answer = client.get("/profile/data/")
    assert answer["Content-Disposition"] == 'attachment; filename="my-data.json"'
    told = json.loads(answer.content)
    assert told["profile"]["email"] == mine.user.email
    assert [row["name"] for row in told["labs"]] == ["my-lab"]
    assert [row["uid"] for row in told["sign_ins"]] == ["subject-7"]
    assert [(row["notes"], row["limits"]) for row in told["rosters"]] == [({"number": "17"}, {"gpus": 1})]
    assert told["memberships"][0]["reason"] == "I take it."
    for never in ("hush", "argon2", "their-lab", other.user.email, mine.user.password):
        assert never not in answer.text


def test_profile_pages_are_for_who_is_signed_in() -> None:
    for page in ("", "data/", "delete/", "again/"):
        assert Client().get(f"/profile/{page}")["Location"].startswith("/accounts/login/")


def test_queries_of_the_profile_do_not_grow(django_assert_max_num_queries: Any) -> None:
    user = UserFactory()
    client = signed_in(user)
    for number in range(12):
        MembershipFactory(user=user)
        SocialAccount.objects.create(user=user, provider="campus", uid=str(number))
        EmailAddress.objects.create(user=user, email=f"a{number}@example.org")
    with django_assert_max_num_queries(14):
        assert client.get("/profile/").status_code == 200


# Deletion --------------------------------------------------------------------------------------------------------------


def everything_of(user: User) -> Membership:
    membership = MembershipFactory(user=user)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    SocialAccount.objects.create(user=user, provider="campus", uid="subject-8")
    Authenticator.objects.create(user=user, type=Authenticator.Type.RECOVERY_CODES, data={})
    RosterEntry.objects.create(instance=membership.instance, email=user.email, user=user)
    return membership


def test_deletion_ends_what_runs_first_and_then_forgets_the_person() -> None:
    user = UserFactory(email="gone@example.org")
    membership = everything_of(user)
    lab = LabFactory(owner=user, instance=membership.instance, state=State.RUNNING)
    others = LabFactory(instance=membership.instance, state=State.RUNNING)
    Authenticator.objects.filter(user=user).delete()
    client, elsewhere = signed_in(user), signed_in(user)
    answer = client.post("/profile/delete/", {"address": "GONE@example.org "})
    assert answer.status_code == 302
    user.refresh_from_db()
    lab.refresh_from_db()
    others.refresh_from_db()
    assert (lab.state, others.state) == (State.STOPPING, State.RUNNING)
    assert (user.email, user.is_active, user.closing_at is None) == ("gone@example.org", False, False)
    assert not is_in(client)
    assert not is_in(elsewhere)
    sweep(timezone.now())
    user.refresh_from_db()
    assert user.email == "gone@example.org", "not before the lab is gone"
    Lab.objects.filter(pk=lab.pk).update(state=State.ENDED, ended_at=timezone.now())
    sweep(timezone.now())
    user.refresh_from_db()
    assert (user.email, user.name, user.affiliation) == (f"deleted-{user.pk}@deleted.invalid", "", "")
    assert (user.is_active, user.closing_at, user.has_usable_password()) == (False, None, False)
    for model in (Membership, EmailAddress, SocialAccount, Authenticator, UserSession):
        assert not model.objects.filter(user=user).exists(), model
    assert RosterEntry.objects.get(email="gone@example.org").user is None
    lines = Event.objects.filter(verb=Verb.ACCOUNT_DELETED, user=user)
    assert {line.instance for line in lines} == {membership.instance, None}
    assert Lab.objects.get(pk=lab.pk).owner == user


def test_the_page_of_deletion_says_what_stays_on_the_lists_of_courses() -> None:
    text = signed_in(UserFactory()).get("/profile/delete/").text
    assert "your address, your name and the course’s notes stay there" in text


def test_deletion_is_done_at_once_when_nothing_runs_and_the_address_is_free_again() -> None:
    user = UserFactory(email="gone@example.org")
    everything_of(user)
    assert deletion.delete_account(user, now=timezone.now())
    assert not sign_in.is_taken("gone@example.org")
    assert User.objects.create_user("gone@example.org").pk != user.pk
    assert deletion.finish_all(timezone.now()) == 0


def test_the_only_owner_stays_and_is_told_why() -> None:
    membership = MembershipFactory(role=Role.OWNER)
    client = signed_in(membership.user)
    for answer in (client.get("/profile/delete/"), client.post("/profile/delete/", {"address": membership.user.email})):
        assert "You are the only owner of" in answer.text
        assert str(membership.instance) in answer.text
    membership.user.refresh_from_db()
    assert membership.user.is_active
    MembershipFactory(instance=membership.instance, role=Role.OWNER)
    assert client.post("/profile/delete/", {"address": membership.user.email}).status_code == 302


def test_the_only_administrator_stays() -> None:
    user = UserFactory(is_superuser=True)
    answer = signed_in(user).post("/profile/delete/", {"address": user.email})
    assert "the only site administrator" in answer.text


def test_deletion_wants_the_address_and_somebody_who_is_there() -> None:
    user = UserFactory()
    assert "not your account" in signed_in(user).post("/profile/delete/", {"address": "other@example.org"}).text
    stale = Client()
    stale.force_login(user)
    answer = stale.post("/profile/delete/", {"address": user.email})
    assert answer["Location"] == "/accounts/reauthenticate/?next=%2Fprofile%2Fdelete%2F"
    user.set_unusable_password()
    user.save()
    stale.force_login(user)
    answer = stale.post("/profile/delete/", {"address": user.email})
    assert answer["Location"] == "/profile/again/?next=%2Fprofile%2Fdelete%2F"
    assert stale.get(answer["Location"]).status_code == 200
    user.refresh_from_db()
    assert user.is_active


def test_one_more_address_is_nobodys_until_its_code_is_typed(settings: Any) -> None:
    user = UserFactory()
    client = signed_in(user)
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    answer = client.post("/accounts/email/", {"email": "more@example.org", "action_add": ""})
    assert answer["Location"] == "/accounts/confirm-email/"
    assert not EmailAddress.objects.filter(email="more@example.org").exists()
    assert "more@example.org" in client.get("/accounts/confirm-email/").text
    assert "Not confirmed" in client.get("/accounts/email/").text
    code = mail.outbox[-1].body.split("asks for it.")[1].split()[0]
    client.post("/accounts/confirm-email/", {"code": code})
    assert "more@example.org" in identity.verified_addresses(user)


# Who may make an account, and how --------------------------------------------------------------------------------------


def test_without_passwords_no_page_takes_one(settings: Any) -> None:
    user = UserFactory()
    settings.PASSWORD_SIGN_IN = False
    client = Client()
    page = client.get("/accounts/login/")
    assert 'name="password"' not in page.text
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert not is_in(client)
    for address in ("signup/", "password/reset/", "password/change/", "password/set/"):
        assert client.get(f"/accounts/{address}").status_code == 404
        assert client.post(f"/accounts/{address}").status_code == 404


def test_no_account_is_made_where_sign_up_is_closed(settings: Any) -> None:
    settings.SIGN_UP = "nobody"
    page = Client().post("/accounts/signup/", {"email": "new@example.org"})
    assert "No new accounts" in page.text
    assert not User.objects.exists()


def test_an_account_that_was_begun_and_never_finished_is_given_up(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
    word = "a-very-long-password"
    form = {"email": "new@example.org", "password1": word, "password2": word, "name": "New"}
    Client().post("/accounts/signup/", form)
    first = User.objects.get()
    Client().post("/accounts/signup/", form)  # Whoever comes next begins anew, and is told nothing of the other.
    second = User.objects.get()
    assert first.pk != second.pk
    made_by_hand = User.objects.create_user("expected@example.org")
    EmailAddress.objects.create(user=made_by_hand, email=made_by_hand.email)
    assert sign_in.drop_old_unfinished(timezone.now()) == 0
    sign_in.drop_old_unfinished(timezone.now() + sign_in.UNFINISHED)
    assert list(User.objects.all()) == [made_by_hand]
