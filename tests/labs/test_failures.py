"""A lab that failed says what failed, in the words of what failed; and one that does not go away says what holds it."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from k8s import diagnosis, labels
from k8s.diagnosis.story import story
from k8s.errors import Rejected
from labs.models import EndReason, Lab, State
from labs.services import clusters, logs
from labs.services.inbox import Inbox
from labs.services.observe import Told, observe
from labs.services.rendering import name_of
from labs.services.sweep import end_due
from tests.factories import LabFactory

pytestmark = pytest.mark.django_db
MINUTE = datetime.timedelta(minutes=1)
REPOSITORY = "https://nowhere.example.org/a/b"
GIT_SAYS = f"fatal: unable to access '{REPOSITORY}/': Could not resolve host: nowhere.example.org"


class Answering:
    """A cluster on which git has written, and the lab itself has not begun."""

    def __init__(self, written: dict[str, str]) -> None:
        self.written = written

    def impatient(self, seconds: float) -> Answering:
        return self

    def logs(self, name: str, namespace: str, *, container: str, tail_lines: int, limit_bytes: int) -> str:
        if container not in self.written:
            raise Rejected("container is waiting to start: PodInitializing", code=400)
        return "\n".join(self.written[container].splitlines()[-tail_lines:])


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the programs of the lab have written, by container."""
    found = {"clone": f"Cloning into '/home/jovyan/b'...\n{GIT_SAYS}\n"}
    monkeypatch.setattr(clusters, "working_client", lambda cluster: Answering(found))
    return found


def starting(world: SimpleNamespace, **fields: Any) -> Lab:
    lab: Lab = LabFactory(
        instance=world.instance, owner=world.member, template=world.template, state=State.STARTING,
        parameters={"repository": REPOSITORY}, **fields,
    )  # fmt: skip
    return lab


def pod_of(lab: Lab, **metadata: Any) -> dict[str, Any]:
    """A pod whose copying has failed for the third time."""
    ended = {"terminated": {"exitCode": 128, "reason": "Error", "finishedAt": "2026-01-01T00:00:30Z"}}
    copier = {
        "name": "clone",
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": ended,
    }
    own = {"name": name_of(lab), "namespace": lab.instance.namespace, "labels": {labels.WORKLOAD: str(lab.pk)}}
    return {
        "metadata": {**own, "uid": str(uuid4()), **metadata},
        "spec": {
            "nodeName": "machine-1",
            "initContainers": [{"name": "clone", "image": "git"}],
            "containers": [{"name": "lab", "image": lab.image}],
        },
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "initContainerStatuses": [copier],
        },
    }


def test_a_copy_that_failed_says_what_git_said(world: SimpleNamespace, written: dict[str, str]) -> None:
    lab = starting(world)
    observe([Told(lab.pk, pod=pod_of(lab))], now=world.now)
    row = Lab.objects.get(pk=lab.pk)
    assert (row.end_reason, row.diagnosis["cause"]) == (EndReason.FAILED, "clone-failed")
    assert row.diagnosis["text"] == (
        f"The site in the address cannot be found. Check the address for typos. git said: “{GIT_SAYS}”"
    )
    assert GIT_SAYS in row.log_tail
    assert logs.tail(row).is_of_copying


def test_the_step_of_a_failed_lab_has_failed_and_counts_no_more(
    world: SimpleNamespace, written: dict[str, str]
) -> None:
    lab = starting(world)
    observe([Told(lab.pk, pod=pod_of(lab))], now=world.now)
    states = {step["title"]: step["state"] for step in Lab.objects.get(pk=lab.pk).steps}
    assert states["Copying the repository"] == "failed"
    assert "now" not in states.values()


def test_the_step_of_a_lab_that_was_given_up_has_failed(world: SimpleNamespace) -> None:
    now = [{"title": "Finding a machine", "state": "now", "at": None, "note": "The lab waits for free CPU"}]
    lab = starting(world, start_deadline=world.now, steps=now)
    end_due(world.now)
    (step,) = Lab.objects.get(pk=lab.pk).steps
    assert (step["state"], step["note"]) == ("failed", "The lab did not start in time")


