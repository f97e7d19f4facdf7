"""The one place that makes the cluster agree with workloads' rows: creation, change and removal alike.

Safe to run twice, at the same time, or to be killed half-way: rows are claimed by compare-and-set, objects are applied by
server-side apply, and what was left undone is seen by the watcher and the sweep. Rows are taken in batches, because a task
of the queue, a query and the wait for an answer cost more than the work on one row.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from django.db.models import Case, QuerySet, Value, When
from django.utils import timezone

from k8s import diagnosis, manifests
from k8s.client import Client
from k8s.errors import Error, NotFound, Unavailable
from k8s.policy import PolicyError
from labs.models import Lab, State, Workload
from labs.models.reconciled import changed
from labs.models.workload import WANTED_STATES
from labs.rules.queue import send

from . import clusters
from .claims import Claim
from .instances import provision_on
from .objects import FORGOTTEN, MANY, NAMED, Sent, apply, in_turn, remove, remove_many
from .rendering import WORKLOAD_KINDS, render
from .stopping import fail
from .transition import move_many

log = logging.getLogger(__name__)
#: Rows that a worker takes at once.
BATCH = 16
#: Calls that it has under way at once: it waits for the API server most of the time.
THREADS = 4
#: Rows that it takes at once of those that leave. They go together, by four calls for a hundred, a few of these at the same time.
LEAVING_BATCH = 5 * NAMED
#: Seconds after which a task ends and lets another go on: well below the queue's time-out.
LONGEST = 20.0

#: Work on the cluster for some rows, which share its outcome.
Job = tuple[Sequence[Lab], Callable[[], Sent]]


def reconcile(pk: Any) -> bool:
    """Make the cluster agree with one row. False: somebody else is at it. Raises k8s.errors.Error: it is tried again later."""
    claim = Claim(Workload)
    if not claim.take(Workload.objects.filter(pk=pk)):
        return False
    problems = _work(claim)
    if problems:
        raise problems[0]
    return True


def reconcile_due() -> int:
    """Make the clusters agree with all rows that are due, or go on for LONGEST seconds. Returns how many were taken."""
    end, taken, has_called = time.monotonic() + LONGEST, 0, False
    while time.monotonic() < end:
        claim = Claim(Workload)
        count = claim.take(_leaving()) or claim.take(_next())
        if not count:
            return taken
        if not has_called and count >= BATCH:
            has_called = True
            send("reconcile_workloads")  # Probably there is work for another worker too.
        taken += count
        for problem in _work(claim):
            log.warning("tried again later: %s", problem)
    send("reconcile_workloads")
    return taken


def _leaving() -> QuerySet[Workload]:
    """What is to be removed and can be together, before all else: it makes room, and costs little for many."""
    leaving = Workload.objects.due(timezone.now()).filter(state=State.STOPPING).exclude(owner_uid="")
    return leaving.order_by("due_at")[:LEAVING_BATCH]


def _next() -> QuerySet[Workload]:
    """What to take first: people wait for starts and ends; the new end of a running lab's time can wait."""
    urgency = Case(When(state=State.RUNNING, then=Value(1)), default=Value(0))
    return Workload.objects.due(timezone.now()).order_by(urgency, "due_at")[:BATCH]


def load(pk: Any) -> Lab:
    """The row with all that rendering needs. Raises Lab.DoesNotExist."""
    return load_many([pk]).get()


def load_many(pks: Iterable[Any]) -> QuerySet[Lab]:
    """The rows with all that rendering needs, in four queries: many share an instance, a cluster and a template, and to read
    a template once more for each row costs more than a query."""
    return Lab.objects.select_related("owner").prefetch_related("instance", "cluster", "template").filter(pk__in=pks)


def _work(claim: Claim) -> list[Exception]:
    """Work on the claimed rows until the newest generation of each is done. Returns why some are to be tried again later."""
    problems: list[Exception] = []
    provisioned: set[tuple[int, int]] = set()
    done: dict[Lab, dict[str, Any]] = {}
    try:
        while rows := list(load_many(claim.rows.values("pk"))):
            done = {}
            for row, sent in _outcomes(_run(_plan(rows))).items():
                problem = _note(claim, row, sent, provisioned, done)
                problems += [problem] if problem else []
            claim.settle(done)
            if not claim.renew():
                break
    except Exception as error:
        claim.settle(done)
        for pk in claim.rows.values_list("pk", flat=True):
            claim.drop(pk, str(error) or type(error).__name__)
        raise
    return problems


def _plan(rows: Sequence[Lab]) -> list[Job]:
    """What is to be done on the clusters for these rows."""
    requested = [row for row in rows if row.state == State.REQUESTED]
    started = move_many(requested, State.STARTING, now=timezone.now())
    jobs: list[Job] = []
    leaving: dict[tuple[int, int], list[Lab]] = defaultdict(list)
    for row in rows:
        if row.state == State.STOPPING:
            leaving[row.cluster_id, row.instance_id].append(row)
        elif row.state in WANTED_STATES and (row.state != State.REQUESTED or row.pk in started):
            jobs.append(([row], _applying(row)))
        else:
            jobs.append(([row], Sent))  # Nothing to do; or somebody ended it just now, and the next round sees that.
    for some in leaving.values():
        # What was never sent has no pod of which the watcher could tell that it is gone.
        known = [row for row in some if row.owner_uid]
        together = known if len(known) >= MANY else []
        jobs += [([row], _with_client(row, remove)) for row in some if not (together and row.owner_uid)]
        jobs += _removing(together)
    return jobs


