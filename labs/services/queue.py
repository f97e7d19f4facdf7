"""Handing work to the queue. A task carries primary keys only; what the queue loses, the sweep finds again."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from django.db import DatabaseError, transaction
from django_q.tasks import async_task

log = logging.getLogger(__name__)


def enqueue(task: str, *keys: Any) -> None:
    """Run `labs.tasks.<task>` with these keys once the current transaction has committed."""
    transaction.on_commit(partial(_send, task, *map(str, keys)))


def _send(task: str, *keys: str) -> None:
    try:
        async_task(f"labs.tasks.{task}", *keys, task_name=f"{task} {' '.join(keys)}"[:100])
    except DatabaseError:
        # The row is committed and says what is to be done; the sweep will see it within a minute.
        log.exception("could not queue %s %s", task, keys)
