"""Letters of an owner to many people of an instance: one mail to each, one line of history."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from accounts.models import Letter, Mail, MailKind, Membership, RosterEntry, User
from accounts.models.membership import MembershipQuerySet
from accounts.roles import MANAGER_ROLES
from accounts.rules import authority, mailing
from labs.errors import Refusal
from labs.models import Instance, Verb
from labs.rules.history import record

#: Letters of an instance within a day, and people whom one reaches. More would make other servers take the site for a sender of spam.
MOST_A_DAY = 10
MOST_PEOPLE = 3_000
LONGEST_SUBJECT = 150
LONGEST_TEXT = 10_000
EVERYBODY = "everybody"
MANAGERS = "managers"
SECTION = "section:"


@dataclass(frozen=True)
class Audience:
    """Whom a letter reaches."""

    words: str
    people: list[User]
    #: Left out, because mail to them came back.
    unreachable: list[User]


def sections(instance: Instance) -> list[str]:
    """Those of the roster, in order."""
    named = RosterEntry.objects.filter(instance=instance).exclude(section="")
    return list(named.order_by("section").values_list("section", flat=True).distinct())


def audience(instance: Instance, to: str, chosen: Collection[int] = ()) -> Audience:
    """Approved members: `to` is EVERYBODY, MANAGERS, SECTION and its name, or "" for the memberships `chosen`.

    Raises Refusal when that is nobody.
    """
    members = Membership.objects.approved().filter(instance=instance, user__is_active=True)
    words, members = _narrowed(instance, members, to, chosen)
    people = [row.user for row in members.select_related("user").order_by("user__name", "user__email")]
    back = Mail.objects.unreachable([user.email for user in people])
    reached = [user for user in people if user.email not in back]
    if not reached:
        raise Refusal("This message has no recipients.", code="nobody")
    if len(reached) > MOST_PEOPLE:
        raise Refusal(f"A message can go to at most {MOST_PEOPLE:,} people.", code="too-many")
    return Audience(words, reached, [user for user in people if user.email in back])


def _narrowed(
    instance: Instance, members: MembershipQuerySet, to: str, chosen: Collection[int]
) -> tuple[str, MembershipQuerySet]:
    if to == EVERYBODY:
        return f"everyone in {instance}", members
    if to == MANAGERS:
        return "owners and staff", members.filter(role__in=MANAGER_ROLES)
    if to.startswith(SECTION):
        section = to.removeprefix(SECTION)
        of_section = RosterEntry.objects.filter(instance=instance, section=section, user__isnull=False)
        return f"section {section}", members.filter(user__in=of_section.values("user"))
    members = members.filter(pk__in=chosen)
    return "selected members", members


@transaction.atomic
def write_letter(
    *,
    pk: UUID,
    instance: Instance,
    subject: str,
    text: str,
    to: str,
    chosen: Collection[int] = (),
    actor: User,
    now: datetime.datetime,
) -> Letter:
    """Write a message and have it sent. The same `pk` once more is the same letter: nothing is sent twice.

    Raises Refusal: for whoever may not write, for too long a letter, after too many of them, for nobody to send it to.
    """
    locked = Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)
    if not authority.can_write_letters(actor, locked):
        raise Refusal("Only owners can write to members. Staff can if an owner allows it.", code="forbidden")
    if known := Letter.objects.filter(pk=pk, instance=locked).first():
        return known
    subject, text = check(subject, text)
    if Letter.objects.filter(instance=locked, created_at__gt=now - datetime.timedelta(days=1)).count() >= MOST_A_DAY:
        raise Refusal(
            f"The limit of {MOST_A_DAY} messages a day has been reached. Please wait until tomorrow.", code="too-often"
        )
    reached = audience(locked, to, chosen)
    letter = Letter.objects.create(
        pk=pk, instance=locked, author=actor, author_name=str(actor), author_email=actor.email, subject=subject,
        text=text, audience=reached.words[:200], count=len(reached.people), created_at=now,
    )  # fmt: skip
    mailing.write_many([_mail(letter, user, now) for user in reached.people])
    record(
        Verb.MAIL_WRITTEN, f"{letter.audience}: {subject}", actor=actor, now=now, instance=locked,
        after={"mails": letter.count, "left_out": len(reached.unreachable)},
    )  # fmt: skip
    return letter


def check(subject: str, text: str) -> tuple[str, str]:
    """Subject, on one line, and text, as they will be sent. Raises Refusal, by field."""
    subject, text = " ".join(subject.split()), text.replace("\r\n", "\n").strip()
    errors: dict[str, str] = {}
    if not subject:
        errors["subject"] = "Enter a subject."
    elif len(subject) > LONGEST_SUBJECT:
        errors["subject"] = f"The subject is longer than {LONGEST_SUBJECT} characters."
    if not text:
        errors["text"] = "Enter a text."
    elif len(text) > LONGEST_TEXT:
        errors["text"] = (
            f"The message is longer than {LONGEST_TEXT:,} characters. Put long text on a web page and link to it."
        )
    if errors:
        raise Refusal(" ".join(errors.values()), code="letter", errors=errors)
    return subject, text


def _mail(letter: Letter, user: User, now: datetime.datetime) -> Mail:
    key = f"letter:{letter.pk}:{user.pk}"
    made = mailing.draft(MailKind.LETTER, user.email, key=key, now=now, user=user, instance=letter.instance)
    made.letter = letter
    return made
