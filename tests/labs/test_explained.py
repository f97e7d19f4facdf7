# ruff: noqa: F811 (the fixture `running` comes from the module beside)
"""From what a cluster answers to what stands in the row: refusals, webhooks, and no machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from k8s.errors import Error
from labs.models import EndReason, Lab, State
from labs.models.cluster import MachineSnapshot
from labs.services.observe import Told, observe
from labs.services.reconcile import load, reconcile
from tests.k8s.recording.answers import hooked
from tests.k8s.recording.stage import Stage, placed, pod, unschedulable
from tests.labs.test_reconcile import launched, objects_of, running  # noqa: F401
from tests.support import webhook
from tests.support.cluster import wait_for

pytestmark = pytest.mark.django_db


def explained(lab: Lab) -> dict[str, Any]:
    """What its page shows after a try, for good or for now."""
    with contextlib.suppress(Error):
        reconcile(lab.pk)
    found: dict[str, Any] = load(lab.pk).diagnosis or {}
    return found


def is_asked(stage: Stage, namespace: str) -> bool:
    """The server learns of a webhook a moment after it was made."""
    try:
        stage.client.apply(placed(pod("probe"), namespace))
    except Error as error:
        return "webhook" in error.message
    stage.client.delete("Pod", "probe", namespace, grace_seconds=0)
    return False


@pytest.mark.k8s
@pytest.mark.parametrize("kubeconfig", ["real"], indirect=True)
@pytest.mark.parametrize(
    ("path", "cause", "ends"),
    [("/deny", "webhook-denied", True), ("/slow", "webhook-slow", False), ("/gone", "webhook-away", False)],
)
def test_a_webhook_is_explained_and_only_a_denial_ends_the_lab(
    running: SimpleNamespace,
    kubeconfig: str,
    tmp_path: Path,
    path: str,
    cause: str,
    ends: bool,
) -> None:
    stage = Stage(Path(kubeconfig), tmp_path)
    answers = {"/deny": webhook.deny("no labs today"), "/slow": webhook.slow(3), "/gone": lambda review: b"gone"}
    try:
        with webhook.serve(tmp_path, answers) as hook:
            hooked(stage, "Validating", hook.client_config(path), running.instance.namespace)
            wait_for("the webhook is asked", lambda: is_asked(stage, running.instance.namespace))
            lab = launched(running)
            found = explained(lab)
    finally:
        stage.close()
    row = load(lab.pk)
    assert found["cause"] == cause
    assert "webhook" not in f"{found['title']} {found['text']} {found['next_step']}"
    assert "webhook" in found["technical"]
    assert (row.end_reason == EndReason.FAILED) is ends
    # It has ended at once where nothing of it is found any more: the answer to the first call that removes it may be lost.
    assert row.state in ((State.STOPPING, State.ENDED) if ends else (State.STARTING,))


@pytest.mark.k8s
@pytest.mark.parametrize("kubeconfig", ["real"], indirect=True)
def test_a_lab_without_a_machine_says_so_on_its_page(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)

    def waiting() -> dict[str, Any] | None:
        found = objects_of(running, lab)["Pod"]
        return found if unschedulable(found) else None

    observe([Told(lab.pk, pod=wait_for("the scheduler has looked at it", waiting))], now=timezone.now())
    row = load(lab.pk)
    assert row.state == State.STARTING
    assert row.diagnosis["cause"] == "no-machine"
    assert row.diagnosis["technical"]
    assert row.diagnosis["since"]


def test_what_is_free_is_told_from_the_snapshot_of_the_cluster(running: SimpleNamespace) -> None:
    amounts = {"cpu": 4000, "memory": 8192, "pods": 110, "ephemeral-storage": 100_000}
    machine = {"name": "a", "labels": {}, "taints": [], "allocatable": amounts, "requested": {"cpu": 3500}}
    lab = launched(running)
    MachineSnapshot.objects.create(cluster=lab.cluster, at=timezone.now(), machines=[machine])
    reconcile(lab.pk)
    pod = objects_of(running, lab)["Pod"]
    waits = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": "2026-01-01T12:00:00Z",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }  # fmt: skip
    observe([Told(lab.pk, pod={**pod, "status": {"phase": "Pending", "conditions": [waits]}})], now=timezone.now())
    assert load(lab.pk).diagnosis["text"] == (
        "It needs 1 CPU on one machine; the most that is free on one machine is 0.5. 0.5 CPUs would start now."
    )
