"""The API server: create, read, update, patch, delete, lists, and who may ask."""

import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.support.cluster import Cluster

from .apiserver_support import MERGE, ROOT, STRATEGIC, Answer, Space, config_map, owner, pod


def _names(listed: dict[str, Any]) -> list[str]:
    """Of the test's own."""
    return [name for one in listed["items"] if (name := one["metadata"]["name"]) != ROOT]


def test_nobody_is_answered_without_the_token(cluster: Cluster) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        request = urllib.request.Request(f"{cluster.api_url}/api/v1/secrets", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5, context=cluster.tls())
        assert refused.value.code == 401


def test_a_created_object_has_uid_version_time_and_defaults(space: Space) -> None:
    made = space.make("pods", pod("a"))
    assert made["metadata"]["uid"]
    assert int(made["metadata"]["resourceVersion"]) > 0
    assert made["metadata"]["creationTimestamp"].endswith("Z")
    assert made["metadata"]["generation"] == 1
    assert made["spec"]["restartPolicy"] == "Always"
    assert made["spec"]["terminationGracePeriodSeconds"] == 30
    assert made["spec"]["serviceAccountName"] == "default"
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_generate_name_makes_a_name(space: Space) -> None:
    body = {"metadata": {"generateName": "s-"}, "stringData": {"a": "b"}}
    made = space.make("secrets", body)
    assert made["metadata"]["name"].startswith("s-")
    assert made["data"] == {"a": "Yg=="}
    assert "stringData" not in made


def test_the_same_name_twice_is_already_exists(space: Space) -> None:
    space.make("configmaps", config_map("a"))
    answer = space.call("POST", "configmaps", config_map("a"))
    assert (answer.code, answer.body["reason"]) == (409, "AlreadyExists")
    assert answer.message == 'configmaps "a" already exists'


def test_an_update_of_an_older_version_is_a_conflict(space: Space) -> None:
    made = space.make("configmaps", config_map("a", {"k": "1"}))
    newer = {**made, "data": {"k": "2"}}
    assert space.call("PUT", "configmaps/a", newer).code == 200
    answer = space.call("PUT", "configmaps/a", {**made, "data": {"k": "3"}})
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    assert space.get("configmaps/a")["data"] == {"k": "2"}


def test_a_write_that_changes_nothing_keeps_the_version(space: Space) -> None:
    made = space.make("configmaps", config_map("a", {"k": "1"}))
    answer = space.call("PATCH", "configmaps/a", {"data": {"k": "1"}}, content=MERGE)
    assert answer.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_json_patch_tests_and_changes(space: Space) -> None:
    space.make("configmaps", config_map("a", {"k": "1"}))
    operations = [{"op": "test", "path": "/data/k", "value": "1"}, {"op": "add", "path": "/data/x", "value": "2"}]
    content = "application/json-patch+json"
    assert space.call("PATCH", "configmaps/a", operations, content=content).body["data"] == {"k": "1", "x": "2"}
    operations[0]["value"] = "wrong"
    assert space.call("PATCH", "configmaps/a", operations, content=content).code == 422


def test_strategic_merge_patch_merges_lists_by_key(space: Space) -> None:
    spec = {"ports": [{"name": "one", "port": 80}]}
    space.make("services", {"metadata": {"name": "s"}, "spec": spec})
    change = {"spec": {"ports": [{"name": "two", "port": 90}]}}
    patched = space.call("PATCH", "services/s", change, content=STRATEGIC).body
    assert {port["port"] for port in patched["spec"]["ports"]} == {80, 90}
    change = {"spec": {"ports": [{"$patch": "delete", "port": 80}]}}
    patched = space.call("PATCH", "services/s", change, content=STRATEGIC).body
    assert [port["port"] for port in patched["spec"]["ports"]] == [90]


def test_status_and_specification_are_written_apart(space: Space) -> None:
    made = space.make("pods", pod("a"))
    space.call("PATCH", "pods/a", {"status": {"phase": "Running"}}, content=MERGE)
    assert space.get("pods/a")["status"]["phase"] == "Pending"
    meta = {"labels": {"x": "y"}, "ownerReferences": [owner(made)]}
    change = {"metadata": meta, "spec": {"activeDeadlineSeconds": 1}, "status": {"phase": "Running"}}
    space.call("PATCH", "pods/a/status", change, content=MERGE)
    found = space.get("pods/a")
    assert found["status"]["phase"] == "Running"
    assert found["metadata"]["labels"] == {"x": "y"}, "these can be written with the status"
    assert "ownerReferences" not in found["metadata"]
    assert "activeDeadlineSeconds" not in found["spec"]


def test_dry_run_changes_nothing(space: Space) -> None:
    assert space.call("POST", "configmaps?dryRun=All", config_map("a")).code == 201
    assert space.gone("configmaps/a")
    space.make("configmaps", config_map("b"))
    assert space.call("DELETE", "configmaps/b?dryRun=All").code == 200
    assert not space.gone("configmaps/b")


