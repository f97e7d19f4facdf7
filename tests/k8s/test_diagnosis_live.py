"""The situations that are recorded, provoked again on a real control plane: what is told of them is what the recordings expect."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from k8s.diagnosis import diagnose, explain
from tests.k8s.recording import answers, machines, placing
from tests.k8s.recording.stage import BEGIN, Object, Recording, Stage, error_of

pytestmark = pytest.mark.k8s


@pytest.fixture
def stage(real_kubeconfig: str, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(Path(real_kubeconfig), tmp_path)
    if stage.client.list("Node").items:
        pytest.skip("the cluster has nodes of its own, which would take the pods that must wait")
    try:
        yield stage
    finally:
        stage.close()


def cause(seen: Object) -> str:
    """What is told of it a minute and a half later."""
    if "error" in seen:
        return explain(error_of(seen)).cause
    later = BEGIN + timedelta(seconds=90)
    found = diagnose(seen["pod"], seen["events"], now=later, machines=seen.get("machines"))
    return found.cause if found else ""


@pytest.mark.parametrize("record", [answers.record, placing.record, machines.taken_away])
def test_what_a_real_control_plane_says_is_understood(
    record: Callable[[Stage], Iterator[Recording]], stage: Stage
) -> None:
    expected, told = {}, {}
    for wanted, case, seen in record(stage):
        expected[case], told[case] = wanted, cause(seen)
    assert told == expected
    assert expected
