"""What somebody is on the site itself: whether they may sign in, and whether they are a site administrator."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import Q

from accounts.models import Membership, User
from accounts.rules import authority
from accounts.services.deletion import owned_alone, sign_out_everywhere, stop_all_of
from labs.errors import Refusal, Unconfirmed
from labs.models import EndReason, Instance, Verb
from labs.rules.history import record
from labs.services.toll import everywhere

WHY = "Their account has been closed."
NOTE = "Your account has been closed."
#: Column → what the history says when it became true, and when it became false.
VERBS = {
    "is_active": (Verb.ACCOUNT_REOPENED, Verb.ACCOUNT_CLOSED),
    "is_superuser": (Verb.ADMINISTRATOR_MADE, Verb.ADMINISTRATOR_UNMADE),
}


@transaction.atomic
def save_person(person: User, *, actor: User, now: datetime.datetime, is_confirmed: bool = False) -> None:
    """Keep what a site administrator has entered of a person, a new one or an old one, with an Event for what it changes in their
    standing. What runs of one whose account is closed ends.

    Raises Refusal for anybody else, for one's own standing, and for closing the account of an instance's last owner; and
    Unconfirmed for closing the account of somebody whose labs run, unless `is_confirmed`.
    """
    before = _as_it_stands(person)
    changed = [name for name in VERBS if getattr(before, name) != getattr(person, name)]
    # Asked of the actor as they are now: of two who take it from each other at once, one is late.
    if not authority.can_keep_people(User.objects.get(pk=actor.pk)) or (changed and person.pk == actor.pk):
        raise Refusal(
            "Only site administrators can change this, and nobody can change it for themselves.", code="forbidden"
        )
    if "is_active" in changed and not person.is_active:
        _keep_one_owner(before)
        if not is_confirmed and (toll := everywhere(before)):
            raise Unconfirmed(
                f"{person} is signed out everywhere and can no longer sign in. This stops {toll} and deletes the files in those "
                f"labs. {person} gets an e-mail."
            )
    if person.pk is None:
        person.set_unusable_password()
    person.save()
    if "is_active" in changed and not person.is_active:
        # They know the passwords of their labs, which do not ask the site.
        stop_all_of(person, EndReason.STAFF, now=now, actor=actor, reason=WHY, note=NOTE)
        sign_out_everywhere(person)
    for name in changed:
        became = bool(getattr(person, name))
        record(
            VERBS[name][0 if became else 1], person, actor=actor, now=now, user=person,
            before={name: not became}, after={name: became},
        )  # fmt: skip


def _as_it_stands(person: User) -> User:
    """The row of now, locked with those of all site administrators and with the instances that the person is in, so that no other
    owner goes meanwhile. One that is not there yet is an ordinary person.
    """
    theirs = Membership.objects.filter(user=person.pk).values("instance")
    list(Instance.objects.select_for_update(no_key=True).filter(pk__in=theirs).order_by("pk"))
    rows = User.objects.select_for_update(no_key=True).filter(Q(pk=person.pk) | Q(is_superuser=True)).order_by("pk")
    return next((row for row in rows if row.pk == person.pk), User())


def _keep_one_owner(person: User) -> None:
    if alone := owned_alone(person):
        names = ", ".join(str(instance) for instance in alone)
        raise Refusal(f"{person} is the only owner of {names}. First make someone else an owner.", code="last-owner")
