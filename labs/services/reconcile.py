"""The one function that makes the cluster agree with a workload's row: creation, change and removal alike.

Safe to run twice, at the same time, or to be killed half-way: the row is claimed by compare-and-set, objects are applied by
server-side apply, and what was left undone is seen by the sweep.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from django.db.models import F
from django.utils import timezone

from k8s import diagnosis, labels, manifests
from k8s.client import Client
from k8s.errors import Conflict, NotFound, Refused, Unavailable
from k8s.policy import PolicyError
from labs.models import Lab, State, Workload
from labs.models.workload import WANTED_STATES

from . import clusters
from .claims import Claim, run_claimed
from .instances import provision
from .rendering import name_of, render
from .stopping import fail
from .transition import move

log = logging.getLogger(__name__)


def reconcile(pk: Any) -> bool:
    """Make the cluster agree with the row. False: somebody else is at it. Raises k8s.errors.Unavailable: try again later."""
    try:
        return run_claimed(Workload, pk, _make_so, load=lambda: load(pk))
    except Unavailable:
        # Told on its page until the cluster says something of it again.
        Workload.objects.filter(pk=pk, state__in=(State.REQUESTED, State.STARTING)).update(diagnosis=CLUSTER_SILENT)
        raise


def load(pk: Any) -> Lab:
    """The row with all that rendering needs, in one query."""
    return Lab.objects.select_related("instance__cluster", "cluster", "template", "owner").get(pk=pk)


def _make_so(lab: Lab, claim: Claim) -> None:
    if lab.state == State.REQUESTED:
        move(lab, State.STARTING, now=timezone.now())
        lab.refresh_from_db(fields=["state"])
    client = clusters.client(lab.cluster)
    if lab.state in WANTED_STATES:
        try:
            _apply(lab, claim, client)
        except (Refused, manifests.ManifestError, PolicyError) as error:
            _refused(lab, error)
    elif lab.state == State.STOPPING:
        _remove(lab, client)


def _apply(lab: Lab, claim: Claim, client: Client) -> None:
    """Send what differs from what was last sent: four objects at the launch, the pod alone for a new end of its time."""
    owner_uid, applied = lab.owner_uid, dict(lab.applied)
    objects = render(lab, owner_uid)
    secret = objects[0]
    if applied.get("Secret") != manifests.digest(secret):
        owner_uid = _apply_one(lab, secret, client)["metadata"]["uid"]
        applied["Secret"] = manifests.digest(secret)
        objects = render(lab, owner_uid)
    for manifest in objects[1:]:
        digest = manifests.digest(manifest)
        if applied.get(manifest["kind"]) == digest:
            continue
        if not claim.renew() or not Workload.objects.filter(pk=lab.pk, state__in=WANTED_STATES).exists():
            return  # Somebody ended it meanwhile: the next round of the claim removes what has been made.
        client.apply(manifest)
        applied[manifest["kind"]] = digest
    Workload.objects.filter(pk=lab.pk).update(applied=applied, owner_uid=owner_uid)


def _apply_one(lab: Lab, manifest: dict[str, Any], client: Client) -> dict[str, Any]:
    """The first object; the namespace is made (again) when it is not there."""
    try:
        return client.apply(manifest)
    except NotFound:
        provision(lab.instance)
        return client.apply(manifest)


def _refused(lab: Lab, error: Exception) -> None:
    """The cluster, or our own check, says no: that does not get better by waiting. Raises Unavailable where it does.

    A site without a right is no fault of the workload: somebody gives it the right, or an API server that has just started
    has not read the roles yet and refuses everybody.
    """
    if isinstance(error, Refused) and error.kind == "forbidden":
        raise Unavailable(error.message, code=error.code, reason=error.reason, passing=False)
    log.warning("workload %s refused: %s", lab.pk, error)
    if isinstance(error, Refused):
        found = diagnosis.diagnose(None, [], refusal=error, now=timezone.now())
        problem = dataclasses.asdict(found) if found else None
    else:
        problem = None
    fail(lab, problem or TEMPLATE_AT_FAULT, now=timezone.now())


CLUSTER_SILENT = {
    "cause": "cluster-silent",
    "title": "The machines do not answer at the moment.",
    "text": "The lab has been accepted, and keeps its place. It is tried again every minute.",
    "next_step": "Nothing: it goes on by itself.",
    "fatal": False,
}
TEMPLATE_AT_FAULT = {
    "cause": "template",
    "title": "This service is set up wrongly.",
    "text": "What it wanted to start is not allowed here. It is not your fault, and trying again will not help.",
    "next_step": "Please tell the people who run the site.",
    "fatal": True,
}


def _remove(lab: Lab, client: Client) -> None:
    """Delete the Secret, which owns the rest. The end comes when the pod is gone: from the watcher, or from the sweep."""
    namespace, name = lab.instance.namespace, name_of(lab)
    try:
        was_there = client.delete("Secret", name, namespace, uid=lab.owner_uid or None)
    except Conflict:
        was_there = False  # Another Secret of this name: not the one we made.
    if not was_there and not _pod_of(lab, client):
        finish(lab)


def _pod_of(lab: Lab, client: Client) -> dict[str, Any] | None:
    try:
        pod = client.get("Pod", name_of(lab), lab.instance.namespace)
    except NotFound:
        return None
    return pod if pod["metadata"].get("labels", {}).get(labels.WORKLOAD) == str(lab.pk) else None


def finish(workload: Workload) -> bool:
    """Nothing of it is left on the cluster: it has ended."""
    now = timezone.now()
    return move(workload, State.ENDED, now=now, ended_at=now, is_ready=False, applied={}, owner_uid="")


def forget_applied(workload: Workload, *, pod_is_gone: bool = True) -> None:
    """Its objects have gone or changed without our doing: the next reconcile makes them again.

    A pod that is still there stays ready: it does not change, and nothing would say so again.
    """
    news = {"is_ready": False} if pod_is_gone else {}
    Workload.objects.filter(pk=workload.pk, state__in=WANTED_STATES).update(
        applied={}, owner_uid="", generation=F("generation") + 1, **news
    )
