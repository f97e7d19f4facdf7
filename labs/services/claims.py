"""One worker at a row, by compare-and-set: row locks would need PostgreSQL and would last as long as the cluster's answer."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from labs.models.reconciled import unclaimed

#: Longer than the calls between two renewals with all their retries.
CLAIM = datetime.timedelta(seconds=40)
#: After a fault of the cluster, the next try.
BACK_OFF = datetime.timedelta(seconds=15)


class Claim:
    """The right to reconcile some rows of a model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.token = uuid.uuid4()

    @property
    def rows(self) -> QuerySet[Any]:
        """Those that are held."""
        return self._model.objects.filter(claim=self.token)

    @transaction.atomic
    def take(self, candidates: QuerySet[Any]) -> int:
        """Claim those of the candidates at which nobody is. A slice of them is taken as it is. Returns how many."""
        now = timezone.now()
        # Workers at the same moment do not wait for each other, nor get the same rows. (SQLite writes one at a time anyway.)
        chosen = candidates.select_for_update(skip_locked=True, of=("self",), no_key=True).values("pk")
        free = self._model.objects.filter(unclaimed(now), pk__in=chosen)
        return int(free.update(claim=self.token, claimed_until=now + CLAIM))

    def renew(self) -> bool:
        """Hold them for longer. False: nothing is held any more."""
        return bool(self.rows.update(claimed_until=timezone.now() + CLAIM))

    def settle(self, row: Any, **fields: Any) -> bool:
        """Let go of a row whose generation is done, and write `fields`. False when a newer one came meanwhile: the row is held
        on to, and `fields` are kept.
        """
        done = {"claim": None, "claimed_until": None, "observed_generation": row.generation, "problem": ""}
        if self.rows.filter(pk=row.pk, generation=row.generation).update(**{**done, **fields}):
            return True
        self.keep(row, **fields)
        return False

    def keep(self, row: Any, **fields: Any) -> None:
        """Write `fields` of a row that is held, unless somebody has written one of them since `row` was read: that is newer."""
        if fields:
            as_read = {name: getattr(row, name) for name in fields}
            self.rows.filter(pk=row.pk, **as_read).update(**fields)

    def drop(self, pk: Any, problem: str, **fields: Any) -> None:
        """Let go of a row without having done it; it is due again after a while."""
        self.rows.filter(pk=pk).update(
            claim=None, claimed_until=None, due_at=timezone.now() + BACK_OFF, problem=problem[:2000], **fields
        )


def run_claimed(model: Any, pk: Any, work: Callable[[Any], None], *, load: Callable[[], Any]) -> bool:
    """Call `work(row)` until the row's newest generation is done. False: somebody else is at it, or it is gone.

    An exception from `work` lets go of the claim and is raised again.
    """
    claim = Claim(model)
    if not claim.take(model.objects.filter(pk=pk)):
        return False
    try:
        while claim.renew():
            row = load()
            work(row)
            if claim.settle(row):
                return True
    except Exception as error:
        claim.drop(pk, str(error) or type(error).__name__)
        raise
    return False
