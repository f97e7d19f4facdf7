"""A pod that the cluster takes away takes the files of its lab along: owner, history and staff are told, once for each loss."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Mail, MailKind, MailState
from accounts.services import wording
from k8s import labels
from k8s.diagnosis import loss as why_lost
from labs.models import EndReason, Event, Lab, State, Verb
from labs.services import sweep
from labs.services.observe import Told, observe
from labs.services.rendering import name_of
from tests.factories import LabFactory

pytestmark = pytest.mark.django_db
MINUTE = datetime.timedelta(minutes=1)
DRAINED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}


def running(world: SimpleNamespace, **fields: Any) -> Lab:
    lab: Lab = LabFactory(
        instance=world.instance, owner=world.member, template=world.template, state=State.RUNNING,
        **{"pod_uid": str(uuid4()), **fields},
    )  # fmt: skip
    return lab


def pod_of(
    lab: Lab, *conditions: dict[str, Any], uid: str | None = None, phase: str = "Running", **status: Any
) -> dict[str, Any]:
    metadata = {"name": name_of(lab), "namespace": lab.instance.namespace, "labels": {labels.WORKLOAD: str(lab.pk)}}
    return {
        "metadata": metadata | {"uid": lab.pod_uid if uid is None else uid},
        "spec": {"containers": [{"name": "lab", "image": lab.image}]},
        "status": {"phase": phase, "conditions": list(conditions), **status},
    }


def goes(lab: Lab, *, now: datetime.datetime, uid: str | None = None) -> None:
    observe([Told(lab.pk, pod=pod_of(lab, DRAINED, uid=uid), gone=True)], now=now)


def comes_back(lab: Lab, *, now: datetime.datetime) -> str:
    uid = str(uuid4())
    pod = pod_of(lab, {"type": "Ready", "status": "True"}, uid=uid)
    observe([Told(lab.pk, pod=pod)], now=now)
    return uid


def mails(kind: MailKind) -> list[Mail]:
    return list(Mail.objects.filter(kind=kind).order_by("created_at", "recipient"))


def test_a_drained_lab_says_that_it_came_back_empty(world: SimpleNamespace) -> None:
    lab = running(world)
    goes(lab, now=world.now)
    comes_back(lab, now=world.now + MINUTE)
    row = Lab.objects.get(pk=lab.pk)
    assert (row.state, row.is_ready, row.diagnosis) == (State.RUNNING, True, None)
    assert (row.lost_at, row.lost_why) == (world.now, "Its machine was taken out of service.")
    event = Event.objects.get(workload=lab.pk, verb=Verb.LOST)
    assert event.sentence == f"{lab.name} lost its files"
    assert event.reason == "Its machine was taken out of service. It starts again, empty."
    (mail,) = mails(MailKind.LAB_LOST)
    said = wording.compose(mail)
    assert mail.recipient == world.member.email
    assert said.subject == f"{lab.name} has lost its files"
    assert "Its machine was taken out of service." in said.text
    assert f"http://testserver/labs/{lab.pk}/" in said.text


def test_a_loss_is_told_once_whoever_sees_it_and_however_often(world: SimpleNamespace) -> None:
    lab = running(world)
    for _ in range(2):
        goes(lab, now=world.now)
    sweep.loss.note({Lab.objects.select_related("instance", "owner").get(pk=lab.pk): why_lost(None)}, now=world.now)
    assert len(mails(MailKind.LAB_LOST)) == 1
    uid = comes_back(lab, now=world.now)
    goes(lab, now=world.now)  # Of the former pod, once more.
    assert Lab.objects.get(pk=lab.pk).is_ready
    goes(lab, now=world.now + MINUTE, uid=uid)
    assert len(mails(MailKind.LAB_LOST)) == 2
    assert Event.objects.filter(verb=Verb.LOST).count() == 2


def test_a_loss_of_which_only_the_new_pod_tells_is_noted(world: SimpleNamespace) -> None:
    together, alone = running(world), running(world)
    ready = {"type": "Ready", "status": "True"}
    told = [
        Told(together.pk, pod=pod_of(together, DRAINED), gone=True),
        Told(together.pk, pod=pod_of(together, ready, uid="new")),
        Told(alone.pk, pod=pod_of(alone, ready, uid="new")),
    ]
    for _ in range(2):
        observe(told, now=world.now)
    rows = {row.pk: row for row in Lab.objects.all()}
    assert rows[together.pk].lost_why == "Its machine was taken out of service."
    assert rows[alone.pk].lost_why == "The cluster removed it and does not say why."
    assert all((row.is_ready, row.pod_uid) == (True, "new") for row in rows.values())
    assert len(mails(MailKind.LAB_LOST)) == 2


def test_a_lab_that_never_answered_has_nothing_to_lose(world: SimpleNamespace) -> None:
    lab = running(world)
    Lab.objects.filter(pk=lab.pk).update(state=State.STARTING, started_at=None)
    goes(lab, now=world.now)
    assert not Mail.objects.exists()
    assert not Event.objects.filter(verb=Verb.LOST).exists()
    assert Lab.objects.get(pk=lab.pk).lost_at is None


def test_the_staff_are_told_how_many_in_one_mail(world: SimpleNamespace) -> None:
    labs = [running(world, name=f"lab-{number}") for number in range(3)]
    for number, lab in enumerate(labs):
        goes(lab, now=world.now + number * datetime.timedelta(seconds=20))
    told = mails(MailKind.LABS_LOST)
    assert {mail.recipient for mail in told} == {world.staff.email, world.owner.email}
    assert len(told) == 2
    assert all(mail.created_at == world.now + 5 * MINUTE for mail in told)
    said = wording.compose(told[0])
    assert said.subject == f"{world.instance}: 3 labs lost files"
    assert all(lab.name in said.text for lab in labs)
    # What is lost later is told in another, not before half an hour has gone by.
    Mail.objects.filter(kind=MailKind.LABS_LOST).update(state=MailState.SENT, sent_at=world.now + 5 * MINUTE)
    goes(running(world), now=world.now + 6 * MINUTE)
    assert {mail.created_at for mail in mails(MailKind.LABS_LOST)[2:]} == {world.now + 35 * MINUTE}


def test_an_evicted_lab_ends_and_its_owner_and_the_staff_are_told(world: SimpleNamespace) -> None:
    lab = running(world)
    pod = pod_of(lab, phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    for _ in range(2):
        observe([Told(lab.pk, pod=pod)], now=world.now)
    row = Lab.objects.get(pk=lab.pk)
    assert (row.state, row.end_reason, row.lost_at) == (State.STOPPING, EndReason.FAILED, world.now)
    (mail,) = mails(MailKind.LAB_FAILED)
    assert "The machine ran short of memory." in wording.compose(mail).text
    assert len(mails(MailKind.LABS_LOST)) == 2


def test_many_losses_cost_as_many_queries_as_one(world: SimpleNamespace) -> None:
    def cost(count: int) -> int:
        told = [Told(lab.pk, pod=pod_of(lab, DRAINED), gone=True) for lab in (running(world) for _ in range(count))]
        with CaptureQueriesContext(connection) as queries:
            observe(told, now=world.now)
        return len(queries)

    cost(1)
    assert cost(8) == cost(2)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("DeletionByTaintManager", "out of service"), ("PreemptionByScheduler", "more urgent"), ("DeletionByPodGC", "no longer there"),
        ("TerminationByKubelet", "shut down"), ("", "does not say why"),
    ],
)  # fmt: skip
def test_why_is_said_in_plain_words(reason: str, says: str) -> None:
    assert says in why_lost({"status": {"conditions": [{"type": "DisruptionTarget", "reason": reason}]}})
