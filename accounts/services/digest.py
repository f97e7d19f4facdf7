"""Telling owners and staff that somebody asks: at once when it is quiet, and many together when many ask.

One mail is written for each person who decides, and names no requests: who still waits is asked when it is sent (`waiting_for`).
The first request is told at once. Those of the half hour after it share one mail, at its end.
"""

from __future__ import annotations

import datetime

from django.db.models import Max, QuerySet

from accounts.models import Mail, MailKind, MailState, Membership, Role, User
from accounts.rules import authority, mailing
from labs.models import Event, Instance

#: Between two mails about the requests of one instance to one person.
WINDOW = datetime.timedelta(minutes=30)
#: So near to its time, a mail may be on its way already and is not counted on: clocks of machines differ.
MARGIN = datetime.timedelta(seconds=30)


def tell_of_request(event: Event, *, now: datetime.datetime) -> None:
    """Have everybody told who decides about the request of this Event. Under the lock of the instance, like the request itself."""
    instance = event.instance
    if instance is None:
        return
    last = {
        row["user"]: row["last"] for row in _mails(instance).values("user").annotate(last=Max("created_at")).order_by()
    }
    for person in deciders(instance):
        told_at = last.get(person.pk)
        if told_at and told_at > now + MARGIN:
            continue  # One is to be sent that will name this request too.
        mailing.write(
            MailKind.REQUESTS_WAITING, person.email, key=f"{MailKind.REQUESTS_WAITING}:{event.pk}:{person.pk}",
            now=max(now, told_at + WINDOW) if told_at else now, user=person, instance=instance,
        )  # fmt: skip


def forget_requests(instance: Instance, *, now: datetime.datetime) -> None:
    """Take back the mails that are still to come when nobody waits any more."""
    if not Membership.objects.waiting().filter(instance=instance).exists():
        _mails(instance).filter(state=MailState.WAITING, attempts=0, created_at__gt=now + MARGIN).delete()


def deciders(instance: Instance) -> list[User]:
    """Owners, and staff where requests are theirs to decide."""
    roles = [role for role in Role if authority.decides(role, instance)]
    mine = Membership.objects.approved().filter(instance=instance, role__in=roles)
    return list(User.objects.filter(is_active=True, pk__in=mine.values("user")).order_by("pk"))


def waiting_for(user: User, instance: Instance) -> list[Membership]:
    """The requests of the instance that this person may decide now, the oldest first: what a mail to them names."""
    rows = Membership.objects.decidable_by(user).filter(instance=instance).select_related("user")
    return list(rows.order_by("requested_at", "pk"))


def _mails(instance: Instance) -> QuerySet[Mail]:
    """Those about requests of the instance. `created_at` is when each was to be sent; `due_at` moves when that fails."""
    return Mail.objects.filter(instance=instance, kind=MailKind.REQUESTS_WAITING)
