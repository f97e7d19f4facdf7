"""Invitations: a signed link, mailed to an address of the roster, that gives its seat to whoever opens it and signs in.

The link proves that somebody reads the mailbox it was sent to. It names an entry and the serial number of the invitation,
and nothing of a person; it is made when the mail is sent and kept nowhere.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from django.utils.http import base36_to_int, int_to_base36

from accounts.models import Mail, MailKind, RosterEntry, User
from accounts.rules import mailing
from accounts.rules.identity import verified_addresses
from accounts.rules.mailing import NotNeeded
from labs.errors import Refusal
from labs.models import Event, Instance, Verb
from labs.rules.history import line, record

from .roster.admitting import admit, check_keeper, lock

SALT = "accounts.invitation"
TOKEN = re.compile(r"(\d{1,18})-(\d{1,9})-([0-9a-z]{1,8})")
#: What stands behind a name and a comma, and is no first name.
BEHIND_NAMES = {"jr", "sr", "ii", "iii", "iv", "phd", "ph.d", "md", "m.d", "msc", "bsc", "ma", "ba", "mba", "esq"}
#: What is wrong with a link, and what to do about it. The last is for somebody who made the link up.
PROBLEMS = {
    "used": "This invitation has already been accepted. If that was you, sign in with the account that you used then.",
    "superseded": "This link is out of date: we have sent you a newer invitation. Please open the link in the latest e-mail.",
    "expired": "This invitation has expired. Ask the course staff to send it again.",
    "withdrawn": "This invitation has been withdrawn. If you think that this is a mistake, please contact the course staff.",
    "over": "This invitation is for a course that has ended.",
    "altered": "This link is incomplete. Please copy all of it from the e-mail, or open it there.",
}


@dataclass(frozen=True)
class Found:
    """What a link leads to. `problem`: a key of PROBLEMS; empty when the invitation can be accepted."""

    entry: RosterEntry | None
    problem: str = ""

    @property
    def sentence(self) -> str:
        return PROBLEMS.get(self.problem, "")


def link(entry: RosterEntry, now: datetime.datetime) -> str:
    """The address to send to the entry's mailbox, good for INVITATION_DAYS from now on. Not to be kept or shown."""
    return settings.SITE_URL + reverse("invitation", args=[_token(entry, now)])


def facts(mail: Mail) -> dict[str, str]:
    """What the mail of an invitation says, at the moment in which it is sent. Raises NotNeeded when it leads nowhere by now."""
    now = timezone.now()
    entry = RosterEntry.objects.select_related("instance").filter(pk=mail.context.get("entry")).first()
    if entry is None or entry.user_id or entry.left_at or entry.invitation != mail.context.get("serial"):
        raise NotNeeded("The invitation has been accepted, withdrawn or sent again.")
    until = timezone.localtime(now + _good_for())
    return {
        "link": link(entry, now),
        "name": called(entry.name) or entry.email,
        "until": f"{until.day} {until:%B %Y}",
    }


def called(name: str) -> str:
    """A name as it is said: “Ivo Lee” for “Lee, Ivo”, as lists write it. What follows a second comma, or is a degree, stays where it is."""
    family, comma, given = name.partition(",")
    if not comma or "," in given or not given.strip() or given.strip(" .").lower() in BEHIND_NAMES:
        return name
    return f"{given.strip()} {family.strip()}"


def find(token: str, *, now: datetime.datetime) -> Found:
    """Look at a link; changes nothing."""
    try:
        found = TOKEN.fullmatch(_signer().unsign(token))
    except BadSignature:
        found = None
    if not found:
        return Found(None, "altered")
    entry = RosterEntry.objects.select_related("instance", "user").filter(pk=int(found[1])).first()
    if entry is None:
        return Found(None, "withdrawn")
    made = datetime.datetime.fromtimestamp(base36_to_int(found[3]), tz=datetime.UTC)
    return Found(entry, _problem(entry, int(found[2]), made, now))


@transaction.atomic
def take(token: str, *, user: User, now: datetime.datetime) -> RosterEntry:
    """Accept the invitation: the seat is this person's. Twice is the same as once. Raises Refusal with a code of PROBLEMS.

    The account may have another address than the roster: the link, not the account, was sent to the roster's mailbox.
    """
    seen = find(token, now=now)
    if seen.entry is None:
        raise Refusal(seen.sentence, code=seen.problem)
    instance = lock(seen.entry.instance_id)
    found = find(token, now=now)  # as it is now that nobody else can change it
    if found.entry is None:
        raise Refusal(found.sentence, code=found.problem)
    entry = found.entry
    if entry.user_id == user.pk:
        return entry
    if found.problem:
        raise Refusal(found.sentence, code=found.problem)
    if not admit(instance, [(entry, user)], actor=None, now=now, reason="invitation").bound:
        raise Refusal("You are already a member here with another of your addresses.", code="member")
    mine = verified_addresses(user) | {user.email}
    record(
        Verb.INVITATION_TAKEN, entry.email, actor=user, now=now, instance=instance, user=user,
        after={"roster": entry.email, "account": user.email, "same_address": entry.email in mine},
    )  # fmt: skip
    return entry


@transaction.atomic
def invite(
    *, instance: Instance, actor: User, now: datetime.datetime, entries: Collection[Any] | None = None
) -> int:  # fmt: skip
    """Write an invitation to these entries (again), or to all that have none yet; returns to how many.

    Those who have joined, and those who are no longer on the list, get none. Earlier links of theirs are worth nothing.
    """
    locked = lock(instance.pk)
    check_keeper(actor, locked)
    if locked.archived_at:
        raise Refusal(f"{locked} is archived.", code="archived")
    rows = RosterEntry.objects.unbound().filter(instance=locked).order_by("pk")
    rows = rows.filter(invited_at=None) if entries is None else rows.filter(pk__in=entries)
    found = list(rows)
    for start in range(0, len(found), 500):
        pks = [row.pk for row in found[start : start + 500]]
        RosterEntry.objects.filter(pk__in=pks).update(
            invitation=F("invitation") + 1, invited_at=now, bound_at=None
        )  # fmt: skip
    mailing.write_many([_mail(row, locked, actor, now) for row in found])
    Event.objects.bulk_create(
        [line(Verb.INVITED, row.email, actor=actor, now=now, instance=locked) for row in found], batch_size=500
    )
    return len(found)


def _mail(entry: RosterEntry, instance: Instance, actor: User, now: datetime.datetime) -> Mail:
    serial = entry.invitation + 1
    return mailing.draft(
        MailKind.INVITATION,
        entry.email,
        key=f"invitation:{entry.pk}:{serial}",
        now=now,
        instance=instance,
        context={"entry": entry.pk, "serial": serial, "name": entry.name, "inviter": str(actor)},
        by=actor,
    )


def _problem(entry: RosterEntry, serial: int, made: datetime.datetime, now: datetime.datetime) -> str:
    if entry.instance.archived_at:
        return "over"
    if entry.user_id or entry.bound_at:
        return "used"
    if entry.left_at:
        return "withdrawn"
    if serial != entry.invitation:
        return "superseded"
    return "expired" if now - made > _good_for() else ""


def _token(entry: RosterEntry, now: datetime.datetime) -> str:
    return _signer().sign(f"{entry.pk}-{entry.invitation}-{int_to_base36(int(now.timestamp()))}")


def _good_for() -> datetime.timedelta:
    return datetime.timedelta(days=settings.INVITATION_DAYS)


def _signer() -> Signer:
    return Signer(salt=SALT, sep=".")
