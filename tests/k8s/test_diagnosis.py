"""What people are told. The situations stand in golden/causes, a file for each cause of the table: record_golden.py says where
they come from. The words themselves stand in golden/diagnosis.json: GOLDEN=write accepts what is said now."""

import copy
import dataclasses
import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from k8s import diagnosis, manifests
from k8s.diagnosis import RULES, Diagnosis, Step, diagnose, explain
from k8s.diagnosis.shortages import Shortage, never_fits, shortages
from tests.k8s import examples
from tests.k8s.recording.stage import BEGIN, error_of

#: When the written situations are looked at; the recorded ones a while after their pod was made.
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = BEGIN + timedelta(seconds=90)
ACCEPTED = datetime(2026, 1, 1, 11, 49, 58, tzinfo=UTC)
CAUSES = {file.stem: json.loads(file.read_text()) for file in sorted((examples.GOLDEN / "causes").glob("*.json"))}
HEALTHY: dict[str, Any] = examples.golden("healthy")
CASES = {f"{cause}/{name}": case for cause, cases in CAUSES.items() for name, case in cases.items()}
SITUATIONS = CASES | HEALTHY
OF_PODS = [name for name, case in SITUATIONS.items() if "error" not in case]
#: Where waiting helps. Everything else ends the lab.
WAITS = {
    "account-missing", "changed-meanwhile", "clone-retry", "cluster-silent", "course-missing", "course-removed",
    "files-being-made", "files-elsewhere", "files-failed", "files-held", "files-in-use", "files-kind", "files-missing",
    "files-no-kind", "files-none-free", "files-slow", "files-unmounted", "held-back", "image-busy", "image-no-room",
    "image-slow", "image-unreachable", "limits-uncounted", "machine-silent", "machine-trouble", "moving", "no-free-cpu",
    "no-free-full", "no-free-gpu", "no-free-memory", "no-machine", "no-machine-so-large", "no-such-machine", "not-answering",
    "not-placed", "restarted", "restarted-memory", "setting", "setting-missing", "site-forbidden", "site-unknown", "slow-start", "too-busy",
    "webhook-away", "webhook-slow",
}  # fmt: skip


