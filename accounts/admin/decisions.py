"""What owners and staff decide about a membership: the words, and the service that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Membership, Role, Status
from accounts.rules import authority
from accounts.services import membership as service
from labs.access import person, reach
from labs.admin.confirm import named
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
    #: Asked again by the service, of the row as it then is.
    may: Callable[[Any, Membership], bool] = authority.can_decide_membership
    is_danger: bool = False
    #: For many at once, where that is possible: gives the keys of those that it changed.
    for_many: Callable[..., set[int]] | None = None
    #: Whether what these people run in the instance is stopped.
    ends_labs: bool = False

    @property
    def address(self) -> str:
        """The name of the page that asks, and does it by POST."""
        return f"admin:accounts_membership_{self.name}"

    def is_offered(self, row: Membership) -> bool:
        return row.status in self.follows


APPROVE = Decision(
    "approve",
    "Approve",
    "Approved",
    "They can launch labs right away. They get an e-mail.",
    service.approve,
    (Status.REQUESTED, Status.DENIED),
    for_many=service.approve_many,
)
DENY = Decision(
    "deny", "Deny", "Not approved",
    "They get an e-mail and cannot request access again. You can still approve them later.",
    service.deny, (Status.REQUESTED,), is_danger=True, for_many=service.deny_many,
)  # fmt: skip
SUSPEND = Decision(
    "suspend", "Suspend", "Suspended",
    "They lose access until someone reinstates them. Their labs are stopped and the files in them are deleted. They get an e-mail.",
    service.suspend, (Status.APPROVED,), may=authority.can_suspend_membership, is_danger=True, ends_labs=True,
)  # fmt: skip
REINSTATE = Decision(
    "reinstate", "Reinstate", "Reinstated", "They can launch labs again. They get an e-mail.", service.reinstate,
    (Status.SUSPENDED,), for_many=service.reinstate_many,
)  # fmt: skip
REMOVE = Decision(
    "remove", "Remove", "Removed",
    "Their labs are stopped, the files in them are deleted, and so are their personal limits. They get an e-mail and may "
    "request access again. To keep someone out, suspend them instead.",
    service.remove, tuple(Status), may=authority.can_remove_membership, is_danger=True, ends_labs=True,
)  # fmt: skip
DECISIONS = {decision.name: decision for decision in (APPROVE, DENY, SUSPEND, REINSTATE, REMOVE)}


def may_decide(request: HttpRequest, decision: Decision, row: Membership) -> bool:
    """What a button is shown for, without a query a row. The service asks `decision.may` again."""
    mine = reach(request)
    if mine.is_administrator:
        return True
    if row.user_id == request.user.pk:
        return False
    if mine.owns(row.instance_id):
        return True
    if row.role != Role.MEMBER or decision is REMOVE or not mine.manages(row.instance_id):
        return False
    return decision is SUSPEND or authority.decides(Role.STAFF, row.instance)


def offered(request: HttpRequest, row: Membership) -> list[Decision]:
    return [item for item in DECISIONS.values() if item.is_offered(row) and may_decide(request, item, row)]


def decide(request: HttpRequest, decision: Decision, rows: Iterable[Membership], note: str) -> None:
    """Carry it out, for many at once where that is possible, and tell the person at the console what became of it."""
    rows = list(rows)
    if decision.for_many and len(rows) > 1:
        changed = decision.for_many(rows, actor=person(request), now=timezone.now(), note=note)
    else:
        rows, changed = _one_by_one(request, decision, rows, note)
    done = [str(row.user) for row in rows if row.pk in changed]
    late = [str(row.user) for row in rows if row.pk not in changed]
    if done:
        messages.success(request, f"{decision.done}: {named(done)}.")
    if late:
        messages.info(request, f"No change for {named(late)}: already decided.")


def _one_by_one(
    request: HttpRequest, decision: Decision, rows: list[Membership], note: str
) -> tuple[list[Membership], set[int]]:
    """Those that were not refused, and the keys of those that changed."""
    taken: list[Membership] = []
    changed: set[int] = set()
    for row in rows:
        try:
            if decision.carry_out(row, actor=person(request), now=timezone.now(), note=note):
                changed.add(row.pk)
        except Refusal as refusal:
            messages.error(request, f"{row.user}: {refusal.message}")
        else:
            taken.append(row)
    return taken, changed
