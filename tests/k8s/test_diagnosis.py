"""What people are told. The words themselves stand in golden/diagnosis.json: GOLDEN=write accepts what is said now."""

import copy
import dataclasses
import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from k8s import diagnosis, manifests
from k8s.client import Refused
from k8s.diagnosis import Diagnosis, Step, diagnose
from k8s.refusals import Shortage, shortages
from tests.k8s import examples

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACCEPTED = datetime(2026, 1, 1, 11, 49, 58, tzinfo=UTC)
KUBELET, UNSCHEDULABLE, REFUSALS = (examples.golden(name) for name in ("kubelet", "unschedulable", "refusals"))

#: Each state: the cause that is told, and whether waiting is useless. None: nothing is wrong.
EXPECTED: dict[str, tuple[str, bool] | None] = {
    "placed": None,
    "pulling": None,
    "starting": None,
    "ready": None,
    "cloning": None,
    "cloned": None,
    "image_not_found": ("image-not-found", True),
    "image_back_off": ("image-not-found", True),
    "image_back_off_of_an_older_kubelet": ("image-not-found", True),
    "image_not_public": ("image-not-found", True),
    "image_denied": ("image-denied", True),
    "image_no_host": ("image-unreachable", False),
    "image_time_out": ("image-unreachable", False),
    "image_rate_limit": ("image-busy", False),
    "image_name": ("image-name", True),
    "image_platform": ("image-not-found", True),
    "image_disk": ("image-no-room", False),
    "image_slow": ("image-slow", False),
    "clone_failed_once": ("clone-retry", False),
    "clone_failed": ("clone-failed", True),
    "clone_failed_twice": ("clone-retry", False),
    "clone_tried_a_third_time": ("clone-retry", False),
    "clone_failed_three_times": ("clone-failed", True),
    "clone_out_of_memory": ("clone-memory", True),
    "clone_image_not_found": ("image-not-found", True),
    "crashed": ("crashed", True),
    "crashed_first": ("crashed", True),
    "crashed_and_tried_again": ("crashed", True),
    "crashed_after_ready": ("restarted", False),
    "crashed_after_ready_and_starting_again": ("restarted", False),
    "crashed_long_ago": None,
    "keeps_crashing": ("crashed", True),
    "out_of_memory_at_start": ("out-of-memory", True),
    "out_of_memory_at_start_first": ("out-of-memory", True),
    "out_of_memory_after_ready": ("restarted-memory", False),
    "keeps_running_out_of_memory": ("out-of-memory", True),
    "no_program": ("cannot-run", True),
    "no_program_back_off": ("cannot-run", True),
    "runs_as_root": ("wants-root", True),
    "setting_missing": ("setting-missing", False),
    "evicted_volume": ("disk-full", True),
    "evicted_total": ("disk-full", True),
    "evicted_container": ("disk-full", True),
    "evicted_memory": ("evicted", True),
    "evicted_disk": ("evicted", True),
    "deadline": ("deadline", True),
    "node_shutdown": ("machine-gone", True),
    "node_collected": ("machine-gone", True),
    "preempted": ("machine-gone", True),
    "out_of_cpu": ("machine-full", True),
    "node_lost": ("machine-silent", False),
    "node_not_ready": ("machine-silent", False),
    "volume_not_mounted": ("storage", False),
    "volume_not_attached": ("storage", False),
    "no_sandbox": ("machine-trouble", False),
    "slow_answer": ("slow-start", False),
    "shut_down": ("shut-down", True),
    "not_placed": ("not-placed", False),
    "unschedulable/no_nodes": ("no-machine", False),
    "unschedulable/cpu": ("no-free-cpu", False),
    "unschedulable/memory": ("no-free-memory", False),
    "unschedulable/cpu_and_memory": ("no-free-cpu", False),
    "unschedulable/gpu": ("no-free-gpu", False),
    "unschedulable/gpu_model": ("no-such-machine", False),
    "unschedulable/claim_missing": ("storage", False),
    "unschedulable/claim_unbound": ("storage", False),
    "unschedulable/taint": ("no-machine", False),
    "refusal/quota_cpu": ("quota", True),
    "refusal/quota_memory": ("quota", True),
    "refusal/quota_gpu": ("quota", True),
    "refusal/quota_many": ("quota", True),
    "refusal/quota_above_all": ("quota", True),
    "refusal/quota_pods": ("quota", True),
    "refusal/limit_range": ("too-large", True),
    "refusal/pod_security": ("policy", True),
    "refusal/validation": ("malformed", True),
}


