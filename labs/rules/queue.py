"""Handing work to the queue. A task carries primary keys only; what the queue loses, the watcher and the sweep find again."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection
from functools import partial
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from labs.models import State, Workload

log = logging.getLogger(__name__)
#: A row that became due so short a time ago still has its task before it.
FRESH = datetime.timedelta(seconds=3)
#: Waiting tasks to which a reminder adds no more: while a cluster is silent, the queue must not grow.
MOST_QUEUED = 20


def enqueue(task: str, *keys: Any) -> None:
    """Run `labs.tasks.<task>` with these keys once the current transaction has committed."""
    transaction.on_commit(partial(send, task, *map(str, keys)))


def ring(pks: Collection[Any]) -> None:
    """Have these workloads reconciled, once the current transaction has committed.

    A task takes along whatever is due, so one is enough for many: none is sent while another row is newly due, for its task
    is still to come and will find these rows too. (What runs may be due without one: see `observe.AFTER_A_RUSH`; and so may what
    is tried again after a fault.)
    """
    transaction.on_commit(partial(_ring, pks))


def _ring(pks: Collection[Any]) -> None:
    now = timezone.now()
    others = Workload.objects.due(now).filter(due_at__gt=now - FRESH, problem="").exclude(pk__in=pks)
    if not others.exclude(state=State.RUNNING).exists():
        send("reconcile_workloads")


def remind(now: datetime.datetime) -> bool:
    """Send for what should have been taken up by now: its task was lost, or a silent cluster is to be tried again."""
    forgotten = Workload.objects.due(now).filter(due_at__lte=now - FRESH).exists()
    if forgotten and OrmQ.objects.count() < MOST_QUEUED:
        send("reconcile_workloads")
    return forgotten


def send(task: str, *keys: str) -> None:
    """Put a task into the queue now; `task`: a function of `labs.tasks`, or one elsewhere by its whole name."""
    name, path = task.rpartition(".")[2], task if "." in task else f"labs.tasks.{task}"
    try:
        async_task(path, *keys, task_name=f"{name} {' '.join(keys)}"[:100].strip())
    except DatabaseError:
        # The row is committed and says what is to be done; the watcher or the sweep will see it.
        log.exception("could not queue %s %s", task, keys)