def _removing(rows: Sequence[Lab]) -> list[Job]:
    """Some of one namespace together. Each row is in several jobs, and is done when all have gone well."""
    hundreds = [rows[at : at + NAMED] for at in range(0, len(rows), NAMED)]
    return [
        (some, _with_client(some[0], partial(_remove_together, some, kinds)))
        for kinds in (in_turn(rows[0].cluster) if rows else ())
        for some in hundreds
    ]


def _applying(row: Lab) -> Callable[[], Sent]:
    try:
        rendered = render(row)
    except (manifests.ManifestError, PolicyError) as error:
        return partial(Sent, error=error)
    except Exception as error:  # An odd row does not keep the others of its batch from theirs.
        log.exception("workload %s", row.pk)
        return partial(Sent, error=error)
    return _with_client(row, partial(_apply_rendered, rendered))


def _apply_rendered(rendered: list[dict[str, Any]], client: Client, row: Lab) -> Sent:
    return apply(client, row, rendered)


def _remove_together(rows: Sequence[Lab], kinds: Sequence[str], client: Client, _: Lab) -> Sent:
    return remove_many(client, rows, kinds)


def _with_client(row: Lab, work: Callable[[Client, Lab], Sent]) -> Callable[[], Sent]:
    try:
        return partial(work, clusters.working_client(row.cluster), row)
    except Error as error:
        return partial(Sent, error=error)


def _run(jobs: Sequence[Job]) -> list[tuple[Sequence[Lab], Sent]]:
    """All jobs, several at once. After the first sign that a cluster is silent, what remains for it is not tried."""
    silent: dict[int, Unavailable] = {}

    def run(job: Job) -> tuple[Sequence[Lab], Sent]:
        rows, work = job
        cluster = rows[0].cluster_id
        sent = Sent(error=silent[cluster]) if cluster in silent else work()
        if isinstance(sent.error, Unavailable) and diagnosis.explain(sent.error).cause in OF_THE_CLUSTER:
            silent[cluster] = sent.error
        return rows, sent

    if len(jobs) == 1:
        return [run(jobs[0])]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="cluster") as pool:
        return list(pool.map(run, jobs))


def _outcomes(run: Iterable[tuple[Sequence[Lab], Sent]]) -> dict[Lab, Sent]:
    """What came of each row, which may have been in several jobs: the first that failed, if one did."""
    found: dict[Lab, Sent] = {}
    for rows, sent in run:
        for row in rows:
            if row not in found or found[row].error is None:
                found[row] = sent
    return found


def _note(
    claim: Claim, row: Lab, sent: Sent, provisioned: set[tuple[int, int]], done: dict[Lab, dict[str, Any]]
) -> Exception | None:
    """Add to `done`, with what to write of it, a row for which that was all. Returns why it is to be tried again later, if so."""
    error = sent.error
    if isinstance(error, NotFound) and (row.instance_id, row.cluster_id) not in provisioned:
        # Its namespace is not there (any more): made again, and the row is not let go of.
        provisioned.add((row.instance_id, row.cluster_id))
        try:
            provision_on(row.instance, row.cluster)
        except Error as problem:
            error = problem
        else:
            return None
    found = _explained(error)
    if found and found["fatal"]:
        # That does not get better by waiting.
        log.warning("workload %s refused: %s", row.pk, error)
        if row.started_at is None:
            fail(row, found, now=timezone.now())
        # One that runs goes on as it is, and its people keep their work: what was refused is a change.
        done[row] = {**sent.written, "problem": str(error)[:2000]}
        return None
    if sent.gone:
        finish([row])
    if error is None:
        done[row] = sent.written
        return None
    # Told on its page until the cluster says something of it again.
    told = {"diagnosis": found} if found and row.state in STARTING_STATES else {}
    claim.keep(row, **sent.written)
    claim.drop(row.pk, str(error) or type(error).__name__, **told)
    return error


def _explained(error: Exception | None) -> dict[str, Any] | None:
    if isinstance(error, manifests.ManifestError | PolicyError):
        return TEMPLATE_AT_FAULT
    return dataclasses.asdict(diagnosis.explain(error)) if isinstance(error, Error) else None


STARTING_STATES = (State.REQUESTED, State.STARTING)
#: Causes that are the same for whatever is sent to the cluster.
OF_THE_CLUSTER = ("cluster-silent", "site-unknown", "too-busy")
TEMPLATE_AT_FAULT = {
    "cause": "template",
    "title": "The service is misconfigured",
    "text": "It tried to start something that is not allowed here. This is not your fault, and trying again will not help.",
    "next_step": "Please contact the site administrators.",
    "fatal": True,
}


def finish(workloads: Sequence[Workload]) -> set[Any]:
    """Nothing of them is left on the cluster: they have ended. Returns which."""
    now = timezone.now()
    return move_many(workloads, State.ENDED, now=now, ended_at=now, is_ready=False, applied={}, owner_uid="")


def forget_applied(*workloads: Workload, pod_is_gone: bool = True) -> None:
    """Their objects have gone or changed without our doing: the next reconcile applies them again, whatever is there.

    A pod that is still there stays ready: it does not change, and nothing would say so again.
    """
    news = {"is_ready": False} if pod_is_gone else {}
    Workload.objects.filter(pk__in=[row.pk for row in workloads], state__in=WANTED_STATES).update(
        applied=dict.fromkeys(WORKLOAD_KINDS, FORGOTTEN), owner_uid="", **changed(), **news
    )
