"""What owners and staff decide about a membership: the words, and the service that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Membership, Role, Status
from accounts.services import membership as service
from labs.admin.access import person, reach
from labs.errors import Refusal


@dataclass(frozen=True)
class Decision:
    name: str
    button: str
    done: str
    lead: str
    carry_out: Callable[..., bool]
    #: From which states it is offered.
    follows: tuple[Status, ...]
    is_danger: bool = False

    def is_offered(self, row: Membership) -> bool:
        return row.status in self.follows


APPROVE = Decision(
    "approve",
    "Approve",
    "Approved",
    "They can launch labs at once.",
    service.approve,
    (Status.REQUESTED, Status.DENIED),
)
DENY = Decision(
    "deny", "Deny", "Not approved", "They cannot ask again; you can still approve them later.", service.deny,
    (Status.REQUESTED,), is_danger=True,
)  # fmt: skip
SUSPEND = Decision(
    "suspend", "Suspend", "Suspended", "They lose access until you reinstate them, and their running labs are stopped.",
    service.suspend, (Status.APPROVED,), is_danger=True,
)  # fmt: skip
REINSTATE = Decision(
    "reinstate", "Reinstate", "Reinstated", "They can launch labs again.", service.reinstate, (Status.SUSPENDED,)
)
DECISIONS = {decision.name: decision for decision in (APPROVE, DENY, SUSPEND, REINSTATE)}


def may_decide(request: HttpRequest, row: Membership) -> bool:
    """What a button is shown for, without a query a row. The service asks `authority.can_decide_membership` again."""
    mine = reach(request)
    if row.user_id == request.user.pk and not mine.is_administrator:
        return False
    return mine.manages(row.instance_id) if row.role == Role.MEMBER else mine.owns(row.instance_id)


def offered(request: HttpRequest, row: Membership) -> list[Decision]:
    return [decision for decision in DECISIONS.values() if decision.is_offered(row) and may_decide(request, row)]


def decide(request: HttpRequest, decision: Decision, rows: Iterable[Membership], note: str) -> None:
    """Carry it out for each row, and tell the person at the console what became of it."""
    done: list[str] = []
    late: list[str] = []
    for row in rows:
        try:
            changed = decision.carry_out(row, actor=person(request), now=timezone.now(), note=note)
        except Refusal as refusal:
            messages.error(request, f"{row.user}: {refusal.message}")
            continue
        (done if changed else late).append(str(row.user))
    if done:
        messages.success(request, f"{decision.done}: {', '.join(done)}.")
    if late:
        messages.info(request, f"Nothing to change for {', '.join(late)}: decided before.")
