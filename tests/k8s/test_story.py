"""What students read of the cluster's own lines."""

import datetime
from typing import Any

import pytest

from k8s.diagnosis.story import fetched, judged, story, told
from tests.k8s.test_diagnosis import CASES, FOREIGN


@pytest.mark.parametrize(
    ("message", "words"),
    [
        # pkg/kubelet/images/image_manager.go, Kubernetes 1.36
        ('Successfully pulled image "a" in 3m20.4s (3m21s including waiting). Image size: 4213456789 bytes.', "4.2 GB in 3 min 20 s"),
        ('Successfully pulled image "a" in 812ms (812ms including waiting). Image size: 2153000 bytes.', "2 MB in 1 s"),
        ('Successfully pulled image "a" in 12.3s', "in 12 s"),
        ("pulled", ""),
    ],
)  # fmt: skip
def test_size_and_time_of_an_image_are_told(message: str, words: str) -> None:
    assert fetched(message) == words


def test_a_start_is_told_in_plain_words_and_repetitions_once() -> None:
    def line(reason: str, message: str = "", kind: str = "Normal") -> dict[str, Any]:
        return {"at": "2026-01-01T12:00:00Z", "type": kind, "reason": reason, "message": message}

    lines = [
        line("FailedScheduling", "0/2 nodes are available: 2 Insufficient cpu.", "Warning"),
        line("FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.", "Warning"),
        line("Scheduled", "Successfully assigned a/b to c"),
        line("FluxCapacitorEmpty", "not enough power"),
        line("Pulled", 'Container image "x" already present on machine'),
        line("Created", "Container created"),
        line("Started", "Container started"),
    ]
    assert [item["text"] for item in story(lines)] == [
        "No machine could take it yet",
        "A machine was found",
        "The software was already there",
        "A program was started",
    ]
    assert story(lines)[0]["warns"]


STARTED = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def without_answer(after: int, answered_after: int | None = None) -> dict[str, Any]:
    """What is told of a question that was not answered so many seconds after the start."""

    def line(reason: str, kind: str, seconds: int) -> dict[str, Any]:
        at = (STARTED + datetime.timedelta(seconds=seconds)).isoformat()
        return {"at": at, "type": kind, "reason": reason, "message": "Readiness probe failed"}

    lines = [line("Started", "Normal", 0), line("Unhealthy", "Warning", after)]
    answered = None if answered_after is None else STARTED + datetime.timedelta(seconds=answered_after)
    return story(lines, answered)[-1]


@pytest.mark.parametrize(("after", "answered_after"), [(2, None), (120, None), (2, 9)])
def test_a_lab_that_is_only_starting_alarms_nobody(after: int, answered_after: int | None) -> None:
    last = without_answer(after, answered_after)
    assert (last["text"], last["warns"]) == ("Starting up; no response yet", False)


@pytest.mark.parametrize(("after", "answered_after"), [(121, None), (60, 30), (4000, 30)])
def test_no_answer_for_long_or_after_the_first_one_warns(after: int, answered_after: int | None) -> None:
    last = without_answer(after, answered_after)
    assert (last["text"], last["warns"]) == ("It did not respond to a check", True)


def test_no_answer_without_a_known_start_warns() -> None:
    lines = [{"at": STARTED.isoformat(), "type": "Warning", "reason": "Unhealthy", "message": ""}]
    assert story(lines)[0]["warns"]


def test_the_first_probe_of_a_healthy_lab_is_no_cause_for_alarm() -> None:
    lines = [
        {"at": "2026-01-01T12:00:00Z", "type": "Normal", "reason": "Started", "message": ""},
        {"at": "2026-01-01T12:00:02Z", "type": "Warning", "reason": "Unhealthy", "message": "Readiness probe failed"},
        {"at": "2026-01-01T12:00:03Z", "type": "Warning", "reason": "FailedMount", "message": ""},
    ]
    assert [warns for _, warns in judged(lines, STARTED + datetime.timedelta(seconds=9))] == [False, False, True]


def test_no_word_of_the_cluster_reaches_a_student() -> None:
    events = [event for case in CASES.values() for event in case.get("events", [])]
    assert any(map(told, events))
    assert not [text for text in map(told, events) if FOREIGN.search(text)]
