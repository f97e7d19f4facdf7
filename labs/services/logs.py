"""The log of a workload: the only thing that a page asks the cluster for."""

from __future__ import annotations

from dataclasses import dataclass

from k8s.errors import Error, NotFound, Rejected, Unavailable
from labs.errors import Refusal
from labs.models import Workload
from labs.models.workload import WANTED_STATES

from . import clusters
from .rendering import name_of

#: The program of a lab, and what copies a repository into it before it starts (`k8s/services/jupyterlab.json`).
CONTAINER, COPIER = "lab", "clone"
#: Lines on a page, and in a file that somebody takes along.
LINES, LINES_OF_FILE = 200, 20_000
#: Bytes that are fetched, of which the last are shown: a cluster that is asked for fewer leaves out the end.
FETCHED, SHOWN = 4 * 1024 * 1024, 128 * 1024
#: Seconds for the machine of a lab to answer: one that is gone does not, and a page or all other news would stand still.
PATIENCE = 3.0


@dataclass(frozen=True)
class Log:
    """The end of what a program has written. `is_of_copying`: not the lab itself, but what copies a repository into it."""

    text: str
    is_of_copying: bool = False


def tail(workload: Workload, *, lines: int = LINES) -> Log:
    """The last lines; what was kept of them when it is over. Raises Refusal when the cluster does not answer."""
    if workload.state not in WANTED_STATES:
        cause = str((workload.diagnosis or {}).get("cause", ""))
        return Log(workload.log_tail, is_of_copying=cause.startswith("clone-"))
    try:
        return fetch(workload, lines=lines)
    except (NotFound, Rejected):
        return Log("")
    except Unavailable:
        raise Refusal("The cluster is not responding at the moment. Please try again.", code="unavailable") from None


def fetch(workload: Workload, *, lines: int = LINES) -> Log:
    """The last lines from the cluster: those of the copying for as long as the lab itself has written none. Raises k8s.errors.Error:
    soon, for somebody waits for it."""
    copies = bool(workload.parameters.get("repository")) and workload.started_at is None
    try:
        text = _of(workload, CONTAINER, lines)
    except (NotFound, Rejected):
        if not copies:
            raise
        text = ""
    return Log(_of(workload, COPIER, lines), is_of_copying=True) if copies and not text else Log(text)


def _of(workload: Workload, container: str, lines: int) -> str:
    client = clusters.working_client(workload.cluster).impatient(PATIENCE)
    namespace = workload.instance.namespace
    text: str = client.logs(
        name_of(workload), namespace, container=container, tail_lines=lines, limit_bytes=FETCHED
    )  # fmt: skip
    return text if lines > LINES else text[-SHOWN:]


def fetch_quietly(workload: Workload) -> str:
    """The last lines, or none: for a failure, which is told with or without its log."""
    try:
        return fetch(workload).text
    except Error:
        return ""
