"""The exact end of its time is told to a pod when the rush of a class that starts is over; nothing else waits for that."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from k8s import labels
from labs.models import Lab, State, Workload
from labs.rules.queue import ring
from labs.services.observe import AFTER_A_RUSH, Told, observe
from labs.services.rendering import name_of
from tests.factories import LabFactory

pytestmark = pytest.mark.django_db


def answers(lab: Lab) -> Workload:
    """Its pod is told to be ready."""
    metadata = {
        "name": name_of(lab), "namespace": lab.instance.namespace, "uid": "1", "labels": {labels.WORKLOAD: str(lab.pk)},
    }  # fmt: skip
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    OrmQ.objects.all().delete()
    observe(
        [Told(lab.pk, pod={"metadata": metadata, "spec": {"containers": []}, "status": status})], now=timezone.now()
    )
    row: Workload = Workload.objects.get(pk=lab.pk)
    assert row.state == State.RUNNING
    assert row.generation == lab.generation + 1
    return row


def test_the_end_of_its_time_waits_and_is_not_sent_for(
    world: SimpleNamespace, django_capture_on_commit_callbacks: Any
) -> None:
    lab = LabFactory(instance=world.instance, state=State.STARTING, observed_generation=1)
    with django_capture_on_commit_callbacks(execute=True):
        row = answers(lab)
    assert row.due_at > timezone.now() + AFTER_A_RUSH / 2
    assert not OrmQ.objects.exists()


def test_what_was_left_to_do_does_not_wait_with_it(world: SimpleNamespace) -> None:
    soon = timezone.now() + datetime.timedelta(seconds=3)
    lab = LabFactory(instance=world.instance, state=State.STARTING, generation=2, observed_generation=1, due_at=soon)
    assert answers(lab).due_at == soon


@pytest.mark.parametrize(
    ("state", "problem", "is_sent"),
    [(State.RUNNING, "", True), (State.STARTING, "it was silent", True), (State.REQUESTED, "", False)],
)
def test_a_launch_is_sent_for_unless_the_task_of_another_is_to_come(
    world: SimpleNamespace, django_capture_on_commit_callbacks: Any, state: State, problem: str, is_sent: bool
) -> None:
    LabFactory(
        instance=world.instance,
        state=state,
        problem=problem,
        generation=2,
        observed_generation=1,
        due_at=timezone.now(),
    )
    new = LabFactory(instance=world.instance)
    OrmQ.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        ring([new.pk])
    assert OrmQ.objects.exists() == is_sent
