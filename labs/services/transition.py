"""The only way a workload changes its state: compare-and-set along the table of allowed transitions, with its Event."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.models import User
from labs.models import State, Verb, Workload
from labs.models.workload import TRANSITIONS

from .history import record
from .queue import enqueue

VERBS = {
    State.REQUESTED: Verb.LAUNCHED,
    State.STARTING: Verb.STARTING,
    State.RUNNING: Verb.RUNNING,
    State.STOPPING: Verb.STOPPING,
    State.ENDED: Verb.ENDED,
}


def move(
    workload: Workload,
    to: State,
    *,
    now: datetime.datetime,
    actor: User | None = None,
    reason: str = "",
    reconcile: bool = False,
    **fields: Any,
) -> bool:
    """Take the workload to state `to`, setting `fields` with it; `reconcile` tells the cluster's side that there is news.

    False when the row was not in a state from which this is allowed: somebody was faster, and that is no error.
    """
    allowed = [state for state, following in TRANSITIONS.items() if to in following]
    if reconcile:
        fields["generation"] = F("generation") + 1
    with transaction.atomic():
        before = (
            Workload.objects.select_for_update()
            .filter(pk=workload.pk, state__in=allowed)
            .values_list("state", flat=True)
            .first()
        )
        if before is None or not Workload.objects.filter(pk=workload.pk, state=before).update(state=to, **fields):
            return False
        after = {"state": to} | ({"end_reason": fields["end_reason"]} if "end_reason" in fields else {})
        record(
            VERBS[to],
            workload.name,
            actor=actor,
            now=now,
            instance=workload.instance,
            user=workload.owner,
            workload=workload,
            before={"state": before},
            after=after,
            reason=reason,
        )
        if reconcile:
            enqueue("reconcile_workload", workload.pk)
        if to == State.ENDED:
            enqueue("promote_queued", workload.instance_id)
    return True
