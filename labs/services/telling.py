"""Mails about labs: to the owner that one is ready after a wait, ends soon, failed or lost its files; to the staff how many lost theirs.

What happens to a lab is written in one transaction with its mail. What a mail says is read when it is sent (`ending_facts`, `lost_facts`),
so that one which is no longer true is not sent.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts.models import Mail, MailKind, Membership, Role
from accounts.rules import mailing
from accounts.rules.mailing import NotNeeded
from k8s.resources import duration
from labs.models import Event, Instance, Lab, State, Verb, Workload

from .extension import room_minutes

#: The staff are told so long after the first loss, when most of what a machine takes with it has gone.
GATHER = datetime.timedelta(minutes=5)
#: Between two mails to the staff about losses in one instance.
WINDOW = datetime.timedelta(minutes=30)
#: So near to its time, a mail may be on its way already and is not counted on: clocks of machines differ.
MARGIN = datetime.timedelta(seconds=30)
#: Who waits no longer than this is probably still looking at the page.
SHORT_WAIT = datetime.timedelta(minutes=5)
#: Labs that a mail to the staff names; of more it tells the number.
NAMED = 20


def draft(kind: MailKind, row: Workload, about: object, *, now: datetime.datetime, **context: Any) -> Mail:
    """A mail to the owner of a lab, not yet written. `about`: what it tells of, once for ever. Load `owner` and `instance` with the row."""
    return mailing.draft(
        kind, row.owner.email, key=f"{kind}:{row.pk}:{about}", now=now, user=row.owner, instance=row.instance,
        context={"lab": row.name, "workload": str(row.pk), **context},
    )  # fmt: skip


def of_starts(rows: Iterable[Workload], *, now: datetime.datetime) -> None:
    """Have the owners told whose labs waited in a queue and have now answered. In the transaction of that; no query where none is old."""
    old = {row.pk: row for row in rows if now - row.created_at > SHORT_WAIT and row.owner.is_active}
    if not old:
        return
    accepted = Event.objects.filter(workload__in=old, verb=Verb.LAUNCHED, before__state=State.QUEUED)
    waited = set(accepted.order_by().values_list("workload", flat=True))
    mailing.write_many(
        [
            draft(MailKind.LAB_STARTED, old[pk], "", now=now, waited=_about(now - old[pk].created_at))
            for pk in old
            if pk in waited
        ]
    )


def of_failure(row: Workload, diagnosis: dict[str, Any], *, now: datetime.datetime) -> None:
    """Have the owner told that a lab which had run has failed. In the transaction of its end."""
    what = f"{diagnosis['title']}. {diagnosis['text']}"
    mailing.write_many([draft(MailKind.LAB_FAILED, row, "", now=now, what=what, next=diagnosis["next_step"])])


def of_losses(rows: Iterable[Workload], *, now: datetime.datetime) -> None:
    """Have the owners and the staff of the instances told, once for all that is lost together. In the transaction of the loss."""
    last: dict[Any, Any] = {}
    instances = {row.instance_id: row.instance for row in rows}
    told = Mail.objects.filter(kind=MailKind.LABS_LOST, instance__in=instances).order_by()
    for row in told.values("instance", "user").annotate(last=Max("created_at")):
        last[row["instance"], row["user"]] = row["last"]
    drafts = []
    for one in _run_by(instances):
        before = last.get((one.instance_id, one.user_id))
        if before and before > now + MARGIN:
            continue  # One is to be sent that will count this loss too.
        due = max(now + GATHER, before + WINDOW) if before else now + GATHER
        drafts.append(
            mailing.draft(
                MailKind.LABS_LOST,
                one.user.email,
                key=f"{MailKind.LABS_LOST}:{one.pk}:{now.isoformat()}",
                now=due,
                user=one.user,
                instance=instances[one.instance_id],
                context={"since": now.isoformat()},
            )
        )
    mailing.write_many(drafts)


def _run_by(instances: Iterable[int]) -> Sequence[Membership]:
    """The owners and staff of these instances."""
    rows = Membership.objects.approved().filter(instance__in=instances, role__in=(Role.OWNER, Role.STAFF))
    return list(rows.filter(user__is_active=True).select_related("user").order_by("pk"))


# What the mails say, when they are sent ------------------------------------------------------------------------------


def facts(mail: Mail) -> dict[str, str]:
    """The link to the page of the mail's lab. Raises NotNeeded."""
    return {"link": settings.SITE_URL + _lab(mail).get_absolute_url()}


def started_facts(mail: Mail) -> dict[str, str]:
    """When the lab ends. Raises NotNeeded when it does not run any more."""
    lab = _lab(mail)
    if lab.state != State.RUNNING:
        raise NotNeeded("The lab is no longer running.")
    return {"until": _at(lab), "link": settings.SITE_URL + lab.get_absolute_url()}


def ending_facts(mail: Mail) -> dict[str, str]:
    """How long the lab still has. Raises NotNeeded when it has been extended or is over."""
    lab, now = _lab(mail), timezone.now()
    left = lab.time_left(now)
    if not left or lab.expires_at is None or lab.expires_at.isoformat() != mail.context.get("expires_at"):
        raise NotNeeded("The lab has been extended, or has ended.")
    room = room_minutes(lab)
    more = (
        f"You can extend it by up to {duration(room)} on its page."
        if room
        else "It cannot be extended further. Download or push what you want to keep before it ends."
    )
    return {
        "left": _about(left),
        "until": _at(lab),
        "more": more,
        "link": settings.SITE_URL + lab.get_absolute_url(),
    }


def lost_facts(mail: Mail) -> dict[str, str]:
    """Which labs of the instance have lost their files since the mail was written. Raises NotNeeded."""
    since, instance = parse_datetime(str(mail.context.get("since", ""))), mail.instance
    rows = list(_lost_since(instance, since)) if since and instance else []
    if not rows or instance is None:
        raise NotNeeded("No lab has lost its files.")
    lines = [f"{row.name} ({row.owner}): {row.lost_why}" for row in rows[:NAMED]]
    if len(rows) > NAMED:
        lines.append(f"and {len(rows) - NAMED} more")
    page = f"{reverse('admin:labs_lab_changelist')}?which=lost&instance__id__exact={instance.pk}"
    return {
        "count": "1 lab" if len(rows) == 1 else f"{len(rows)} labs",
        "labs": "\n".join(lines),
        "link": settings.SITE_URL + page,
    }


def _lost_since(instance: Instance, since: datetime.datetime) -> Iterable[Workload]:
    rows: Iterable[Workload] = (
        Workload.objects.filter(instance=instance, lost_at__gte=since).select_related("owner").order_by("lost_at", "pk")
    )
    return rows


def _lab(mail: Mail) -> Lab:
    rows = Lab.objects.select_related("instance", "owner", "template", "cluster")
    found: Lab | None = rows.filter(pk=mail.context.get("workload")).first()
    if found is None or found.state == State.QUEUED:
        raise NotNeeded("The lab no longer exists.")
    return found


def _at(lab: Lab) -> str:
    """When it ends."""
    return f"{timezone.localtime(lab.expires_at):%H:%M %Z on %-d %b %Y}"


def _about(left: datetime.timedelta) -> str:
    """As people say it: "1 day", "59 minutes"."""
    minutes = max(1, round(left / datetime.timedelta(minutes=1)))
    if minutes >= 23 * 60:
        return duration(round(minutes / 1440) * 1440)
    return duration(minutes)
