"""The scheduler, the garbage collector and the removal of pods and namespaces."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.devcluster import wait_for

from .apiserver_support import MERGE, Object, Space, config_map, needs, node, owner, pod


@pytest.fixture(autouse=True)
def _nothing_left_to_schedule(space: Space) -> Iterator[None]:
    yield
    space.call("DELETE", "pods", {"gracePeriodSeconds": 0})
    space.call("DELETE", "/api/v1/nodes")


def _condition(space: Space, name: str, kind: str = "PodScheduled") -> Any:
    conditions = space.get(f"pods/{name}")["status"].get("conditions") or []
    return next((one for one in conditions if one["type"] == kind), None)


def _refused(space: Space, name: str, start: str) -> Object:
    def found() -> Any:
        condition = _condition(space, name)
        return condition and condition["status"] == "False" and condition["message"].startswith(start) and condition

    condition: Object = wait_for(f"{name}: {start}", found)
    return condition


def _bound(space: Space, name: str) -> str:
    return str(wait_for(f"{name} has a node", lambda: space.get(f"pods/{name}")["spec"].get("nodeName")))


def test_a_pod_gets_a_node_with_room(space: Space) -> None:
    node(space, "small", cpu="1")
    node(space, "large", cpu="8")
    space.make("pods", needs("a", {"cpu": "2"}))
    assert _bound(space, "a") == "large"
    assert _condition(space, "a")["status"] == "True"
    events = space.get("events?fieldSelector=involvedObject.name%3Da,reason%3DScheduled")["items"]
    assert events[0]["message"] == f"Successfully assigned {space.name}/a to large"


def test_why_there_is_no_node_is_said_in_the_schedulers_words(space: Space) -> None:
    space.make("pods", needs("a", {"cpu": "2"}))
    assert _refused(space, "a", "no nodes available")["message"] == "no nodes available to schedule pods"
    node(space, "n", cpu="3")
    _bound(space, "a")
    space.make("pods", needs("b", {"cpu": "2"}))
    assert _refused(space, "b", "0/1")["message"] == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )
    space.make("pods", needs("gpu", limits={"nvidia.com/gpu": 1}))
    assert _refused(space, "gpu", "0/1")["message"] == (
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/1 nodes are "
        "available: 1 Preemption is not helpful for scheduling."
    )
    space.make("pods", pod("picky", nodeSelector={"gpu": "a100"}))
    assert _refused(space, "picky", "0/1")["message"].startswith(
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
    )
    events = space.get("events?fieldSelector=involvedObject.name%3Db,reason%3DFailedScheduling")["items"]
    assert events[0]["message"].startswith("0/1 nodes are available: 1 Insufficient cpu.")


def test_a_pod_that_waits_is_tried_again_when_there_is_room(space: Space) -> None:
    node(space, "n", cpu="2")
    space.make("pods", needs("a", {"cpu": "2"}))
    _bound(space, "a")
    space.make("pods", needs("b", {"cpu": "2"}))
    _refused(space, "b", "0/1")
    space.call("PATCH", "pods/a/status", {"status": {"phase": "Succeeded"}}, content=MERGE)
    assert _bound(space, "b") == "n"


def test_an_extended_resource_is_never_given_twice(space: Space) -> None:
    node(space, "n", **{"nvidia.com/gpu": "2"})
    for name in "abc":
        space.make("pods", needs(name, limits={"nvidia.com/gpu": 1}))
    wait_for(
        "two have a node", lambda: sum(1 for one in space.get("pods")["items"] if one["spec"].get("nodeName")) == 2
    )
    _refused(space, "c", "0/1")


def test_a_pod_with_a_node_is_left_to_its_kubelet(space: Space) -> None:
    node(space, "n")
    space.make("pods", pod("a"))
    _bound(space, "a")
    marked = space.call(
        "DELETE", "pods/a?gracePeriodSeconds=1", {"gracePeriodSeconds": 7, "kind": "DeleteOptions"}
    ).body
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 7, "the body wins over the query"
    assert marked["metadata"]["deletionTimestamp"]
    assert space.call("DELETE", "pods/a", {"gracePeriodSeconds": 0}).code == 200
    assert space.gone("pods/a")


def test_a_pod_without_a_node_goes_at_once(space: Space) -> None:
    space.make("pods", pod("a"))
    assert space.call("DELETE", "pods/a").code == 200
    assert space.gone("pods/a")


def test_what_is_owned_goes_with_its_owner(space: Space) -> None:
    top = space.make("secrets", {"metadata": {"name": "top"}})
    middle = space.make("configmaps", config_map("middle", ownerReferences=[owner(top)]))
    space.make("configmaps", config_map("bottom", ownerReferences=[owner(middle)]))
    space.make("configmaps", config_map("free"))
    space.call("DELETE", "secrets/top", {"propagationPolicy": "Background"})
    wait_for("all are gone", lambda: space.gone("configmaps/middle") and space.gone("configmaps/bottom"))
    assert not space.gone("configmaps/free")


def test_what_names_an_owner_that_is_gone_goes(space: Space) -> None:
    top = space.make("secrets", {"metadata": {"name": "top"}})
    space.call("DELETE", "secrets/top")
    space.make("secrets", {"metadata": {"name": "top"}})  # another one of the same name
    space.make("configmaps", config_map("late", ownerReferences=[owner(top)]))
    wait_for("it is gone", lambda: space.gone("configmaps/late"))


def test_an_object_stays_as_long_as_one_owner_does(space: Space) -> None:
    one, two = (
        space.make("secrets", {"metadata": {"name": "one"}}),
        space.make("secrets", {"metadata": {"name": "two"}}),
    )
    space.make("configmaps", config_map("a", ownerReferences=[owner(one), owner(two)]))
    space.call("DELETE", "secrets/one")
    wait_for("one owner is left", lambda: len(space.get("configmaps/a")["metadata"]["ownerReferences"]) == 1)
    space.call("DELETE", "secrets/two")
    wait_for("it is gone", lambda: space.gone("configmaps/a"))


def test_orphans_stay(space: Space) -> None:
    top = space.make("secrets", {"metadata": {"name": "top"}})
    space.make("configmaps", config_map("a", ownerReferences=[owner(top)]))
    space.call("DELETE", "secrets/top", {"propagationPolicy": "Orphan"})
    wait_for("the owner is gone", lambda: space.gone("secrets/top"))
    assert "ownerReferences" not in space.get("configmaps/a")["metadata"]


def test_in_the_foreground_the_owner_waits(space: Space) -> None:
    top = space.make("secrets", {"metadata": {"name": "top"}})
    held = config_map("a", ownerReferences=[owner(top, blockOwnerDeletion=True)], finalizers=["example.com/wait"])
    space.make("configmaps", held)
    space.call("DELETE", "secrets/top", {"propagationPolicy": "Foreground"})
    wait_for("the owned one is marked", lambda: space.get("configmaps/a")["metadata"].get("deletionTimestamp"))
    assert space.get("secrets/top")["metadata"]["finalizers"] == ["foregroundDeletion"]
    space.call("PATCH", "configmaps/a", {"metadata": {"finalizers": None}}, content=MERGE)
    wait_for("both are gone", lambda: space.gone("secrets/top") and space.gone("configmaps/a"))


def test_a_namespace_is_emptied_and_removed(space: Space) -> None:
    node(space, "n")
    space.make("pods", pod("a"))
    _bound(space, "a")
    space.make("configmaps", config_map("c"))
    answer = space.call("DELETE", f"/api/v1/namespaces/{space.name}")
    assert answer.body["status"]["phase"] == "Terminating"
    wait_for("the pod is marked", lambda: space.get("pods/a")["metadata"].get("deletionTimestamp"))
    assert not space.gone(f"/api/v1/namespaces/{space.name}")
    space.call("DELETE", "pods/a", {"gracePeriodSeconds": 0})
    wait_for("the namespace is gone", lambda: space.gone(f"/api/v1/namespaces/{space.name}"))


def test_every_namespace_has_a_default_account(space: Space) -> None:
    assert space.get("serviceaccounts/default")
    space.call("DELETE", "serviceaccounts/default")
    wait_for("it is back", lambda: not space.gone("serviceaccounts/default"))
