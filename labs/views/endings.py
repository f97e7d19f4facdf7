"""How a lab ended and why, in the words of its page."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from accounts.models import User
from labs.models import EndReason, Event, Lab, Verb
from labs.models.event import SITE_ACTOR


@dataclass(frozen=True)
class Ending:
    """`title`: who or what ended it; `word`: what they said about it; `ran`: how long it had run."""

    title: str
    word: str = ""
    ran: datetime.timedelta | None = None


def ending_of(lab: Lab, viewer: User) -> Ending:
    """How it ended, or ends, for who looks at it. One query."""
    # What only waited in the queue ends in one step.
    steps = Event.objects.filter(workload=lab, verb__in=(Verb.STOPPING, Verb.ENDED)).select_related("actor")
    event = steps.order_by("at", "pk").first()
    by = event if event and event.actor_name != SITE_ACTOR else None
    ran = lab.ended_at - lab.started_at if lab.ended_at and lab.started_at else None
    return Ending(_title(lab, viewer, by), by.reason if by else "", ran)


def _title(lab: Lab, viewer: User, by: Event | None) -> str:
    verb = "ends" if lab.is_live else "ended"
    if by is not None:
        return f"{'You' if by.actor == viewer else by.who} stopped this lab"
    why = {
        EndReason.USER: "because someone chose Shut Down in its File menu",
        EndReason.STAFF: "because the staff stopped it",
        EndReason.EXPIRED: "because its lifetime was over",
        EndReason.IDLE: "because it was idle",
        EndReason.INSTANCE_OVER: f"because {lab.instance} ended",
    }
    return f"This lab {verb} {why.get(EndReason(lab.end_reason), '')}".strip()
