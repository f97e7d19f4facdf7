"""The log of a workload: the only thing that a page asks the cluster for."""

from __future__ import annotations

from k8s.errors import Error, NotFound, Refused, Unavailable
from labs.errors import Refusal
from labs.models import Workload
from labs.models.workload import WANTED_STATES

from . import clusters
from .rendering import name_of

CONTAINER = "lab"
LINES = 200
#: Seconds for the machine of a lab to answer: one that is gone does not, and a page or all other news would stand still.
PATIENCE = 3.0


def tail(workload: Workload) -> str:
    """The last lines; what was kept of them when it is over. Raises Refusal when the cluster does not answer."""
    if workload.state not in WANTED_STATES:
        return workload.log_tail
    try:
        return fetch(workload)
    except (NotFound, Refused):
        return ""
    except Unavailable:
        raise Refusal("The cluster does not answer at the moment. Please try again.", code="unavailable") from None


def fetch(workload: Workload) -> str:
    """The last lines from the cluster. Raises k8s.errors.Error: soon, for somebody waits for it."""
    client = clusters.working_client(workload.cluster).impatient(PATIENCE)
    return client.logs(name_of(workload), workload.instance.namespace, container=CONTAINER, tail_lines=LINES)


def fetch_quietly(workload: Workload) -> str:
    """The last lines, or none: for a failure, which is told with or without its log."""
    try:
        return fetch(workload)
    except Error:
        return ""
