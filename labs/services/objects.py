"""A workload's objects, sent to and removed from its cluster. Knows no data base, so that it can run in threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from k8s import labels, manifests
from k8s.client import Client
from k8s.errors import Conflict, Error, NotFound, Rejected
from labs.models import Cluster, Workload

from .rendering import WORKLOAD_KINDS, kinds_of, name_of

#: Kinds of which nothing is ever taken away again: at most a label gets another value.
CREATED = ("Secret", "Pod", "Service")
#: In the place of a digest: what is there is not known, and may be anything.
FORGOTTEN = ""
#: From so many workloads of one namespace on, pods and what leads to them are deleted as collections before each one's Secret:
#: the garbage collector, which removes what a Secret owns, deletes 20 objects a second by default.
MANY = len(WORKLOAD_KINDS)
#: Workloads that one call names, in its address: 39 characters each, and some proxies take 8,000.
NAMED = 100


@dataclass(frozen=True)
class Sent:
    """What came of it."""

    #: For the row: `applied` and `owner_uid`, as far as it got.
    written: dict[str, Any] = field(default_factory=dict)
    #: Nothing of it is on the cluster.
    gone: bool = False
    error: Exception | None = None


def apply(client: Client, workload: Workload, objects: Sequence[dict[str, Any]]) -> Sent:
    """Send what differs from what was last sent: four objects at the launch, the pod's labels for a new end of its time."""
    owner_uid, applied = workload.owner_uid, dict(workload.applied)
    secret, *others = objects
    error = None
    try:
        if applied.get("Secret") != manifests.digest(secret):
            owner_uid = _send(client, secret, applied.get("Secret"))["metadata"]["uid"]
            applied["Secret"] = manifests.digest(secret)
        for manifest in manifests.owned(others, secret, owner_uid):
            kind, digest = manifest["kind"], manifests.digest(manifest)
            if applied.get(kind) != digest:
                _send(client, manifest, applied.get(kind))
                applied[kind] = digest
    except Error as problem:
        error = problem
    changed = (applied, owner_uid) != (workload.applied, workload.owner_uid)
    return Sent({"applied": applied, "owner_uid": owner_uid} if changed else {}, error=error)


def _send(client: Client, manifest: dict[str, Any], last: str | None) -> dict[str, Any]:
    """The object as it now is. Raises k8s.errors.Error. `last`: digest of what was sent, None: nothing yet, FORGOTTEN: not known.

    To create costs the API server less than to apply, and nearly all is sent once (docs/performance.md). What may lose a
    field later on is applied from the start, for apply removes only what an apply has set.
    """
    kind = manifest["kind"]
    if last is None and kind in CREATED:
        try:
            return client.create(manifest)
        except (Conflict, Rejected) as problem:
            # It may be there, from a worker that was killed before it could say so. A quota is asked before the name is
            # looked at, and counts what is there once more; apply does neither to what is there.
            if isinstance(problem, Rejected) and problem.kind != "quota":
                raise
    if last is not None and kind == "Pod":
        # The rest of a pod stays as it was launched, whatever the site's settings say by now.
        with suppress(NotFound):
            return client.merge({"kind": kind, "metadata": manifest["metadata"]})
    return client.apply(manifest)


def remove(client: Client, workload: Workload) -> Sent:
    """Delete the Secret, which owns the rest. The end comes when the pod is gone: from the watcher, or from the sweep."""
    try:
        try:
            was_there = client.delete(
                "Secret", name_of(workload), workload.instance.namespace, uid=workload.owner_uid or None
            )
        except Conflict:
            was_there = False  # Another Secret of this name: not the one we made.
        # A pod that was never sent does not go, and nobody would tell of it.
        maybe_gone = not was_there or not workload.applied.get("Pod")
        return Sent(gone=maybe_gone and not _has_pod(client, workload))
    except Error as problem:
        return Sent(error=problem)


def in_turn(cluster: Cluster) -> Sequence[Sequence[str]]:
    """The kinds of which workloads consist there, in the order in which many are removed: of all of them the first, then the next.

    Pods take room. What leads to them comes next: with its pod a workload ends, and then its name is free.
    """
    secret, pod, service, way = kinds_of(cluster)
    return (pod,), (way,), (service, secret)


def remove_many(client: Client, workloads: Sequence[Workload], kinds: Sequence[str]) -> Sent:
    """Delete what these workloads of one namespace have of these kinds, by their labels; at most NAMED of them.

    Secrets by their names: the answer to the deletion of a collection holds all that was in it.
    """
    namespace = workloads[0].instance.namespace
    keys = ",".join(str(workload.pk) for workload in workloads)
    try:
        for kind in kinds:
            if kind == "Secret":
                remove_secrets(client, workloads)
                continue
            client.delete_selected(
                kind, namespace, labels=f"{labels.MANAGED_BY}={labels.MANAGER},{labels.WORKLOAD} in ({keys})"
            )
    except Error as problem:
        return Sent(error=problem)
    return Sent()


def remove_secrets(client: Client, workloads: Iterable[Workload]) -> None:
    """Delete the Secret of each, which owns the rest. Raises k8s.errors.Error."""
    for workload in workloads:
        with suppress(Conflict):  # Another Secret of this name: not the one we made.
            uid = workload.owner_uid or None
            client.delete("Secret", name_of(workload), workload.instance.namespace, uid=uid)


def _has_pod(client: Client, workload: Workload) -> bool:
    try:
        pod = client.get("Pod", name_of(workload), workload.instance.namespace)
    except NotFound:
        return False
    return pod["metadata"].get("labels", {}).get(labels.WORKLOAD) == str(workload.pk)