def pod_and_events(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if name.startswith("unschedulable/"):
        case = UNSCHEDULABLE[name.removeprefix("unschedulable/")]
        return case["pod"], case["events"]
    case = KUBELET[name]
    context = examples.context(
        image=f"registry.example.org/{examples.IMAGE}",
        repository="https://git.example.org/a/b" if "initContainerStatuses" in case["status"] else "",
    )
    pod = copy.deepcopy(manifests.render(manifests.builtin("jupyterlab"), context)[1])
    pod["metadata"]["creationTimestamp"] = "2026-01-01T11:49:59Z"
    return {**pod, "status": case["status"]}, case["events"]


def told(name: str) -> Diagnosis | None:
    if name.startswith("refusal/"):
        real = REFUSALS[name.removeprefix("refusal/")]
        refusal = Refused(real["message"], code=real["code"], reason=real["reason"], kind=real["kind"])
        return diagnose(None, [], refusal=refusal, now=NOW)
    pod, events = pod_and_events(name)
    return diagnose(pod, events, now=NOW)


def test_every_recorded_state_is_expected() -> None:
    recorded = [
        *KUBELET,
        *(f"unschedulable/{name}" for name in UNSCHEDULABLE),
        *(f"refusal/{name}" for name in REFUSALS),
    ]
    assert sorted(recorded) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_cause_is_found(name: str) -> None:
    found = told(name)
    assert (found and (found.cause, found.fatal)) == EXPECTED[name]


def test_words_are_as_recorded() -> None:
    said = {name: dataclasses.asdict(found) for name in EXPECTED if (found := told(name))}
    if os.environ.get("GOLDEN") == "write":
        (examples.GOLDEN / "diagnosis.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    assert said == examples.golden("diagnosis")


FOREIGN = re.compile(
    r"\b(pods?|nodes?|containers?|namespaces?|kube\w*|quotas?|taints?|tolerations?|init|oom\w*|evict\w*|volumes?|pvcs?|secrets?"
    r"|deployments?|schedul\w*|claims?|backoff|back-off|crashloop\w*|probes?|ingress|rpc|manifest|registry|limitrange)\b",
    re.I,
)


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if expected])
def test_words_are_plain_and_say_what_to_do(name: str) -> None:
    found = told(name)
    assert found is not None
    for part in (found.title, found.text, found.next_step):
        assert part
        assert not FOREIGN.search(part), part
        assert len(part) < 260
    assert not found.title.endswith(".")
    assert found.text.endswith(".")
    assert found.next_step.endswith(".")


def test_quota_is_told_with_used_limit_and_asked_for() -> None:
    found = told("refusal/quota_cpu")
    assert found is not None
    assert found.text == "Your course has used 1.5 of its 2 CPUs; this lab asks for 1."


def test_quota_message_is_read_in_plain_units() -> None:
    assert shortages(REFUSALS["quota_many"]["message"]) == [
        Shortage("cpu", 1000, 1500, 2000),
        Shortage("memory", 4096, 1024, 3072),
    ]
    assert shortages("exceeded quota") == []
    assert shortages("requested: a=b, used: c, limited: ") == []


def test_memory_is_told_with_the_next_size() -> None:
    found = told("out_of_memory_at_start")
    assert found is not None
    assert found.next_step == "Launch it again with 2 GiB of memory."


@pytest.mark.parametrize("name", [*KUBELET, *(f"unschedulable/{name}" for name in UNSCHEDULABLE)])
def test_lines_kept_of_events_say_as_much_as_events(name: str) -> None:
    pod, events = pod_and_events(name)
    lines = [
        {
            "at": event.get("lastTimestamp") or event.get("eventTime"),
            "reason": event["reason"],
            "message": event["message"],
        }
        for event in events
    ]
    assert diagnose(pod, lines, now=NOW) == diagnose(pod, events, now=NOW)


def test_knowledge_that_it_was_ready_makes_a_crash_a_restart() -> None:
    pod, events = pod_and_events("crashed")
    found = diagnose(pod, events, now=NOW, was_ready=True)
    assert found is not None
    assert (found.cause, found.fatal) == ("restarted", False)


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"metadata": {}},
        {"status": {}},
        {"status": {"conditions": None, "containerStatuses": None}},
        {"spec": None, "status": None},
    ],
)
def test_odd_pod_is_no_error(pod: dict[str, Any]) -> None:
    assert diagnose(pod, [{}, {"reason": None, "message": None, "lastTimestamp": "soon"}], now=NOW) is None
    assert diagnosis.steps(pod, [], accepted_at=ACCEPTED, now=NOW)


def test_nothing_is_wrong_with_what_is_not_there_yet() -> None:
    assert diagnose(None, [], now=NOW) is None


def steps(name: str) -> list[Step]:
    pod, events = pod_and_events(name)
    return diagnosis.steps(pod, events, accepted_at=ACCEPTED, now=NOW)


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("unschedulable/cpu", "done now todo todo todo"),
        ("placed", "done done now todo todo"),
        ("pulling", "done done now todo todo"),
        ("image_not_found", "done done failed todo todo"),
        ("image_time_out", "done done now todo todo"),
        ("starting", "done done done done now"),
        ("slow_answer", "done done done done now"),
        ("crashed", "done done done done failed"),
        ("no_program", "done done now todo todo"),
        ("ready", "done done done done done"),
        ("cloning", "done done now todo todo todo"),
        ("clone_failed", "done done failed todo todo todo"),
        ("cloned", "done done done now todo todo"),
    ],
)
def test_steps_tell_how_far_it_has_got(name: str, states: str) -> None:
    assert " ".join(step.state for step in steps(name)) == states.replace(
        "now", "failed" if name == "no_program" else "now"
    )


def test_steps_have_names_times_and_notes() -> None:
    made = steps("ready")
    assert [step.title for step in made] == [
        "Accepted",
        "Placed on a machine",
        "Fetching the image jupyter/scipy-notebook:2023-10-20",
        "Starting JupyterLab",
        "Answering",
    ]
    times = [step.at for step in made if step.at]
    assert len(times) == 5
    assert times == sorted(times)
    assert times[0] == ACCEPTED
    assert steps("unschedulable/cpu")[1].note == "The lab waits for free CPU"
    assert steps("cloning")[2].title == "Copying the repository"


def test_steps_without_a_pod_begin_with_acceptance() -> None:
    made = diagnosis.steps(None, [], accepted_at=ACCEPTED, now=ACCEPTED + timedelta(seconds=1))
    assert [step.state for step in made] == ["done", "now", "todo", "todo", "todo"]
