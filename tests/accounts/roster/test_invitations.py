"""The link of an invitation: good once, for a while, for one seat; and kind about it when it is not."""

from __future__ import annotations

import datetime
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail as outbox
from django.test import Client
from django.utils.module_loading import import_string

from accounts.models import Mail, Membership, Role, RosterEntry, Status, User
from accounts.services import delivery, invitations, membership
from accounts.services.invitations import PROBLEMS
from accounts.services.roster import leaving, uploads
from labs.errors import Refusal
from labs.models import Event, Verb
from tests.factories import UserFactory

from .conftest import somebody


@pytest.fixture
def entry(course: SimpleNamespace) -> RosterEntry:
    return RosterEntry.objects.create(instance=course.instance, email="ann@uni.example", name="Ann")


@pytest.fixture
def invited(course: SimpleNamespace, entry: RosterEntry, now: datetime.datetime) -> SimpleNamespace:
    """`entry` with an invitation, its `link` and its `path`."""
    assert invitations.invite(instance=course.instance, actor=course.staff, now=now) == 1
    entry.refresh_from_db()
    link = invitations.link(entry, now)
    return SimpleNamespace(
        entry=entry, link=link, path=link.removeprefix("http://testserver"), token=link.split("/")[-2]
    )


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_invitation_is_mailed_with_a_link_that_is_kept_nowhere(
    course: SimpleNamespace, invited: SimpleNamespace, now: datetime.datetime
) -> None:
    delivery.deliver_due()
    [sent] = outbox.outbox
    assert sent.to == ["ann@uni.example"]
    [found] = set(re.findall(r"http://testserver/join/\S+", sent.body))
    assert invitations.find(found.split("/")[-2], now=now).entry == invited.entry
    token = found.split("/")[-2]
    for row in (*Mail.objects.values(), *Event.objects.values(), *RosterEntry.objects.values()):
        assert token not in repr(row)
    assert "ann" not in token


def test_all_who_have_none_are_invited_once_and_those_who_joined_never(
    course: SimpleNamespace, entry: RosterEntry, now: datetime.datetime
) -> None:
    for email in ("bo@uni.example", "chi@uni.example"):
        RosterEntry.objects.create(instance=course.instance, email=email)
    somebody("bo@uni.example")
    told: dict[str, Any] = {"instance": course.instance, "actor": course.staff, "now": now}
    assert [invitations.invite(**told), invitations.invite(**told)] == [2, 0]
    assert set(Mail.objects.values_list("recipient", flat=True)) == {"ann@uni.example", "chi@uni.example"}
    assert invitations.invite(entries=[entry.pk], **told) == 1, "asked for by name, it is sent again"
    assert Event.objects.filter(verb=Verb.INVITED).count() == 3


def test_entries_of_another_instance_are_not_invited(
    course: SimpleNamespace, entry: RosterEntry, now: datetime.datetime
) -> None:
    from tests.factories import InstanceFactory, MembershipFactory

    other = InstanceFactory()
    staff = MembershipFactory(instance=other, role=Role.STAFF).user
    assert invitations.invite(instance=other, actor=staff, now=now, entries=[entry.pk]) == 0
    with pytest.raises(Refusal):
        invitations.invite(instance=course.instance, actor=staff, now=now)


def test_who_accepts_is_in_with_the_role_of_the_roster_whatever_the_address(
    course: SimpleNamespace, invited: SimpleNamespace
) -> None:
    ann = UserFactory(email="ann@home.example")
    client = signed_in(ann)
    page = client.get(invited.path)
    assert "Accept the invitation" in page.text
    assert not Membership.objects.filter(user=ann).exists(), "looking changes nothing"
    assert client.post(invited.path)["Location"] == "/i/physics/"
    assert Membership.objects.get(user=ann).status == Status.APPROVED
    told = Event.objects.get(verb=Verb.INVITATION_TAKEN)
    assert told.after == {"roster": "ann@uni.example", "account": "ann@home.example", "same_address": False}
    assert (told.actor, told.user) == (ann, ann)


def test_accepted_twice_it_counts_once(invited: SimpleNamespace, now: datetime.datetime) -> None:
    ann = UserFactory()
    invitations.take(invited.token, user=ann, now=now)
    count = Event.objects.count()
    invitations.take(invited.token, user=ann, now=now)
    assert Event.objects.count() == count
    assert signed_in(ann).get(invited.path)["Location"] == "/i/physics/"


def use(invited: SimpleNamespace, course: SimpleNamespace, now: datetime.datetime) -> None:
    invitations.take(invited.token, user=UserFactory(), now=now)


def send_again(invited: SimpleNamespace, course: SimpleNamespace, now: datetime.datetime) -> None:
    invitations.invite(instance=course.instance, actor=course.staff, now=now, entries=[invited.entry.pk])


