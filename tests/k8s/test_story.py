"""What students read of the cluster's own lines."""

from typing import Any

import pytest

from k8s.diagnosis.story import fetched, story, told
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
        "The software was there already",
        "A program was started",
    ]
    assert story(lines)[0]["warns"]


def test_no_word_of_the_cluster_reaches_a_student() -> None:
    events = [event for case in CASES.values() for event in case.get("events", [])]
    assert any(map(told, events))
    assert not [text for text in map(told, events) if FOREIGN.search(text)]