def test_delete_with_another_uid_is_refused(space: Space) -> None:
    made = space.make("configmaps", config_map("a"))
    answer = space.call("DELETE", "configmaps/a", {"preconditions": {"uid": "other"}})
    assert answer.code == 409
    assert "the UID in the precondition (other) does not match" in answer.message
    assert space.call("DELETE", "configmaps/a", {"preconditions": {"uid": made["metadata"]["uid"]}}).code == 200
    assert space.gone("configmaps/a")


def evict(space: Space, name: str, about: str = "", **options: Any) -> Answer:
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": about or name},
        "deleteOptions": options,
    }
    return space.call("POST", f"pods/{name}/eviction", body)


def test_an_evicted_pod_ends_in_its_time_and_says_why(space: Space) -> None:
    made = space.make("pods", pod("a", nodeName="n"))
    assert evict(space, "a", dryRun=["All"]).code == 201
    assert "deletionTimestamp" not in space.get("pods/a")["metadata"]
    answer = evict(space, "a", gracePeriodSeconds=7, preconditions={"uid": made["metadata"]["uid"]})
    assert (answer.code, answer.body["kind"], answer.body["status"]) == (201, "Status", "Success")
    left = space.get("pods/a")
    assert left["metadata"]["deletionGracePeriodSeconds"] == 7
    (said,) = [one for one in left["status"]["conditions"] if one["type"] == "DisruptionTarget"]
    assert (said["status"], said["reason"], said["message"]) == (
        "True", "EvictionByEvictionAPI", "Eviction API: evicting",
    )  # fmt: skip


def test_an_eviction_of_the_pod_that_was_there_before_is_refused(embedded_space: Space) -> None:
    """At once; a real server tries for ten seconds before it gives the same answer."""
    embedded_space.make("pods", pod("a"))
    wrong = evict(embedded_space, "a", preconditions={"uid": "other"})
    assert (wrong.code, "the UID in the precondition (other) does not match" in wrong.message) == (409, True)


def test_an_eviction_of_another_pod_or_of_none_is_refused(space: Space) -> None:
    space.make("pods", pod("a"))
    assert evict(space, "b").code == 404
    answer = evict(space, "a", about="b")
    assert (answer.code, answer.message) == (400, "name in URL does not match name in Eviction object")
    assert evict(space, "a").code == 201
    assert space.gone("pods/a")


def test_a_collection_is_deleted_by_its_selector(space: Space) -> None:
    space.make("configmaps", config_map("a", labels={"x": "1"}))
    space.make("configmaps", config_map("b", labels={"x": "2"}))
    assert space.call("DELETE", "configmaps?labelSelector=x%3D1").code == 200
    assert _names(space.get("configmaps")) == ["b"]


def test_an_object_with_a_finalizer_waits_for_it(space: Space) -> None:
    space.make("configmaps", config_map("a", finalizers=["example.com/wait"]))
    assert space.call("DELETE", "configmaps/a").code == 200
    assert space.get("configmaps/a")["metadata"]["deletionTimestamp"]
    space.call("PATCH", "configmaps/a", {"metadata": {"finalizers": None}}, content=MERGE)
    assert space.gone("configmaps/a")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("labelSelector=x%3D1", ["a"]),
        ("labelSelector=x+in+(1,2)", ["a", "b"]),
        ("labelSelector=x!%3D1", ["b", "c"]),
        ("labelSelector=!x", ["c"]),
        ("labelSelector=x", ["a", "b"]),
        ("labelSelector=x,x+notin+(2)", ["a"]),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.name!%3Db", ["a", "c"]),
    ],
)
def test_selectors_select(space: Space, selector: str, names: list[str]) -> None:
    for name, value in (("a", "1"), ("b", "2"), ("c", "")):
        space.make("configmaps", config_map(name, labels={"x": value} if value else {}))
    assert _names(space.get(f"configmaps?{selector}")) == names


def test_a_list_comes_in_pages(space: Space) -> None:
    for number in range(5):
        space.make("configmaps", config_map(f"c{number}"))
    names, token = [], ""
    for _ in range(3):
        page = space.get(f"configmaps?limit=2&continue={token}")
        names += _names(page)
        token = page["metadata"].get("continue", "")
    assert names == ["c0", "c1", "c2", "c3", "c4"]
    assert token == ""


def test_only_metadata_or_a_table_is_sent_when_asked_for(space: Space) -> None:
    space.make("secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
    partial = space.call("GET", "secrets", accept=accept).body
    assert partial["kind"] == "PartialObjectMetadataList"
    assert set(partial["items"][0]) == {"kind", "apiVersion", "metadata"}
    table = space.call("GET", "secrets", accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json").body
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][:3] == ["s", "Opaque", 1]


def test_what_does_not_exist_is_not_found(space: Space) -> None:
    assert space.call("GET", "pods/zz").message == 'pods "zz" not found'
    assert space.call("GET", "nonsense").message == "the server could not find the requested resource"
    answer = space.call("POST", "/api/v1/namespaces/nowhere/pods", pod("a"))
    assert (answer.code, answer.message) == (404, 'namespaces "nowhere" not found')