def take_back(invited: SimpleNamespace, course: SimpleNamespace, now: datetime.datetime) -> None:
    leaving.take_off([invited.entry.pk], instance=course.instance, actor=course.staff, now=now)


def leave_out(invited: SimpleNamespace, course: SimpleNamespace, now: datetime.datetime) -> None:
    RosterEntry.objects.filter(pk=invited.entry.pk).update(left_at=now)


def archive(invited: SimpleNamespace, course: SimpleNamespace, now: datetime.datetime) -> None:
    type(course.instance).objects.filter(pk=course.instance.pk).update(archived_at=now)


@pytest.mark.parametrize(
    ("happens", "problem"),
    [(use, "used"), (send_again, "superseded"), (take_back, "withdrawn"), (leave_out, "withdrawn"), (archive, "over")],
)
def test_a_link_that_is_worth_nothing_says_why_and_what_to_do(
    course: SimpleNamespace, invited: SimpleNamespace, now: datetime.datetime, happens: Any, problem: str
) -> None:
    happens(invited, course, now)
    client = signed_in(UserFactory())
    for answer in (
        client.get(invited.path),
        client.post(invited.path),
        Client().get(invited.path),
        Client().post(invited.path),
    ):
        assert answer.status_code == 410
        assert PROBLEMS[problem] in answer.text
    with pytest.raises(Refusal) as refusal:
        invitations.take(invited.token, user=UserFactory(), now=now)
    assert refusal.value.code == problem


def test_a_link_expires(invited: SimpleNamespace, now: datetime.datetime, settings: Any) -> None:
    good_for = datetime.timedelta(days=settings.INVITATION_DAYS)
    assert not invitations.find(invited.token, now=now + good_for - datetime.timedelta(minutes=1)).problem
    late = now + good_for + datetime.timedelta(minutes=1)
    assert invitations.find(invited.token, now=late).problem == "expired"
    with pytest.raises(Refusal):
        invitations.take(invited.token, user=UserFactory(), now=late)
    settings.INVITATION_DAYS = -1
    assert PROBLEMS["expired"] in Client().get(invited.path).text


def test_a_link_that_was_altered_is_worth_nothing(course: SimpleNamespace, invited: SimpleNamespace) -> None:
    other = RosterEntry.objects.create(instance=course.instance, email="bo@uni.example", role=Role.OWNER, invitation=1)
    value, _, signature = invited.token.partition(".")
    pk, serial, made = value.split("-")
    client = signed_in(UserFactory())
    for forged in (
        f"{other.pk}-{serial}-{made}.{signature}", f"{pk}-2-{made}.{signature}", f"{pk}-{serial}-zzzzzz.{signature}",
        invited.token[:-1], value, f"{value}.", "x", f"{pk}-{serial}-{made}.{signature[::-1]}",
    ):  # fmt: skip
        answer = client.post(f"/join/{forged}/")
        assert answer.status_code == 404, forged
        assert PROBLEMS["altered"] in answer.text
    assert not RosterEntry.objects.exclude(user=None).exists()


def test_no_other_site_hears_of_the_link_and_no_browser_keeps_its_page(invited: SimpleNamespace) -> None:
    for client in (Client(), signed_in(UserFactory())):
        answer = client.get(invited.path)
        assert answer["Referrer-Policy"] == "same-origin"
        assert "no-store" in answer["Cache-Control"]


