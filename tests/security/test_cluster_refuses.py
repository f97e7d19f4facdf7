"""Attacks through a launch, each tried twice: the site refuses it, and the API server does when the site's check is switched off.

Under the site's own account, with its own rights (k8s/site/rbac.yaml) and the cluster's policy (k8s/site/policy.yaml).
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.utils import timezone

from k8s import labels, manifests, policy
from k8s.errors import NotFound, Rejected
from k8s.instance_objects import PRIVATE_V4, PRIVATE_V6
from k8s.kinds import path
from labs.models import EndReason, Lab
from labs.services.launch import launch
from labs.services.reconcile import load, reconcile
from labs.services.rendering import name_of, render
from tests.support.cluster import wait_for
from tests.support.site_account import POLICY

SECRET, POD, SERVICE, INGRESS = range(4)
ENFORCE = "pod-security.kubernetes.io/enforce"
Objects = list[dict[str, Any]]
Change = Callable[[Objects], None]


def put(which: int, *keys: str | int, value: Any) -> Change:
    """The object with this at that place; `+` as the last key appends."""

    def change(objects: Objects) -> None:
        part: Any = objects[which]
        for key in keys[:-1]:
            part = part[key] if isinstance(part, list) else part.setdefault(key, {})
        if keys[-1] == "+":
            part.append(value)
        else:
            part[keys[-1]] = value

    return change


def pod(*keys: str | int, value: Any) -> Change:
    return put(POD, "spec", *keys, value=value)


def main(*keys: str | int, value: Any) -> Change:
    return pod("containers", 0, *keys, value=value)


def volume(**source: Any) -> Change:
    return pod("volumes", "+", value={"name": "more", **source})


def annotated(key: str, value: str = "x") -> Change:
    return put(INGRESS, "metadata", "annotations", value={key: value})


def token_secret(objects: Objects) -> None:
    """Kubernetes would fill it with the token of the account that it names."""
    objects[SECRET]["type"] = "kubernetes.io/service-account-token"
    objects[SECRET]["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "lab"}


TOKEN = {"sources": [{"serviceAccountToken": {"path": "token"}}]}
NGINX = "nginx.ingress.kubernetes.io"
BY_POD_SECURITY, BY_POLICY = "violates PodSecurity", "ValidatingAdmissionPolicy 'mlsite-"

#: What is tried → how the objects are changed, and who in the cluster refuses it.
ATTACKS: dict[str, tuple[Change, str]] = {
    "the host's network": (pod("hostNetwork", value=True), BY_POD_SECURITY),
    "the host's processes": (pod("hostPID", value=True), BY_POD_SECURITY),
    "the host's memory": (pod("hostIPC", value=True), BY_POD_SECURITY),
    "the host's files": (volume(hostPath={"path": "/"}), BY_POD_SECURITY),
    "a port of the host": (main("ports", 0, "hostPort", value=80), BY_POD_SECURITY),
    "a privileged container": (main("securityContext", "privileged", value=True), "ivileged"),
    "more privileges": (main("securityContext", "allowPrivilegeEscalation", value=True), BY_POD_SECURITY),
    "a capability": (main("securityContext", "capabilities", "add", value=["SYS_ADMIN"]), BY_POD_SECURITY),
    "root": (main("securityContext", "runAsUser", value=0), BY_POD_SECURITY),
    "no seccomp": (pod("securityContext", "seccompProfile", "type", value="Unconfined"), BY_POD_SECURITY),
    "a kernel setting": (pod("securityContext", "sysctls", value=[{"name": "kernel.msgmax", "value": "1"}]), BY_POD_SECURITY),
    "an ephemeral volume by another driver": (volume(csi={"driver": "secrets.example.org"}), BY_POLICY),
    "another account": (pod("serviceAccountName", value="default"), BY_POLICY),
    "its account's token": (pod("automountServiceAccountToken", value=True), BY_POLICY),
    "its account's token by a volume": (volume(projected=TOKEN), BY_POLICY),
    "another's Secret by a volume": (volume(secret={"secretName": "other-12345678"}), BY_POLICY),
    "another's Secret by a variable": (
        main("env", "+", value={"name": "X", "valueFrom": {"secretKeyRef": {"name": "other-12345678", "key": "x"}}}), BY_POLICY
    ),
    "another's Secret by all variables": (main("envFrom", value=[{"secretRef": {"name": "other-12345678"}}]), BY_POLICY),
    "an image outside the list": (main("image", value="registry.example.net/miner:1"), BY_POLICY),
    "a machine of its choice": (pod("nodeName", value="control-plane-1"), BY_POLICY),
    "the control plane's machines": (pod("tolerations", value=[{"operator": "Exists"}]), BY_POLICY),
    "the system's priority": (pod("priorityClassName", value="system-node-critical"), BY_POLICY),
    "a port on every machine": (put(SERVICE, "spec", value={"type": "NodePort", "ports": [{"port": 80}]}), BY_POLICY),
    "a name of somebody else's": (put(SERVICE, "spec", value={"type": "ExternalName", "externalName": "x.org"}), BY_POLICY),
    "an address of somebody else's": (put(SERVICE, "spec", "externalIPs", value=["192.0.2.1"]), BY_POLICY),
    "another lab's pod": (put(SERVICE, "spec", "selector", value={labels.WORKLOAD: str(uuid4())}), BY_POLICY),
    "every pod": (put(SERVICE, "spec", "selector", value={labels.SITE: "mlsite"}), BY_POLICY),
    "a host outside the domain": (put(INGRESS, "spec", "rules", 0, "host", value="bank.example.com"), BY_POLICY),
    "every name of the domain": (put(INGRESS, "spec", "rules", 0, "host", value="*.example.org"), BY_POLICY),
    "a certificate for every name": (put(INGRESS, "spec", "tls", value=[{"hosts": ["*.example.org"]}]), BY_POLICY),
    "every host": (put(INGRESS, "spec", "rules", 0, "host", value=""), BY_POLICY),
    "all that has no host": (put(INGRESS, "spec", "defaultBackend", value={"service": {"name": "x", "port": {"number": 80}}}), BY_POLICY),
    "another's Service": (
        put(INGRESS, "spec", "rules", 0, "http", "paths", 0, "backend", "service", "name", value="other-12345678"), BY_POLICY
    ),
    "configuration of the ingress": (annotated(f"{NGINX}/configuration-snippet", "return 200;"), BY_POLICY),
    "configuration in a value": (annotated(f"{NGINX}/proxy-read-timeout", "1;} server { listen 80;"), BY_POLICY),
    "another host by an annotation": (annotated(f"{NGINX}/server-alias", "bank.example.com"), BY_POLICY),
    "a Secret that is another's by its labels": (
        annotated("cert-manager.io/secret-template", '{"labels": {"app": "bank"}}'), BY_POLICY,
    ),
    "another's Secret by an annotation": (annotated(f"{NGINX}/auth-tls-secret", "kube-system/x"), BY_POLICY),
    "people sent elsewhere": (annotated(f"{NGINX}/permanent-redirect", "https://x.org"), BY_POLICY),
    "middleware of another namespace": (annotated("traefik.ingress.kubernetes.io/router.middlewares", "x"), BY_POLICY),
    "an account's token in a Secret": (token_secret, BY_POLICY),
    "another namespace": (put(SERVICE, "metadata", "namespace", value="default"), BY_POLICY),
    "the system's namespace": (put(SECRET, "metadata", "namespace", value="kube-system"), BY_POLICY),
}  # fmt: skip


def launched(held: SimpleNamespace) -> Lab:
    values = {"name": f"lab-{uuid4().hex[:8]}", "cpu": "1", "memory": "1024", "lifetime": "60"}
    return launch(actor=held.member, instance=held.instance, template=held.template, values=values, now=timezone.now())


@pytest.mark.k8s
def test_a_lab_as_it_should_be_is_taken(held: SimpleNamespace) -> None:
    """Else the refusals below would mean nothing."""
    lab = launched(held)
    reconcile(lab.pk)
    assert load(lab.pk).end_reason == ""
    assert held.operator.get("Pod", name_of(lab), held.instance.namespace)["spec"]["serviceAccountName"] == "lab"


@pytest.mark.k8s
def test_a_lab_with_a_certificate_of_its_own_is_taken(held: SimpleNamespace) -> None:
    held.instance.clusters.update(cluster_issuer="letsencrypt")
    lab = launched(held)
    reconcile(lab.pk)
    assert load(lab.pk).end_reason == ""
    ingress = held.operator.get("Ingress", name_of(lab), held.instance.namespace)
    assert str(lab.pk) in ingress["metadata"]["annotations"]["cert-manager.io/secret-template"]


@pytest.mark.k8s
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_by_the_site_and_by_the_cluster(
    held: SimpleNamespace, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, by = ATTACKS[attack]
    as_written = manifests.render

    def changed(template: dict[str, Any], context: dict[str, Any]) -> Objects:
        objects = as_written(template, context)
        change(objects)
        return objects

    monkeypatch.setattr(manifests, "render", changed)
    lab = launched(held)
    reconcile(lab.pk)
    row = load(lab.pk)
    assert (row.end_reason, row.diagnosis["cause"]) == (EndReason.FAILED, "template")
    with pytest.raises(NotFound):
        held.operator.get("Secret", name_of(lab), held.instance.namespace)

    monkeypatch.setattr(policy, "check", lambda *args, **options: None)
    answers = [_send(held, obj) for obj in render(lab)]
    refused = [answer for answer in answers if answer]
    assert len(refused) == 1, answers
    assert by in refused[0]


def _send(held: SimpleNamespace, obj: dict[str, Any]) -> str:
    """The cluster's refusal of this object under the site's account; empty when it was taken."""
    try:
        held.site.apply(obj)
    except Rejected as refusal:
        return refusal.message
    return ""


@pytest.mark.k8s
@pytest.mark.parametrize(
    ("name", "carried", "why"),
    [
        ("kube-system", {labels.SITE: "mlsite"}, "begin with ml-"),
        ("default", {labels.SITE: "mlsite"}, "begin with ml-"),
        ("ml-taken", {labels.SITE: "mlsite", "pod-security.kubernetes.io/enforce": "restricted"}, "of its own only"),
        ("ml-new", {labels.SITE: "mlsite"}, "Pod Security"),
        ("ml-new", {labels.SITE: "mlsite", "pod-security.kubernetes.io/enforce": "privileged"}, "Pod Security"),
        ("ml-new", {labels.SITE: "mlsite", ENFORCE: "restricted", f"{ENFORCE}-version": "v1.0"}, "latest Pod Security"),
    ],
)
def test_the_site_takes_over_no_namespace_and_lowers_the_guard_of_none(
    held: SimpleNamespace, name: str, carried: dict[str, str], why: str
) -> None:
    if name == "ml-taken":
        held.operator.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    answer = _send(held, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": carried}})
    assert why in answer
    if name == "ml-taken":
        with pytest.raises(Rejected, match="of its own only"):
            held.site.delete("Namespace", name)
        held.operator.delete("Namespace", name)


@pytest.mark.k8s
def test_pod_security_of_an_instance_cannot_be_taken_back(held: SimpleNamespace) -> None:
    names = {labels.SITE: "mlsite", "pod-security.kubernetes.io/enforce": "privileged"}
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": held.instance.namespace, "labels": names},
    }
    assert "Pod Security" in _send(held, namespace)


@pytest.mark.k8s
def test_what_stands_in_another_namespace_is_not_removed(held: SimpleNamespace) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"foreign-{uuid4().hex[:8]}", "namespace": "default"},
    }
    held.operator.apply(foreign)
    with pytest.raises(Rejected, match="its instances only"):
        held.site.delete("Secret", foreign["metadata"]["name"], "default")
    held.operator.delete("Secret", foreign["metadata"]["name"], "default")


@pytest.mark.k8s
def test_more_than_the_limits_is_refused_by_the_quota(held: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = launched(held)
    lab.cpu_millis = 5_000
    pod = next(obj for obj in render(lab) if obj["kind"] == "Pod")
    assert "exceeded quota" in _send(held, pod)


@pytest.mark.k8s
def test_no_secret_is_read_by_removing_it_or_by_trying_to(held: SimpleNamespace) -> None:
    lab = launched(held)
    reconcile(lab.pk)
    # That the account may delete no collection is asked in tests/controlplane/test_rights.py, without a call that is refused.
    with pytest.raises(ValueError, match="one by one"):
        held.site.delete_selected("Secret", held.instance.namespace, labels="a=b")
    one = path("Secret", held.instance.namespace, name_of(lab))
    patch = {"headers": {"Content-Type": "application/merge-patch+json"}, "body": {}}
    for verb, method, more in (("delete", "DELETE", {}), ("merge", "PATCH", patch)):
        with pytest.raises(Rejected, match="no dry runs"):
            held.site._json(verb, method, one, query={"dryRun": "All"}, **more)
    assert held.operator.get("Secret", name_of(lab), held.instance.namespace)


def changed_policy(name: str, **spec: Any) -> dict[str, Any]:
    base = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": base | spec,
    }


ANYWHERE = {"ipBlock": {"cidr": "0.0.0.0/0"}}
OTHER_LABS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ml-other"}}}
PORT = [{"protocol": "TCP", "port": 8888}]
#: What the site's account, in other hands, would loosen.
LOOSENED: dict[str, tuple[dict[str, Any], str]] = {
    "every way in": (changed_policy("deny-all", ingress=[{}]), "denies every way"),
    "one way only": (changed_policy("deny-all", policyTypes=["Ingress"]), "denies every way"),
    "some pods only": (changed_policy("deny-all", podSelector={"matchLabels": {"a": "b"}}), "denies every way"),
    "another policy": (changed_policy("allow-all", egress=[{}]), "no other network policies"),
    "anything as DNS": (changed_policy("allow-dns", egress=[{"to": [ANYWHERE]}]), "port 53"),
    "every port as DNS": (changed_policy("allow-dns", egress=[{"to": [ANYWHERE], "ports": PORT}]), "port 53"),
    "everybody as ingress": (changed_policy("allow-ingress", ingress=[{"from": [ANYWHERE], "ports": PORT}]), "named networks"),
    "other labs as ingress": (changed_policy("allow-ingress", ingress=[{"from": [OTHER_LABS], "ports": PORT}]), "named networks"),
    "every namespace as ingress": (
        changed_policy("allow-ingress", ingress=[{"from": [{"namespaceSelector": {}}], "ports": PORT}]), "named networks"
    ),
    "all networks as the internet": (changed_policy("allow-internet", egress=[{"to": [ANYWHERE]}]), "not public"),
    "all networks without a word": (changed_policy("allow-internet", egress=[{}]), "not public"),
    "ports on machines": (
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "instance"}, "spec": {"hard": {
            "services.nodeports": "9", "services.loadbalancers": "0"}}}, "reached from outside",
    ),
    "a token for every pod": (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lab"}, "automountServiceAccountToken": True},
        "without tokens",
    ),
    "another account": (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}, "automountServiceAccountToken": False},
        "lab and spark only",
    ),
}  # fmt: skip


@pytest.mark.k8s
@pytest.mark.parametrize("what", LOOSENED)
def test_what_holds_an_instance_together_is_not_loosened_by_the_sites_account(held: SimpleNamespace, what: str) -> None:
    obj, why = LOOSENED[what]
    obj = {**obj, "metadata": {**obj["metadata"], "namespace": held.instance.namespace}}
    # A policy is active a moment after it was applied.
    answer = wait_for(f"the cluster refuses {what}", lambda: _send(held, obj))
    assert why in answer


@pytest.mark.k8s
def test_the_quota_is_not_raised_above_what_the_operator_allows(held: SimpleNamespace) -> None:
    def allow(cpu: str | None) -> None:
        held.operator.merge(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mlsite-policy", "namespace": "mlsite"},
             "data": {"quota.requests.cpu": cpu}}
        )  # fmt: skip

    def quota(**hard: str) -> str:
        closed = {"services.nodeports": "0", "services.loadbalancers": "0"}
        meta = {"name": "instance", "namespace": held.instance.namespace}
        return _send(
            held, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": closed | hard}}
        )

    allow("4")
    try:
        wait_for("the maximum is known", lambda: "above what" in quota(**{"requests.cpu": "4001m"}))
        assert quota(**{"requests.cpu": "4000m"}) == ""
        assert "above what" in quota(), "no limit is more than any"
    finally:
        allow(None)
    wait_for("there is no maximum", lambda: quota(**{"requests.cpu": "400"}) == "")


def test_the_clusters_list_of_networks_is_that_of_the_site() -> None:
    documents = list(yaml.safe_load_all(POLICY.read_text()))
    networks = next(one for one in documents if one["metadata"]["name"] == "mlsite-networks")
    listed = {one["name"]: one["expression"] for one in networks["spec"]["variables"]}
    assert yaml.safe_load(listed["private4"]) == PRIVATE_V4
    assert yaml.safe_load(listed["private6"]) == PRIVATE_V6


def test_the_clusters_list_of_annotations_is_that_of_the_site() -> None:
    documents = list(yaml.safe_load_all(POLICY.read_text()))
    ingresses = next(
        one
        for one in documents
        if one["kind"] == "ValidatingAdmissionPolicy" and "ingresses" in one["metadata"]["name"]
    )
    listed = next(one["expression"] for one in ingresses["spec"]["variables"] if one["name"] == "annotations")
    assert set(yaml.safe_load(listed)) == policy.INGRESS_ANNOTATIONS


def test_every_policy_is_bound_and_denies() -> None:
    documents = list(yaml.safe_load_all(POLICY.read_text()))
    policies = {one["metadata"]["name"] for one in documents if one["kind"] == "ValidatingAdmissionPolicy"}
    bound = {
        one["spec"]["policyName"] for one in documents
        if one["kind"] == "ValidatingAdmissionPolicyBinding" and one["spec"]["validationActions"] == ["Deny"]
    }  # fmt: skip
    assert policies == bound
