"""One worker at a row, by compare-and-set: row locks would need PostgreSQL and would last as long as the cluster's answer."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

from django.db.models import Q
from django.utils import timezone

#: Longer than one call to the cluster with all its retries; renewed before each.
CLAIM = datetime.timedelta(seconds=40)


def free(now: datetime.datetime) -> Q:
    """Rows that nobody is at, or whose worker has been lost."""
    return Q(claim=None) | Q(claimed_until__lt=now)


class Claim:
    """The right to reconcile one row. `renew` answers False when it was lost."""

    def __init__(self, model: Any, pk: Any) -> None:
        self.rows = model.objects.filter(pk=pk)
        self.token = uuid.uuid4()

    def take(self) -> bool:
        now = timezone.now()
        return bool(self.rows.filter(free(now)).update(claim=self.token, claimed_until=now + CLAIM))

    def renew(self) -> bool:
        return bool(self.rows.filter(claim=self.token).update(claimed_until=timezone.now() + CLAIM))

    def settle(self, generation: int) -> bool:
        """Let go and note that this generation is done; False when a newer one came meanwhile (the claim is kept)."""
        mine = self.rows.filter(claim=self.token, generation=generation)
        return bool(mine.update(claim=None, claimed_until=None, observed_generation=generation, problem=""))

    def drop(self, problem: str) -> None:
        """Let go without having done it; the sweep will send somebody again."""
        self.rows.filter(claim=self.token).update(claim=None, claimed_until=None, problem=problem[:2000])


def run_claimed(model: Any, pk: Any, work: Callable[[Any, Claim], None], *, load: Callable[[], Any]) -> bool:
    """Call `work(row, claim)` until the row's newest generation is done. False: somebody else is at it, or it is gone.

    An exception from `work` lets go of the claim and is raised again.
    """
    claim = Claim(model, pk)
    if not claim.take():
        return False
    try:
        while claim.renew():
            row = load()
            work(row, claim)
            if claim.settle(row.generation):
                return True
    except Exception as error:
        claim.drop(str(error) or type(error).__name__)
        raise
    return False