def test_a_new_person_signs_up_from_the_link_and_is_in(
    course: SimpleNamespace, invited: SimpleNamespace, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
    client = Client()
    answer = client.post(invited.path, {"then": "sign-up"})
    assert answer["Location"] == "/accounts/signup/?next=%2Fjoin%2F", "no token in the address"
    form = {
        "email": "ann@uni.example",
        "name": "Ann",
        "password1": "a-long-password-1",
        "password2": "a-long-password-1",
    }
    answer = client.post("/accounts/signup/", {**form, "next": "/join/"})
    ann = User.objects.get(email="ann@uni.example")
    assert not EmailAddress.objects.get(user=ann).verified, "the link proves the mailbox to its own course only"
    assert "/join/" in client.post(answer["Location"], {"code": code_of(outbox.outbox[-1])})["Location"]
    assert EmailAddress.objects.get(user=ann).verified
    assert client.get("/join/")["Location"] == "/i/physics/"
    assert Membership.objects.get(user=ann).status == Status.APPROVED


def test_a_new_person_with_another_address_proves_that_one_and_accepts(
    course: SimpleNamespace, invited: SimpleNamespace, settings: Any
) -> None:
    """Whoever gets hold of a link has a seat in that course with it, and no address that counts elsewhere."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
    client = Client()
    client.post(invited.path, {"then": "sign-up"})
    form = {"email": "ann@home.example", "name": "Ann", "password1": "a-long-password-1"}
    answer = client.post("/accounts/signup/", {**form, "password2": form["password1"], "next": "/join/"})
    assert outbox.outbox[-1].to == ["ann@home.example"]
    client.post(answer["Location"], {"code": code_of(outbox.outbox[-1])})
    assert client.post("/join/")["Location"] == "/i/physics/"
    assert dict(EmailAddress.objects.values_list("email", "verified")) == {"ann@home.example": True}
    assert Membership.objects.get(instance=course.instance, user__name="Ann").status == Status.APPROVED


def code_of(mail: Any) -> str:
    found = re.search(r"^([A-Z0-9]{2,}(?:-[A-Z0-9]{2,})*)$", mail.body, re.M)
    assert found, mail.body
    return found[1]


def test_the_remembered_invitation_is_accepted_after_signing_in(
    course: SimpleNamespace, invited: SimpleNamespace
) -> None:
    from tests.factories import PASSWORD

    ann = UserFactory(email="ann@home.example")
    client = Client()
    client.post(invited.path, {"then": "sign-in"})
    answer = client.post("/accounts/login/", {"login": ann.email, "password": PASSWORD, "next": "/join/"})
    assert answer["Location"] == "/join/"
    assert "Accept the invitation" in client.get("/join/").text
    assert client.post("/join/")["Location"] == "/i/physics/"
    assert client.get("/join/")["Location"] == "/", "the invitation is forgotten"


def test_who_was_suspended_is_not_let_in_by_a_link(
    course: SimpleNamespace, invited: SimpleNamespace, now: datetime.datetime
) -> None:
    ann = UserFactory()
    Membership.objects.create(user=ann, instance=course.instance, status=Status.SUSPENDED, decided_at=now)
    answer = signed_in(ann).post(invited.path, follow=True)
    assert Membership.objects.get(user=ann).status == Status.SUSPENDED
    assert "Suspended" in answer.text


def test_one_person_takes_one_seat(course: SimpleNamespace, invited: SimpleNamespace, now: datetime.datetime) -> None:
    RosterEntry.objects.create(instance=course.instance, email="lee@uni.example", role=Role.MEMBER)
    ann = somebody("lee@uni.example")
    with pytest.raises(Refusal) as refusal:
        invitations.take(invited.token, user=ann, now=now)
    assert refusal.value.code == "member"


def test_a_seat_that_the_wrong_account_took_is_free_when_that_one_is_gone(
    course: SimpleNamespace, invited: SimpleNamespace, now: datetime.datetime, client: Client
) -> None:
    wrong = UserFactory()
    invitations.take(invited.token, user=wrong, now=now)
    told: dict[str, Any] = {"instance": course.instance, "actor": course.owner, "now": now}
    client.force_login(course.owner)

    def take_off() -> str:
        page = client.get("/i/physics/people/").text
        client.post("/i/physics/people/change/", {"do": "take-off", "entry": invited.entry.pk})
        return page

    tick = f'name="entry" value="{invited.entry.pk}"'
    assert tick not in take_off()
    assert course.instance.roster.filter(pk=invited.entry.pk).exists(), "whoever is in keeps the seat"
    membership.remove(Membership.objects.get(user=wrong, instance=course.instance), actor=course.owner, now=now)
    assert tick in take_off()
    upload = uploads.keep(text="ann@uni.example\n", **told)
    uploads.confirm(upload.pk, **told)
    assert Membership.objects.filter(instance=course.instance, user=somebody("ann@uni.example")).exists()


def test_a_refused_request_is_logged_without_the_link(invited: SimpleNamespace, settings: Any) -> None:
    record = logging.LogRecord(
        "django.security.csrf", 30, "", 1, "Forbidden (%s): %s", ("no cookie", invited.path), None
    )
    assert all(one.filter(record) for one in handlers_of_the_site(settings))
    assert record.getMessage() == "Forbidden (no cookie): /join/.../"


def handlers_of_the_site(settings: Any) -> list[logging.Filter]:
    """The filters of the handler that writes the site's logs."""
    names = settings.LOGGING["handlers"]["console"]["filters"]
    return [import_string(settings.LOGGING["filters"][name]["()"])() for name in names]


def test_the_form_of_a_new_account_begins_with_the_name_on_the_list(
    invited: SimpleNamespace, entry: RosterEntry
) -> None:
    assert entry.name
    client = Client()
    client.post(invited.path, {"then": "sign-up"})
    assert f'value="{entry.name}"' in client.get("/accounts/signup/?next=%2Fjoin%2F").text