def test_nothing_is_said_to_be_tried_again_when_it_is_over() -> None:
    lines = [
        {"at": "2026-01-01T00:00:00Z", "type": "Normal", "reason": "Scheduled", "message": ""},
        {"at": "2026-01-01T00:00:09Z", "type": "Warning", "reason": "BackOff", "message": "Back-off restarting failed container"},
    ]  # fmt: skip
    assert [line["text"] for line in story(lines)] == ["A machine was found", "The site will try again in a while"]
    assert [line["text"] for line in story(lines, is_over=True)] == ["A machine was found"]


@pytest.mark.parametrize(
    ("says", "means"),
    [
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", "no public repository"),
        ("fatal: Remote branch week not found in upstream origin", "no such branch or tag"),
        ("fatal: repository 'https://git.example.org/a/' not found", "no repository at this address"),
        ("fatal: unable to access 'https://a.example/': Failed to connect to a.example port 443: Connection refused", "is not responding"),
        ("something new", "git could not copy it"),
    ],
)  # fmt: skip
def test_what_git_says_is_explained(says: str, means: str) -> None:
    found = diagnosis.Diagnosis("clone-failed", "Title", "Text", "Next", True)
    text = diagnosis.with_log(found, f"Cloning into 'a'...\n{says}\n\n").text
    assert means in text
    assert f"“{says}”" in text
    assert diagnosis.with_log(found, "") == found


def test_the_log_is_that_of_the_copying_until_the_lab_has_one(world: SimpleNamespace, written: dict[str, str]) -> None:
    lab = starting(world)
    assert logs.tail(lab) == logs.Log(written["clone"].strip(), is_of_copying=True)
    written["lab"] = "[I] Serving notebooks\n"
    assert logs.tail(lab) == logs.Log("[I] Serving notebooks")


def test_the_end_of_a_log_with_long_lines_is_shown(world: SimpleNamespace, written: dict[str, str]) -> None:
    written["lab"] = "x" * 500_000 + "\nthe last line"
    lab = starting(world)
    assert logs.tail(lab).text.endswith("the last line")
    assert len(logs.tail(lab).text) == logs.SHOWN


# What does not go away ---------------------------------------------------------------------------------------------------


def leaving(world: SimpleNamespace, **metadata: Any) -> tuple[Lab, dict[str, Any]]:
    lab: Lab = LabFactory(instance=world.instance, owner=world.member, template=world.template, state=State.STOPPING)
    return lab, pod_of(lab, deletionTimestamp=world.now.isoformat(), **metadata)


@pytest.mark.parametrize(
    ("metadata", "cause", "says"),
    [
        ({"finalizers": ["example.org/backup"]}, "held-by-others", "example.org/backup"),
        ({}, "end-unconfirmed", "machine-1"),
    ],
)
def test_what_holds_a_lab_that_stops_is_told(
    world: SimpleNamespace, metadata: dict[str, Any], cause: str, says: str
) -> None:
    lab, pod = leaving(world, **metadata)
    observe([Told(lab.pk, pod=pod)], now=world.now + MINUTE)
    assert Lab.objects.get(pk=lab.pk).removal is None
    observe([Told(lab.pk, pod=pod)], now=world.now + 3 * MINUTE)
    removal = Lab.objects.get(pk=lab.pk).removal
    assert removal["cause"] == cause
    assert says in removal["technical"]
    assert "kubectl" in removal["technical"]
    assert "kubectl" not in removal["text"] + removal["next_step"]
    observe([Told(lab.pk, pod=pod, gone=True)], now=world.now + 4 * MINUTE)
    assert Lab.objects.get(pk=lab.pk).state == State.ENDED


def test_a_pod_that_is_to_go_is_looked_at_again(world: SimpleNamespace) -> None:
    _, pod = leaving(world, finalizers=["example.org/backup"])
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    inbox = Inbox()
    inbox.pod(pod)
    inbox.take(10)
    inbox.look_again()
    assert len(inbox.take(10)) == 1
