"""What the API server refuses, and in which words. What is expected here was seen on a real one (1.36)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.devcluster import wait_for

from .apiserver_support import MERGE, Object, Space, config_map, needs, pod


def _quota(space: Space, **hard: str) -> None:
    amounts = {key.replace("__", "/").replace("_", "."): amount for key, amount in hard.items()}
    space.make("resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": amounts}})


def _used(space: Space) -> Any:
    return space.get("resourcequotas/q").get("status", {}).get("used")


def test_what_exceeds_the_quota_is_refused_in_the_known_words(space: Space) -> None:
    space.make(
        "resourcequotas",
        {
            "metadata": {"name": "q"},
            "spec": {
                "hard": {"requests.cpu": "2", "limits.memory": "1Gi", "pods": "2", "requests.nvidia.com/gpu": "1"}
            },
        },
    )
    space.make("pods", needs("a", {"cpu": "1500m"}, {"memory": "512Mi"}))
    answer = space.call("POST", "pods", needs("b", {"cpu": "1500m"}, {"memory": "1536Mi"}))
    assert (answer.code, answer.body["reason"]) == (403, "Forbidden")
    assert answer.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: limits.memory=1536Mi,requests.cpu=1500m, '
        "used: limits.memory=512Mi,requests.cpu=1500m, limited: limits.memory=1Gi,requests.cpu=2"
    )
    answer = space.call("POST", "pods", needs("b", {"cpu": "0.5"}, {"memory": "1024Ki", "nvidia.com/gpu": 2}))
    assert answer.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=0, '
        "limited: requests.nvidia.com/gpu=1"
    )


def test_a_pod_must_state_what_the_quota_limits(space: Space) -> None:
    _quota(space, requests_cpu="2", limits_memory="1Gi")
    answer = space.call("POST", "pods", pod("a"))
    assert answer.message == (
        'pods "a" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c'
    )


def test_many_at_once_never_exceed_the_quota(space: Space) -> None:
    _quota(space, pods="5")
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda number: space.call("POST", "pods", pod(f"p{number}")).code, range(20)))
    assert sorted(codes) == [201] * 5 + [403] * 15


def test_the_used_amounts_follow(space: Space) -> None:
    _quota(space, pods="5", requests_cpu="2", count__configmaps="9")
    space.make("pods", needs("a", {"cpu": "500m"}))
    wait_for("used", lambda: _used(space) == {"pods": "1", "requests.cpu": "500m", "count/configmaps": "1"})
    space.call("PATCH", "pods/a/status", {"status": {"phase": "Failed"}}, content=MERGE)
    wait_for("a pod that has ended does not count", lambda: _used(space)["pods"] == "0")


def test_a_node_port_is_refused_where_there_are_none(space: Space) -> None:
    _quota(space, services_nodeports="0")
    answer = space.call(
        "POST", "services", {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    )
    assert answer.message == (
        'services "s" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=0, '
        "limited: services.nodeports=0"
    )


def test_a_limit_range_gives_defaults_and_bounds(space: Space) -> None:
    limit: Object = {
        "type": "Container",
        "default": {"cpu": "200m", "memory": "128Mi"},
        "defaultRequest": {"cpu": "100m"},
        "max": {"cpu": "1", "memory": "256Mi"},
        "min": {"cpu": "50m"},
    }
    space.make("limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [limit]}})
    made = space.make("pods", pod("a"))
    assert made["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "200m", "memory": "128Mi"},
        "requests": {"cpu": "100m", "memory": "128Mi"},
    }
    answer = space.call("POST", "pods", needs("b", {"cpu": "10m"}, {"cpu": "2", "memory": "1Gi"}))
    assert answer.message == (
        'pods "b" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, maximum cpu usage per Container '
        "is 1, but limit is 2, maximum memory usage per Container is 256Mi, but limit is 1Gi]"
    )


def test_pod_security_refuses_what_the_namespace_does_not_allow(space: Space) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space.call("PATCH", f"/api/v1/namespaces/{space.name}", {"metadata": {"labels": labels}}, content=MERGE)
    answer = space.call("POST", "pods", pod("a", hostNetwork=True, volumes=[{"name": "v", "hostPath": {"path": "/"}}]))
    assert answer.message == (
        'pods "a" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true), '
        'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), '
        'restricted volume types (volume "v" uses restricted volume type "hostPath"), '
        'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    good = pod("a", securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
    good["spec"]["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    space.make("pods", good)


def test_a_service_account_that_is_missing_is_named(space: Space) -> None:
    answer = space.call("POST", "pods", pod("a", serviceAccountName="zz"))
    assert answer.message == (
        f'pods "a" is forbidden: error looking up service account {space.name}/zz: serviceaccount "zz" not found'
    )


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"containers": []}, "spec.containers: Required value"),
        ({"containers": [{"name": "c"}]}, "spec.containers[0].image: Required value"),
        (
            {"restartPolicy": "Sometimes"},
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
        ),
        (
            {"containers": [{"name": "c", "image": "x", "volumeMounts": [{"name": "q", "mountPath": "/x"}]}]},
            'spec.containers[0].volumeMounts[0].name: Not found: "q"',
        ),
        (
            {
                "containers": [
                    {"name": "c", "image": "x", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}
                ]
            },
            'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        ),
        (
            {"containers": [{"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "1.5"}}}]},
            'spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "1500m": must be an integer',
        ),
    ],
)
def test_an_invalid_pod_is_refused_with_its_field(space: Space, spec: Object, why: str) -> None:
    answer = space.call("POST", "pods", pod("a", **spec))
    assert (answer.code, answer.body["reason"]) == (422, "Invalid")
    assert why in answer.message
    assert answer.body["details"]["causes"]


def test_a_wrong_type_is_a_bad_request(space: Space) -> None:
    answer = space.call("POST", "pods", pod("a", containers=[{"name": "c", "image": 5}]))
    assert (answer.code, answer.message) == (
        400,
        (
            'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field '
            "Container.spec.containers.image of type string"
        ),
    )
    answer = space.call("POST", "pods", needs("a", {"cpu": "1 Gi"}))
    assert (answer.code, "quantities must match the regular expression" in answer.message) == (400, True)


def test_an_unknown_field_is_dropped_or_refused(space: Space) -> None:
    assert "nonsense" not in space.make("pods", pod("a", nonsense=1))["spec"]
    answer = space.call("POST", "pods?fieldValidation=Strict", pod("b", nonsense=1))
    assert (answer.code, answer.message) == (
        400,
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.nonsense"',
    )


@pytest.mark.parametrize(
    "meta",
    [
        {"name": "Bad_Name"},
        {"name": "a", "labels": {"a b": "c"}},
        {"name": "a", "labels": {"a": "-x"}},
        {"name": "a", "labels": {"a": "x" * 64}},
        {"name": "a", "annotations": {"a/b/c": "x"}},
    ],
)
def test_malformed_names_and_labels_are_refused(space: Space, meta: Object) -> None:
    answer = space.call("POST", "configmaps", {"metadata": meta})
    assert (answer.code, answer.body["reason"]) == (422, "Invalid")


def test_an_immutable_object_stays_as_it_is(space: Space) -> None:
    space.make("configmaps", {**config_map("a", {"x": "1"}), "immutable": True})
    answer = space.call("PATCH", "configmaps/a", {"data": {"x": "2"}}, content=MERGE)
    assert answer.message == 'ConfigMap "a" is invalid: data: Forbidden: field is immutable when `immutable` is set'


def test_nothing_is_created_in_a_namespace_that_is_being_removed(space: Space) -> None:
    space.make("configmaps", config_map("a", finalizers=["example.com/wait"]))
    space.call("DELETE", f"/api/v1/namespaces/{space.name}")
    answer = space.call("POST", "configmaps", config_map("late"))
    assert answer.message == (
        f'configmaps "late" is forbidden: unable to create new content in namespace {space.name} because it is being terminated'
    )
    assert answer.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    space.call("PATCH", "configmaps/a", {"metadata": {"finalizers": None}}, content=MERGE)
    wait_for("the namespace is gone", lambda: space.gone(f"/api/v1/namespaces/{space.name}"))


def test_the_default_namespace_stays(space: Space) -> None:
    assert space.call("DELETE", "/api/v1/namespaces/default").code == 403
