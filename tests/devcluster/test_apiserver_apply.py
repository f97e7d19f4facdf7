"""Server-side apply. What is expected here was seen on a real API server (1.36)."""

from typing import Any

from .apiserver_support import MERGE, Space, config_map, pod


def _owners(obj: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(one["manager"], one["operation"]): one["fieldsV1"] for one in obj["metadata"]["managedFields"]}


def test_apply_creates_and_owns_what_it_says(space: Space) -> None:
    answer = space.apply("configmaps/a", config_map("a", {"x": "1"}, labels={"l": "v"}))
    assert answer.code == 201
    assert _owners(answer.body) == {("one", "Apply"): {"f:data": {"f:x": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}}


def test_apply_again_changes_nothing(space: Space) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80, "targetPort": 8888}]},
    }
    first = space.apply("services/s", body).body
    answer = space.apply("services/s", body)
    assert answer.code == 200
    assert answer.body == first


def test_a_field_no_longer_applied_is_removed(space: Space) -> None:
    space.apply("configmaps/a", config_map("a", {"x": "1", "y": "2"}, labels={"l": "v"}))
    found = space.apply(
        "configmaps/a", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    ).body
    assert found["data"] == {"x": "1"}
    assert "labels" not in found["metadata"]


def test_a_field_of_two_owners_stays_until_both_let_go(space: Space) -> None:
    space.apply("configmaps/a", config_map("a", {"x": "1", "y": "2"}))
    space.apply("configmaps/a", config_map("a", {"y": "2"}), "two")
    assert space.apply("configmaps/a", config_map("a", {"x": "1"})).body["data"] == {"x": "1", "y": "2"}
    assert space.apply("configmaps/a", config_map("a"), "two").body["data"] == {"x": "1"}


def test_a_conflict_names_the_owner_and_the_field(space: Space) -> None:
    space.apply("configmaps/a", config_map("a", {"x": "1"}))
    answer = space.apply("configmaps/a", config_map("a", {"x": "2"}), "two")
    assert (answer.code, answer.body["reason"]) == (409, "Conflict")
    assert answer.message == 'Apply failed with 1 conflict: conflict with "one": .data.x'
    assert answer.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.x"}
    ]


def test_force_takes_the_field_over(space: Space) -> None:
    space.apply("configmaps/a", config_map("a", {"x": "1"}))
    found = space.apply("configmaps/a", config_map("a", {"x": "2"}), "two", force=True).body
    assert found["data"] == {"x": "2"}
    assert _owners(found) == {("two", "Apply"): {"f:data": {"f:x": {}}}}


def test_an_update_takes_ownership_of_what_it_changes(space: Space) -> None:
    space.apply("configmaps/a", config_map("a", {"x": "1"}))
    space.call("PATCH", "configmaps/a?fieldManager=hand", {"data": {"x": "2"}}, content=MERGE)
    answer = space.apply("configmaps/a", config_map("a", {"x": "1"}))
    assert answer.message == 'Apply failed with 1 conflict: conflict with "hand" using v1: .data.x'


def test_items_of_a_list_are_merged_by_their_key(space: Space) -> None:
    ports: Any = [{"name": "http", "port": 80, "targetPort": 8888}]
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}}
    found = space.apply("services/s", body).body
    assert found["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8888}]
    key = 'k:{"port":80,"protocol":"TCP"}'
    assert _owners(found)["one", "Apply"]["f:spec"]["f:ports"] == {
        key: {".": {}, "f:name": {}, "f:port": {}, "f:targetPort": {}}
    }
    ports[0]["port"] = 81
    assert [port["port"] for port in space.apply("services/s", body).body["spec"]["ports"]] == [81]


def test_a_pod_may_be_applied_again_with_other_labels(space: Space) -> None:
    body = pod("a")
    space.apply("pods/a", body)
    body["metadata"]["labels"] = {"x": "1"}
    assert space.apply("pods/a", body).body["metadata"]["labels"] == {"x": "1"}
    body["spec"]["containers"][0]["command"] = ["sleep"]
    answer = space.apply("pods/a", body)
    assert answer.code == 422
    assert "pod updates may not change fields other than" in answer.message


def test_a_malformed_body_is_refused_as_the_real_server_does(space: Space) -> None:
    body = pod("a", nonsense=1)
    body["metadata"]["namespace"] = space.name
    answer = space.apply("pods/a", body)
    assert answer.code == 500
    assert answer.message.endswith(f"({space.name}/a; /v1, Kind=Pod): .spec.nonsense: field not declared in schema")
    assert "(/a; /v1, Kind=Pod): " in space.apply("pods/a", pod("a", nonsense=1)).message, "as the body says"
    answer = space.apply("pods/a", pod("a", containers=[{"name": "c", "image": "x"}, {"name": "c", "image": "y"}]))
    assert answer.message.endswith('.spec.containers: duplicate entries for key [name="c"]')
    answer = space.call("PATCH", "pods/a", pod("a"), content="application/apply-patch+yaml")
    assert (answer.code, "fieldManager: Required value" in answer.message) == (422, True)


def test_apply_may_not_name_another_version_or_uid(space: Space) -> None:
    space.apply("configmaps/a", config_map("a", {"x": "1"}))
    assert space.apply("configmaps/a", config_map("a", {"x": "2"}, resourceVersion="1")).code == 409
    assert space.apply("configmaps/b", config_map("b", {"x": "2"}, uid="zz")).code == 409
