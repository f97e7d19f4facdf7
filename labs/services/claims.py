"""One worker at a row, by compare-and-set: row locks would need PostgreSQL and would last as long as the cluster's answer."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from labs.models.bulk import lock_in_order, update_each
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
        #: Of the rows that were taken. By these they are found: there may be years of other rows.
        self._pks: list[Any] = []

    @property
    def rows(self) -> QuerySet[Any]:
        """Those that are held."""
        return self._model.objects.filter(pk__in=self._pks, claim=self.token)

    @transaction.atomic
    def take(self, candidates: QuerySet[Any]) -> int:
        """Claim those of the candidates at which nobody is. A slice of them is taken as it is. Returns how many."""
        now = timezone.now()
        # Workers at the same moment do not wait for each other, nor get the same rows. (SQLite writes one at a time anyway.)
        chosen = candidates.select_for_update(skip_locked=True, of=("self",), no_key=True)
        self._pks = list(chosen.values_list("pk", flat=True))
        if not self._pks:
            return 0
        free = self._model.objects.filter(unclaimed(now), pk__in=self._pks)
        return int(free.update(claim=self.token, claimed_until=now + CLAIM))

    def renew(self) -> bool:
        """Hold them for longer. False: none is held any more."""
        with transaction.atomic():
            lock_in_order(self.rows)
            return bool(self.rows.update(claimed_until=timezone.now() + CLAIM))

    def settle(self, done: Mapping[Any, Mapping[str, Any]]) -> set[Any]:
        """Let go of rows whose generation is done, and write what came of it for each; returns the keys of those. One of which a
        newer generation came meanwhile is held on to, and what was to be written is kept.
        """
        free = {"claim": None, "claimed_until": None, "problem": ""}
        settled = update_each(
            self._model,
            {row.pk: {**free, "observed_generation": row.generation, **fields} for row, fields in done.items()},
            as_read={row.pk: {"generation": row.generation} for row in done},
            only={"claim": [self.token]},
        )
        for row, fields in done.items():
            if row.pk not in settled:
                self.keep(row, **fields)
        return settled

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
            if claim.settle({row: {}}):
                return True
    except Exception as error:
        claim.drop(pk, str(error) or type(error).__name__)
        raise
    return False
