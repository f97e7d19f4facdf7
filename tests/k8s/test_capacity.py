"""How much is free on the machines, and what would have a place now."""

from typing import Any

import pytest

from k8s import capacity


def machine(name: str = "a", cpu: int = 8000, memory: int = 16384, gpus: int = 0, **more: Any) -> dict[str, Any]:
    allocatable = {"cpu": cpu, "memory": memory, "pods": 110, "nvidia.com/gpu": gpus}
    return {"name": name, "labels": {}, "allocatable": allocatable, "requested": {}, "taints": [], **more}


def node(name: str, *, ready: str = "True", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"zone": "a"}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": "4", "memory": "8388000Ki", "pods": "110"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def pod(cpu: str, memory: str = "1Gi", place: str = "", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    container = {"name": "lab", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return {"spec": {"containers": [container], "nodeName": place, **spec}, "status": {"phase": phase}}


def test_requests_of_all_pods_that_are_not_over_are_counted() -> None:
    pods = [pod("1500m", place="a"), pod("1", place="a"), pod("2", place="a", phase="Succeeded"), pod("3")]
    found = capacity.machines([node("a")], pods)
    assert found[0]["requested"] == {"cpu": 2500, "memory": 2048, "pods": 2}
    assert capacity.free(found[0]) == {"cpu": 1500, "memory": 8191 - 2048, "pods": 108}


def test_machines_that_take_nothing_are_left_out() -> None:
    nodes = [node("a"), node("cordoned", unschedulable=True), node("silent", ready="Unknown")]
    assert [item["name"] for item in capacity.machines(nodes, [])] == ["a"]


def test_a_pod_counts_with_its_largest_init_container_and_its_sidecars() -> None:
    made = pod("1")
    made["spec"]["initContainers"] = [
        {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "250m"}}},
        {"name": "clone", "resources": {"limits": {"memory": "2Gi"}}},
    ]
    assert capacity.asked(made) == {"cpu": 1250, "memory": 2048, "pods": 1}


@pytest.mark.parametrize(
    ("spec", "suits"),
    [
        ({}, True),
        ({"nodeSelector": {"zone": "a"}}, True),
        ({"nodeSelector": {"zone": "b"}}, False),
        ({"affinity": {"nodeAffinity": {}}}, True),
    ],
)
def test_a_pod_suits_the_machines_that_it_selects(spec: dict[str, Any], suits: bool) -> None:
    found = capacity.machines([node("a")], [])
    assert bool(capacity.suitable(found, pod("1", **spec))) is suits


@pytest.mark.parametrize(
    ("operator", "values", "suits"),
    [("In", ["a"], True), ("In", ["b"], False), ("NotIn", ["a"], False), ("Exists", None, True), ("DoesNotExist", None, False)],
)  # fmt: skip
def test_required_affinity_is_read(operator: str, values: list[str] | None, suits: bool) -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": operator, "values": values}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    found = capacity.machines([node("a")], [])
    assert bool(capacity.suitable(found, pod("1", affinity={"nodeAffinity": required}))) is suits


def test_a_reserved_machine_is_for_those_that_tolerate_it() -> None:
    found = [machine(taints=[{"key": "nvidia.com/gpu", "value": "", "effect": "NoSchedule"}])]
    assert capacity.suitable(found, pod("1")) == []
    assert capacity.suitable(found, pod("1", tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}]))
    assert capacity.suitable(found, pod("1", tolerations=[{"operator": "Exists"}]))
    assert not capacity.suitable(found, pod("1", tolerations=[{"key": "nvidia.com/gpu", "value": "x"}]))
    assert not capacity.suitable(found, pod("1", tolerations=[{"operator": "Exists", "effect": "NoExecute"}]))


def test_what_would_start_has_a_place_on_one_machine_with_all_else() -> None:
    found = [
        machine("much-cpu-no-memory", requested={"memory": 16384}),
        machine("some", requested={"cpu": 2000}),
    ]
    request = {"cpu": 10000, "memory": 2048, "pods": 1}
    assert capacity.most_free(found, "cpu") == 8000
    assert capacity.would_start(found, request, {"cpu"}) == {"cpu": 6000}


def test_what_would_start_with_two_things_short_is_balanced() -> None:
    found = [machine("a", cpu=9000, memory=1024), machine("b", cpu=6000, memory=8192)]
    offer = capacity.would_start(found, {"cpu": 10000, "memory": 16384, "pods": 1}, {"cpu", "memory"})
    assert offer == {"cpu": 6000, "memory": 8192}


def test_nothing_would_start_where_nothing_is_free() -> None:
    full = [machine(requested={"cpu": 8000})]
    assert capacity.would_start(full, {"cpu": 1000, "pods": 1}, {"cpu"}) is None
    assert capacity.would_start([], {"cpu": 1000}, {"cpu"}) is None
    crowded = [machine(requested={"pods": 110})]
    assert capacity.would_start(crowded, {"cpu": 1000, "pods": 1}, {"cpu"}) is None


def test_amounts_that_cannot_be_read_are_left_out() -> None:
    assert capacity.amounts({"cpu": "much", "memory": "1Gi", "nvidia.com/gpu": "2"}) == {
        "memory": 1024,
        "nvidia.com/gpu": 2,
    }
