"""Letters of owners: to whom they go, how many, and who may."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail as django_mail
from django.utils import timezone

from accounts.models import Letter, Mail, MailKind, MailState, Role, RosterEntry, Status
from accounts.services import delivery, letters
from labs.errors import Refusal
from labs.models import Event, Verb
from tests.factories import InstanceFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def course() -> SimpleNamespace:
    instance = InstanceFactory(title="Physics 250")
    owner = MembershipFactory(instance=instance, role=Role.OWNER, user__name="Olga Owner").user
    staff = MembershipFactory(instance=instance, role=Role.STAFF).user
    members = [MembershipFactory(instance=instance) for _ in range(3)]
    for status in (Status.REQUESTED, Status.DENIED, Status.SUSPENDED):
        MembershipFactory(instance=instance, status=status)
    MembershipFactory(instance=instance, user__is_active=False)
    for row in members[:2]:
        RosterEntry.objects.create(instance=instance, email=row.user.email, section="Tuesday", user=row.user)
    RosterEntry.objects.create(instance=instance, email="not-come-yet@example.org", section="Tuesday")
    return SimpleNamespace(instance=instance, owner=owner, staff=staff, members=members)


def write(course: SimpleNamespace, **more: Any) -> Letter:
    fields = {
        "pk": uuid4(), "instance": course.instance, "subject": "Exercise 3", "text": "It is due on Monday.",
        "to": letters.EVERYBODY, "actor": course.owner, "now": timezone.now(),
    }  # fmt: skip
    return letters.write_letter(**{**fields, **more})


def test_it_goes_to_each_approved_person_in_a_mail_of_their_own(course: SimpleNamespace) -> None:
    letter = write(course)
    assert letter.count == 5
    assert delivery.deliver_due() == 5
    assert all(len(sent.recipients()) == 1 for sent in django_mail.outbox)
    assert len({sent.to[0] for sent in django_mail.outbox}) == 5
    first = django_mail.outbox[0]
    assert first.subject == "Exercise 3"
    assert first.from_email == '"Olga Owner (Physics 250)" <labs@localhost>'
    assert first.reply_to == [f'"Olga Owner" <{course.owner.email}>']
    assert "Auto-Submitted" not in first.extra_headers
    assert "It is due on Monday." in first.body


def test_the_history_has_one_line_with_the_number(course: SimpleNamespace) -> None:
    write(course)
    event = Event.objects.get(verb=Verb.MAIL_WRITTEN)
    assert (event.actor, event.instance, event.after["mails"]) == (course.owner, course.instance, 5)


def test_a_section_is_its_members_who_have_come(course: SimpleNamespace) -> None:
    letter = write(course, to="section:Tuesday")
    expected = {row.user.email for row in course.members[:2]}
    assert set(Mail.objects.filter(letter=letter).values_list("recipient", flat=True)) == expected
    assert letters.sections(course.instance) == ["Tuesday"]


def test_chosen_members_are_of_this_instance_only(course: SimpleNamespace) -> None:
    stranger = MembershipFactory()
    letter = write(course, to="", chosen=[course.members[2].pk, stranger.pk])
    assert list(Mail.objects.filter(letter=letter).values_list("user", flat=True)) == [course.members[2].user.pk]


def test_owners_and_staff_only(course: SimpleNamespace) -> None:
    assert write(course, to=letters.MANAGERS).count == 2


def test_who_cannot_be_reached_is_left_out_and_told(course: SimpleNamespace) -> None:
    back = course.members[0].user
    now = timezone.now()
    Mail.objects.create(
        key="x",
        kind=MailKind.ACCESS_APPROVED,
        recipient=back.email,
        state=MailState.BOUNCED,
        bounced_at=now,
        sent_at=now,
    )
    reached = letters.audience(course.instance, letters.EVERYBODY)
    assert reached.unreachable == [back]
    assert back not in reached.people
    assert Event.objects.filter(verb=Verb.MAIL_WRITTEN).count() == 0
    write(course)
    assert Event.objects.get(verb=Verb.MAIL_WRITTEN).after["left_out"] == 1


@pytest.mark.parametrize("who", ["staff", "member", "stranger", "other owner"])
def test_nobody_else_writes(course: SimpleNamespace, who: str) -> None:
    people = {
        "staff": course.staff,
        "member": course.members[0].user,
        "stranger": UserFactory(),
        "other owner": MembershipFactory(role=Role.OWNER).user,
    }
    with pytest.raises(Refusal):
        write(course, actor=people[who])
    assert not Mail.objects.exists()


def test_the_button_pressed_twice_is_one_letter(course: SimpleNamespace) -> None:
    pk = uuid4()
    assert write(course, pk=pk) == write(course, pk=pk)
    assert Mail.objects.count() == 5
    assert Event.objects.filter(verb=Verb.MAIL_WRITTEN).count() == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"subject": " "}, "Enter a subject"),
        ({"text": "\n"}, "Enter a text"),
        ({"subject": "x" * 151}, "longer than 150"),
        ({"text": "x" * 10_001}, "longer than 10,000"),
        ({"to": "section:nowhere"}, "no recipients"),
        ({"to": "", "chosen": []}, "no recipients"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence(
    course: SimpleNamespace, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(Refusal, match=says):
        write(course, **fields)


def test_ten_letters_a_day_are_enough(course: SimpleNamespace) -> None:
    now = timezone.now()
    for _ in range(letters.MOST_A_DAY):
        write(course, now=now)
    with pytest.raises(Refusal, match="wait until tomorrow"):
        write(course, now=now)
    write(course, now=now + datetime.timedelta(days=1, minutes=1))


def test_too_many_people_are_refused(course: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "MOST_PEOPLE", 4)
    with pytest.raises(Refusal, match="at most 4 people"):
        write(course)


def test_line_breaks_in_a_subject_are_spaces(course: SimpleNamespace) -> None:
    assert write(course, subject="One\r\nBcc: all@example.org").subject == "One Bcc: all@example.org"
