"""The same calls to the embedded API server and to a real one: the same answers, word for word."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.cluster import Cluster, wait_for
from tests.support.controlplane import ControlPlane
from tests.support.devcluster import DevCluster

from .apiserver_support import APPLY, JSON, MERGE, STRATEGIC, Answer, Object, Space, config_map, needs, pod

pytestmark = pytest.mark.k8s

Call = tuple[str, str, Any, str]
LONG = "x" * 254
SERVICE = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}


def ingress(**spec: Any) -> Object:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": spec}


def rule(**backend: Any) -> Object:
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", **backend}}}]
    return {"host": "a.example.org", "http": {"paths": paths}}


def apply(path: str, body: Object, query: str = "fieldManager=one&force=true") -> Call:
    return ("PATCH", f"{path}?{query}", body, APPLY)


def make(path: str, body: Object) -> Call:
    return ("POST", path, body, JSON)


def get(path: str) -> Call:
    return ("GET", path, None, JSON)


def delete(path: str, **options: Any) -> Call:
    return ("DELETE", path, options or None, JSON)


def merge(path: str, body: Object) -> Call:
    return ("PATCH", path, body, MERGE)


def rules(kind: str, name: str, **spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


INGRESSES = "/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
#: What is asked one after the other in a namespace of its own.
STORIES: dict[str, list[Call]] = {
    "names": [
        make("configmaps", {"metadata": {"name": LONG}}),
        make("configmaps", {"metadata": {"name": "UPPER"}}),
        make("configmaps", {"metadata": {"name": "a..b"}}),
        make("configmaps", {"metadata": {}}),
        make("services", {**SERVICE, "metadata": {"name": "1s"}}),
        make("pods", pod("a_b")),
        make("/api/v1/namespaces", {"metadata": {"name": "a.b"}}),
        make("serviceaccounts", {"metadata": {"name": "-a"}}),
        make("configmaps", {"metadata": {"name": "a", "namespace": "other"}}),
        apply("configmaps/b", config_map("a")),
        apply("configmaps/UPPER", config_map("UPPER")),
        make("configmaps", config_map("a", labels={"k": "x" * 64})),
        make("configmaps", config_map("a", labels={"-k": "x"})),
    ],
    "config maps": [
        apply("configmaps/a", config_map("a", {"k": "1"})),
        apply("configmaps/a", config_map("a", {"k": 1})),
        apply("configmaps/a", config_map("a", {"a b": "1"})),
        apply("configmaps/a", {"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "a"}}),
        apply("configmaps/a", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
        apply("configmaps/a", config_map("a", {"k": "2"}), "fieldManager=two"),
        apply("configmaps/a", config_map("a", {"k": "2"}), ""),
        merge("configmaps/none", {"data": {}}),
        merge("configmaps/a", {"metadata": {"name": "b"}}),
        merge("configmaps/a", {"metadata": {"uid": "b"}}),
        merge("configmaps/a", {"metadata": {"resourceVersion": "1"}}),
        delete("configmaps/a", preconditions={"resourceVersion": "1"}),
        delete("configmaps/a", preconditions={"uid": "1"}),
        delete("configmaps/a", propagationPolicy="Sideways"),
        delete("configmaps/a", gracePeriodSeconds=-5),
        delete("configmaps/a"),
    ],
    "lists": [
        get("configmaps?labelSelector=a=("),
        get("configmaps?labelSelector=a%20in%20b"),
        get("configmaps?fieldSelector=spec.x%3D1"),
        get("pods?fieldSelector=spec.nodeName%3Dx,status.phase!%3DFailed"),
        get("secrets?fieldSelector=type%3DOpaque"),
        get("events?fieldSelector=involvedObject.kind%3DPod"),
        get("events?fieldSelector=nonsense%3DPod"),
        get("configmaps?limit=-1"),
        get("configmaps?limit=many"),
        get("configmaps?continue=nonsense"),
        get("configmaps?resourceVersion=nonsense"),
        get("configmaps?resourceVersionMatch=Exact"),
        get("configmaps?resourceVersion=1&resourceVersionMatch=Sideways"),
        get("configmaps?watch=true&resourceVersion=nonsense"),
        get("configmaps?watch=true&timeoutSeconds=1&sendInitialEvents=true"),
        get("configmaps/none?resourceVersion=0"),
        get("nonsense"),
    ],
    "secrets": [
        make("secrets", {"metadata": {"name": "s"}, "data": {"a": "not base64!"}}),
        make("secrets", {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "type": "kubernetes.io/tls"}),
        make("secrets", {"metadata": {"name": "s"}, "type": "kubernetes.io/dockerconfigjson", "stringData": {"a": "b"}}),
        apply("secrets/s", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}),
        merge("secrets/s", {"type": "other"}),
        apply("secrets/s", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "immutable": True}),
        merge("secrets/s", {"data": {"a": "Yg=="}}),
    ],
    "services": [
        make("services", {"metadata": {"name": "s"}, "spec": {}}),
        make("services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 0}]}}),
        make("services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}, {"port": 80}]}}),
        make("services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}, {"port": 81}]}}),
        make("services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "type": "Sideways"}}),
        make("services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "targetPort": "UPPER"}]}}),
    ],
    "ingresses": [
        make(INGRESSES, ingress()),
        make(INGRESSES, ingress(rules=[rule()])),
        make(INGRESSES, ingress(rules=[rule(port={"number": 0})])),
        make(INGRESSES, ingress(rules=[{**rule(port={"number": 80}), "host": "Upper.example.org"}])),
        make(INGRESSES, ingress(rules=[rule(port={"number": 80})], tls=[{"hosts": ["1.2.3.4:5"]}])),
        make(INGRESSES, ingress(rules=[{"host": "a", "http": {"paths": [{"path": "x", "pathType": "Exact"}]}}])),
        make(INGRESSES, ingress(rules=[rule(port={"number": 80})])),
    ],
    "pods": [
        make("pods", pod("a", volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1 Gi"}}])),
        make("pods", pod("a", volumes=[{"name": "v"}, {"name": "v", "emptyDir": {}}])),
        make("pods", pod("a", terminationGracePeriodSeconds=-1)),
        make("pods", pod("a", activeDeadlineSeconds=0)),
        make("pods", pod("a", containers=[{"name": "C_1", "image": "x"}])),
        make("pods", pod("a", containers=[{"name": "c", "image": "x", "env": [{"name": "a=b"}]}])),
        make("pods", pod("a", containers=[{"name": "c", "image": "x", "ports": [{"containerPort": 70000}]}])),
        make("pods", pod("a", containers=[{"name": "c", "image": " x"}])),
        make("pods", pod("a", containers=[{"name": "c", "image": "x", "volumeMounts": [{"name": "v"}]}])),
        make("pods", pod("a", securityContext={"runAsUser": -1})),
        make("pods", needs("a", {"memory": "-1Gi"})),
        make("pods", needs("a", {"nonsense": "1"})),
        make("pods", needs("a", {"nvidia.com/gpu": "1"})),
        make("pods", pod("a", nodeSelector={"a b": "c"})),
        make("pods", {**pod("a"), "kind": "Job"}),
        apply("pods/a", pod("a", serviceAccountName="nobody")),
        apply("pods/a", pod("a")),
        merge("pods/a", {"spec": {"nodeName": "x"}}),
        merge("pods/a", {"spec": {"containers": []}}),
        ("PATCH", "pods/a", {"spec": {"containers": [{"name": "c", "command": ["x"]}]}}, STRATEGIC),
        merge("pods/a/status", {"status": {"phase": "Sideways"}}),
        get("pods/a/log"),
        get("pods/a/log?container=zz"),
        get("pods/b/log"),
        delete("pods/a"),
    ],
    "rules of a namespace": [
        apply("resourcequotas/q", rules("ResourceQuota", "q", hard={"pods": "-1"})),
        apply("resourcequotas/q", rules("ResourceQuota", "q", hard={"pods": "1.5"})),
        apply("resourcequotas/q", rules("ResourceQuota", "q", hard={"nonsense": "1"})),
        apply("limitranges/l", rules("LimitRange", "l", limits=[{"type": "Container", "default": {"cpu": "2"}, "max": {"cpu": "1"}}])),
        apply("limitranges/l", rules("LimitRange", "l", limits=[{"type": "Container", "max": {"cpu": "1"}}])),
        make("pods", needs("a", {"cpu": "2"})),
        make("pods", needs("a", {}, {"cpu": "2"})),
        make(POLICIES, {"metadata": {"name": "p"}, "spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "1.2.3.4"}}]}]}}),
        make(POLICIES, {"metadata": {"name": "p"}, "spec": {"podSelector": {}, "policyTypes": ["Sideways"]}}),
        make(ROLES, {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": []}]}),
        make(LEASES, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 0}}),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def both(embedded: DevCluster, control_plane: ControlPlane) -> list[Cluster]:
    return [embedded, control_plane]


@pytest.mark.parametrize("story", STORIES)
def test_the_same_answers(both: list[Cluster], story: str) -> None:
    """A real server is right. What may differ is what a client cannot rely on: ids, versions, times, addresses."""
    spaces = [Space(cluster, "same-" + re.sub(r"\W", "-", story)) for cluster in both]
    for space in spaces:
        space.make("/api/v1/namespaces", {"metadata": {"name": space.name}})
        wait_for("the account", lambda space=space: not space.gone("serviceaccounts/default"))
    different = []
    for method, path, body, content in STORIES[story]:
        answers = [
            _plain(space.call(method, path.format(namespace=space.name), body, content=content)) for space in spaces
        ]
        if answers[0] != answers[1]:
            sent = json.dumps(body)
            different.append(f"{method} {path} {sent[:200]}\n  embedded: {answers[0]}\n  real:     {answers[1]}")
    for space in spaces:
        space.call("DELETE", f"/api/v1/namespaces/{space.name}")
    assert not different, "\n".join(different)


def _plain(answer: Answer) -> str:
    """Status code, reason, message and causes of a refusal; of an object no more than that it came."""
    body = answer.body
    if not isinstance(body, dict) or body.get("kind") != "Status":
        return f"{answer.code} {body.get('kind') if isinstance(body, dict) else 'text'}"
    causes = (body.get("details") or {}).get("causes") or []
    fields = sorted({f"{one.get('reason')} {one.get('field')}" for one in causes})
    # With several causes, their order and the repetition of some are chance. The dump of an object's change is for people.
    message = body.get("message", "").partition("\n")[0] if len(fields) < 2 else ""
    text = re.sub(r"(continue key is not valid).*", r"\1", f"{answer.code} {body.get('reason')} {fields} {message}")
    text = re.sub(r"in record \(\d+\)", "in record (N)", text)
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<uid>", text)