def pod_and_events(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A recorded pod is whole; of a written one there is the status, and the rest is as the site would render it."""
    case = SITUATIONS[name]
    if "pod" in case:
        return case["pod"], case["events"]
    context = examples.context(
        image=f"registry.example.org/{examples.IMAGE}",
        repository="https://git.example.org/a/b" if "initContainerStatuses" in case["status"] else "",
    )
    pod = copy.deepcopy(manifests.render(manifests.builtin("jupyterlab"), context)[1])
    pod["metadata"]["creationTimestamp"] = "2026-01-01T11:49:59Z"
    return {**pod, "status": case["status"]}, case["events"]


def told(name: str, **more: Any) -> Diagnosis | None:
    case = SITUATIONS[name]
    if "error" in case:
        return explain(error_of(case))
    pod, events = pod_and_events(name)
    now = LATER if "pod" in case else NOW
    more = {"machines": case.get("machines"), "was_ready": case.get("was_ready"), **more}
    return diagnose(pod, events, now=now, **more)


def test_each_cause_of_the_table_has_its_recordings_and_each_recording_its_cause() -> None:
    table = {cause for rule in RULES for cause in rule.causes}
    assert sorted(table) == sorted(CAUSES)
    assert all(CAUSES.values())


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_found_by_a_rule_that_lists_it(name: str) -> None:
    found, cause = told(name), name.partition("/")[0]
    assert found is not None
    assert found.cause == cause
    if cause == "quota":
        assert found.fatal is never_fits(SITUATIONS[name]["error"]["message"])
    elif cause != "unknown":
        assert found.fatal is (cause not in WAITS)


@pytest.mark.parametrize("name", CASES)
def test_where_a_situation_comes_from_is_said(name: str) -> None:
    case = CASES[name]
    if case["source"] == "written":
        assert case["after"]
    else:
        assert case["source"] in ("recorded", "embedded")
        assert re.match(r"v1\.\d+\.\d+", case["server"])


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_wrong_with_what_is_under_way(name: str) -> None:
    assert told(name) is None


def test_words_are_as_recorded() -> None:
    said = {name: dataclasses.asdict(found) for name in CASES if (found := told(name))}
    if os.environ.get("GOLDEN") == "write":
        (examples.GOLDEN / "diagnosis.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    assert said == examples.golden("diagnosis")


FOREIGN = re.compile(
    r"\b(pods?|nodes?|containers?|namespaces?|kube\w*|quotas?|taints?|tolerations?|init|oom\w*|evict\w*|volumes?|pvcs?|secrets?"
    r"|deployments?|schedul\w*|claims?|backoff|back-off|crashloop\w*|probes?|ingress|rpc|manifest|registry|limitrange|webhooks?"
    r"|admission|api|http|rbac|0/\d+|\d+Mi|\d+Gi)\b",
    re.I,
)


@pytest.mark.parametrize("name", CASES)
def test_words_are_plain_and_say_what_to_do(name: str) -> None:
    found = told(name)
    assert found is not None
    for part in (found.title, found.text, found.next_step):
        assert part
        assert found.cause == "unknown" or not FOREIGN.search(part), part
        assert len(part) < 260
    assert not found.title.endswith(".")
    assert found.text.endswith((".", "”"))
    assert found.next_step.endswith(".")


@pytest.mark.parametrize("name", CAUSES["unknown"])
def test_what_no_rule_knows_is_shown_as_the_cluster_says_it(name: str) -> None:
    found = told(f"unknown/{name}")
    assert found is not None
    assert "do not know" in found.title
    quoted = re.search("“([^…”]+)", found.text)
    assert quoted
    assert quoted[1] in found.technical


#: Those of which the cluster says nothing that is not in the words already.
SILENT = {"not-placed", "shut-down", "slow-start", "machine-silent"}


@pytest.mark.parametrize("name", [name for name in CASES if name.partition("/")[0] not in SILENT])
def test_staff_get_the_clusters_own_line(name: str) -> None:
    found = told(name)
    assert found is not None
    assert found.technical


def test_quota_is_told_with_used_limit_and_asked_for() -> None:
    found = told("quota/quota_cpu")
    assert found is not None
    assert found.text == "Your course has used 1.5 of its 2 CPUs; this lab asks for 1."


def test_a_quota_that_is_used_up_ends_nothing_and_one_that_is_too_small_does() -> None:
    fatal = {name: found.fatal for name in CAUSES["quota"] if (found := told(f"quota/{name}"))}
    assert (fatal["quota_cpu"], fatal["quota_pods"], fatal["quota_above_all"]) == (False, False, True)


def test_what_is_free_and_what_would_start_is_told() -> None:
    found = told("no-free-cpu/cpu_with_some_free")
    assert found is not None
    assert (
        found.text
        == "It needs 4 CPUs on one machine; the most that is free on one machine is 3. 3 CPUs would start now."
    )
    assert found.next_step == "Wait: it starts by itself when others end. Or stop it and launch one with 3 CPUs."
    assert found.since == "2026-01-01T12:00:00Z"


def test_without_a_snapshot_of_the_machines_nothing_is_said_of_what_is_free() -> None:
    found = told("no-free-cpu/cpu_with_some_free", machines=None)
    assert found is not None
    assert found.text == "It asks for 4 CPUs; no machine has that much free at the moment."


def test_a_snapshot_that_is_behind_the_scheduler_promises_nothing() -> None:
    """The scheduler has just said that there is no room; a snapshot in which there is some is a minute old."""
    pod, events = pod_and_events("no-free-cpu/cpu")
    allocatable = {"cpu": 64000, "memory": 65536, "pods": 110}
    empty = [{"name": "a", "labels": {}, "requested": {}, "taints": [], "allocatable": allocatable}]
    found = diagnose(pod, events, now=LATER, machines=empty)
    assert found is not None
    assert found.text == "It asks for 6 CPUs; no machine has that much free at the moment."


def test_quota_message_is_read_in_plain_units() -> None:
    assert shortages(CAUSES["quota"]["quota_many"]["error"]["message"]) == [
        Shortage("cpu", 1000, 1500, 2000),
        Shortage("memory", 4096, 1024, 3072),
    ]
    assert shortages("exceeded quota") == []
    assert shortages("requested: a=b, used: c, limited: ") == []


def test_memory_is_told_with_the_next_size() -> None:
    found = told("out-of-memory/out_of_memory_at_start")
    assert found is not None
    assert found.next_step == "Launch it again with 2 GiB of memory."


@pytest.mark.parametrize("name", OF_PODS)
def test_lines_kept_of_events_say_as_much_as_events(name: str) -> None:
    pod, events = pod_and_events(name)
    lines = [
        {
            "at": event.get("lastTimestamp") or event.get("eventTime"),
            "type": event["type"],
            "reason": event["reason"],
            "message": event["message"],
        }
        for event in events
    ]
    assert diagnose(pod, lines, now=NOW) == diagnose(pod, events, now=NOW)


def test_knowledge_that_it_was_ready_makes_a_crash_a_restart() -> None:
    pod, events = pod_and_events("crashed/crashed")
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
        ("no-free-cpu/cpu", "done now todo todo todo"),
        ("placed", "done done now todo todo"),
        ("pulling", "done done now todo todo"),
        ("image-not-found/image_not_found", "done done failed todo todo"),
        ("image-unreachable/image_time_out", "done done now todo todo"),
        ("starting", "done done done done now"),
        ("slow-start/slow_answer", "done done done done now"),
        ("crashed/crashed", "done done done done failed"),
        ("cannot-run/no_program", "done done now todo todo"),
        ("ready", "done done done done done"),
        ("cloning", "done done now todo todo todo"),
        ("clone-failed/clone_failed", "done done failed todo todo todo"),
        ("cloned", "done done done now todo todo"),
    ],
)
def test_steps_tell_how_far_it_has_got(name: str, states: str) -> None:
    assert " ".join(step.state for step in steps(name)) == states.replace(
        "now", "failed" if name == "cannot-run/no_program" else "now"
    )


def test_steps_have_names_times_and_notes() -> None:
    made = steps("ready")
    assert [step.title for step in made] == [
        "Accepted",
        "Placed on a machine",
        "Downloading the image jupyter/scipy-notebook:2023-10-20",
        "Starting JupyterLab",
        "Answering",
    ]
    times = [step.at for step in made if step.at]
    assert len(times) == 5
    assert times == sorted(times)
    assert times[0] == ACCEPTED
    assert steps("no-free-cpu/cpu")[1].note == "The lab waits for free CPU"
    assert steps("cloning")[2].title == "Copying the repository"


def test_steps_without_a_pod_begin_with_acceptance() -> None:
    made = diagnosis.steps(None, [], accepted_at=ACCEPTED, now=ACCEPTED + timedelta(seconds=1))
    assert [step.state for step in made] == ["done", "now", "todo", "todo", "todo"]
