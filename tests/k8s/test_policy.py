"""One test for each thing that a service may not have."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from k8s import manifests, policy
from k8s.policy import PolicyError
from tests.k8s import examples

SECRET, POD, SERVICE, INGRESS = range(4)
Objects = list[dict[str, Any]]
RULES: dict[str, Any] = {
    "namespace": examples.NAMESPACE,
    "name": examples.NAME,
    "labels": examples.LABELS,
    "allowed_kinds": {"Secret", "Pod", "Service", "Ingress", "ConfigMap"},
    "service_account": "lab",
    "images": {examples.IMAGE, examples.GIT_IMAGE},
    "host": examples.HOST,
    "secrets": {"t0ken-of-the-lab", "argon2:$argon2id$v=19"},
}


def lab() -> Objects:
    return copy.deepcopy(manifests.render(manifests.builtin("jupyterlab"), examples.full_context()))


def spec(objects: Objects, which: int = POD) -> dict[str, Any]:
    found: dict[str, Any] = objects[which]["spec"]
    return found


def container(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = spec(objects)["containers"][0]
    return found


def setting(which: int, *keys: str | int, value: Any) -> Callable[[Objects], None]:
    def change(objects: Objects) -> None:
        part: Any = objects[which]
        for key in keys[:-1]:
            part = part[key] if isinstance(part, list) else part.setdefault(key, {})
        part[keys[-1]] = value

    return change


def pod(*keys: str | int, value: Any) -> Callable[[Objects], None]:
    return setting(POD, "spec", *keys, value=value)


def main(*keys: str | int, value: Any) -> Callable[[Objects], None]:
    return pod("containers", 0, *keys, value=value)


def clone(*keys: str | int, value: Any) -> Callable[[Objects], None]:
    return pod("initContainers", 0, *keys, value=value)


def adding(which: Callable[[Objects], list[Any]], value: Any) -> Callable[[Objects], None]:
    return lambda objects: which(objects).append(value)


def volume(value: dict[str, Any]) -> Callable[[Objects], None]:
    return adding(lambda objects: spec(objects)["volumes"], {"name": "more", **value})


def variable(value: dict[str, Any]) -> Callable[[Objects], None]:
    return adding(lambda objects: container(objects)["env"], {"name": "X", **value})


def extra(obj: dict[str, Any]) -> Callable[[Objects], None]:
    metadata = {"name": examples.NAME, "namespace": examples.NAMESPACE, "labels": examples.LABELS}
    return lambda objects: objects.append({"metadata": metadata, **obj})


#: Who owns what is said when it is sent, never by a template.
OWNER = {"apiVersion": "v1", "kind": "Secret", "name": examples.NAME, "uid": "1"}
VIOLATIONS: dict[str, tuple[Callable[[Objects], None], str]] = {
    "another kind": (extra({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}), "kind of object is not allowed"),
    "a kind we do not know": (extra({"apiVersion": "example.org/v1", "kind": "Widget"}), "kind of object is not allowed"),
    "a service account": (extra({"apiVersion": "v1", "kind": "ServiceAccount"}), "kind of object is not allowed"),
    "another API version": (setting(POD, "apiVersion", value="v2"), "API version must be v1"),
    "another namespace": (setting(POD, "metadata", "namespace", value="kube-system"), "namespace must be"),
    "no namespace": (lambda objects: objects[SERVICE]["metadata"].pop("namespace"), "namespace must be"),
    "another name": (setting(SERVICE, "metadata", "name", value="somebody-elses"), "name must be"),
    "a label missing": (lambda objects: objects[POD]["metadata"]["labels"].pop("mlsite/site"), "label mlsite/site must be"),
    "another workload": (setting(POD, "metadata", "labels", "mlsite/workload", value="x"), "label mlsite/workload must be"),
    "a foreign label": (setting(POD, "metadata", "labels", "app", value="web"), "label app is not allowed"),
    "no end of its time": (lambda objects: objects[POD]["metadata"]["labels"].pop("mlsite/expires"), "mlsite/expires"),
    "an end that never comes": (setting(POD, "metadata", "labels", "mlsite/expires", value="NaN"), "mlsite/expires"),
    "a finalizer": (setting(POD, "metadata", "finalizers", value=["example.org/never"]), "metadata.finalizers"),
    "an annotation of the pod": (
        setting(POD, "metadata", "annotations", value={"k8s.v1.cni.cncf.io/networks": "host"}),
        "annotation k8s.v1.cni.cncf.io/networks",
    ),
    "an owner": (setting(POD, "metadata", "ownerReferences", value=[OWNER]), "metadata.ownerReferences is not allowed"),
    "another service account": (pod("serviceAccountName", value="default"), "service account must be lab"),
    "no service account": (lambda objects: spec(objects).pop("serviceAccountName"), "service account must be lab"),
    "a mounted token": (pod("automountServiceAccountToken", value=True), "automountServiceAccountToken must be false"),
    "a token by default": (
        lambda objects: spec(objects).pop("automountServiceAccountToken"),
        "automountServiceAccountToken must be false",
    ),
    "the host's network": (pod("hostNetwork", value=True), "spec.hostNetwork is not allowed"),
    "the host's processes": (pod("hostPID", value=True), "spec.hostPID is not allowed"),
    "the host's IPC": (pod("hostIPC", value=True), "spec.hostIPC is not allowed"),
    "shared processes": (pod("shareProcessNamespace", value=True), "spec.shareProcessNamespace is not allowed"),
    "a chosen machine": (pod("nodeName", value="control-plane"), "spec.nodeName is not allowed"),
    "a priority": (pod("priorityClassName", value="system-node-critical"), "spec.priorityClassName is not allowed"),
    "names of hosts": (pod("hostAliases", value=[{"ip": "10.0.0.1", "hostnames": ["a"]}]), "spec.hostAliases is not allowed"),
    "an ephemeral container": (pod("ephemeralContainers", value=[{"name": "debug"}]), "spec.ephemeralContainers is not allowed"),
    "all taints tolerated": (pod("tolerations", value=[{"operator": "Exists"}]), "toleration of everything"),
    "the control plane's taint": (
        pod("tolerations", value=[{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]),
        "toleration of node-role",
    ),
    "root allowed": (pod("securityContext", "runAsNonRoot", value=False), "runAsNonRoot must be true"),
    "root not ruled out": (lambda objects: spec(objects)["securityContext"].pop("runAsNonRoot"), "runAsNonRoot must be true"),
    "root as user": (pod("securityContext", "runAsUser", value=0), "must not run as root"),
    "no seccomp": (lambda objects: spec(objects)["securityContext"].pop("seccompProfile"), "seccomp profile"),
    "unconfined seccomp": (pod("securityContext", "seccompProfile", "type", value="Unconfined"), "seccomp profile"),
    "a sysctl": (pod("securityContext", "sysctls", value=[{"name": "a", "value": "b"}]), "securityContext.sysctls is not allowed"),
    "privileged": (main("securityContext", "privileged", value=True), "privileged is not allowed"),
    "privileged clone": (clone("securityContext", "privileged", value=True), "container clone: privileged"),
    "escalation": (main("securityContext", "allowPrivilegeEscalation", value=True), "allowPrivilegeEscalation must be false"),
    "escalation by default": (lambda objects: container(objects).pop("securityContext"), "allowPrivilegeEscalation must be false"),
    "root in the container": (main("securityContext", "runAsUser", value=0), "must not run as root"),
    "root allowed in the container": (main("securityContext", "runAsNonRoot", value=False), "runAsNonRoot must be true"),
    "capabilities kept": (main("securityContext", "capabilities", value={}), "drop all capabilities"),
    "a capability": (main("securityContext", "capabilities", "add", value=["SYS_ADMIN"]), "drop all capabilities"),
    "procMount": (main("securityContext", "procMount", value="Unmasked"), "securityContext.procMount is not allowed"),
    "unconfined container": (
        main("securityContext", "seccompProfile", value={"type": "Unconfined"}),
        "container lab: its seccomp profile",
    ),
    "a port of the host": (main("ports", 0, "hostPort", value=80), "ports.hostPort is not allowed"),
    "no limits": (lambda objects: container(objects).pop("resources"), "no limit of cpu"),
    "no limit of memory": (lambda objects: container(objects)["resources"]["limits"].pop("memory"), "no limit of memory"),
    "a limit of nothing": (main("resources", "limits", "cpu", value="0"), "no limit of cpu"),
    "a strange limit": (main("resources", "limits", "memory", value="Infinity"), "no limit of memory"),
    "no limits for the clone": (lambda objects: spec(objects)["initContainers"][0].pop("resources"), "clone: it has no limit"),
    "another image": (main("image", value="evil/miner:latest"), "image evil/miner:latest is not in the list"),
    "another image for the clone": (clone("image", value="evil/git"), "image evil/git is not in the list"),
    "another container": (
        adding(lambda objects: spec(objects)["containers"], {"name": "more", "image": "evil/x"}),
        "container more",
    ),
    "a hook": (main("lifecycle", value={"postStart": {"exec": {"command": ["a"]}}}), "lifecycle is not allowed"),
    "a probe of another host": (main("readinessProbe", "httpGet", "host", value="169.254.169.254"), "httpGet.host"),
    "a device": (main("volumeDevices", value=[{"name": "a", "devicePath": "/dev/sda"}]), "volumeDevices is not allowed"),
    "a mount that propagates": (main("volumeMounts", 0, "mountPropagation", value="Bidirectional"), "mountPropagation"),
    "a secret in the environment": (variable({"value": "x t0ken-of-the-lab"}), "secret value stands outside"),
    "a secret in the arguments": (main("args", 0, value="--token=t0ken-of-the-lab"), "secret value stands outside"),
    "leave for others to end it": (
        setting(POD, "metadata", "annotations", value={"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}),
        "annotation cluster-autoscaler.kubernetes.io/safe-to-evict",
    ),
    "a pod's annotation on another kind": (
        setting(SERVICE, "metadata", "annotations", value={"karpenter.sh/do-not-disrupt": "true"}),
        "annotation karpenter.sh/do-not-disrupt",
    ),
    "a hash in an annotation": (
        setting(INGRESS, "metadata", "annotations", value={"a": "argon2:$argon2id$v=19"}),
        "secret value stands outside",
    ),
    "a Secret in the environment": (
        variable({"valueFrom": {"secretKeyRef": {"name": examples.NAME, "key": "a"}}}),
        "must not come from secretKeyRef",
    ),
    "all of a Secret in the environment": (main("envFrom", value=[{"secretRef": {"name": "a"}}]), "envFrom is not allowed"),
    "a path of the host": (volume({"hostPath": {"path": "/"}}), "hostPath is not allowed"),
    "a network file system": (volume({"nfs": {"server": "a", "path": "/"}}), "nfs is not allowed"),
    "a projected token": (
        volume({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
        "projected is not allowed",
    ),
    "another Secret": (volume({"secret": {"secretName": "somebody-elses"}}), "Secret somebody-elses is not its own"),
    "another ConfigMap": (volume({"configMap": {"name": "somebody-elses"}}), "ConfigMap somebody-elses is not its own"),
    "another's storage": (volume({"persistentVolumeClaim": {"claimName": "x"}}), "storage x is not its own"),
    "a node port": (setting(SERVICE, "spec", "type", value="NodePort"), "type NodePort is not allowed"),
    "a load balancer": (setting(SERVICE, "spec", "type", value="LoadBalancer"), "type LoadBalancer is not allowed"),
    "an external name": (setting(SERVICE, "spec", "type", value="ExternalName"), "type ExternalName is not allowed"),
    "external addresses": (setting(SERVICE, "spec", "externalIPs", value=["10.0.0.1"]), "spec.externalIPs is not allowed"),
    "a chosen node port": (setting(SERVICE, "spec", "ports", 0, "nodePort", value=30000), "nodePort is not allowed"),
    "a Service for others": (setting(SERVICE, "spec", "selector", value={"app": "site"}), "selector must contain"),
    "another host": (setting(INGRESS, "spec", "rules", 0, "host", value="www.example.org"), "host must be"),
    "all hosts": (lambda objects: spec(objects, INGRESS)["rules"][0].pop("host"), "host must be"),
    "another host's certificate": (setting(INGRESS, "spec", "tls", 0, "hosts", value=["www.example.org"]), "host must be"),
    "a way for all else": (
        setting(INGRESS, "spec", "defaultBackend", value={"service": {"name": examples.NAME, "port": {"number": 80}}}),
        "spec.defaultBackend is not allowed",
    ),
    "a way to another Service": (
        setting(INGRESS, "spec", "rules", 0, "http", "paths", 0, "backend", "service", "name", value="site"),
        "leads to site",
    ),
    "a Secret with more than our labels": (
        setting(INGRESS, "metadata", "annotations", value={"cert-manager.io/secret-template": '{"labels": {}, "annotations": {}}'}),
        "may give the labels of the workload alone",
    ),
    "configuration of the controller": (
        setting(INGRESS, "metadata", "annotations", value={"nginx.ingress.kubernetes.io/server-snippet": "x"}),
        "server-snippet is not allowed",
    ),
    "a minted token": (setting(SECRET, "type", value="kubernetes.io/service-account-token"), "type kubernetes.io/service-acc"),
    "a field that does not exist": (pod("surprise", value=1), "surprise"),
    "a field of the wrong form": (pod("containers", value="all"), "spec.containers"),
}  # fmt: skip


def test_lab_as_rendered_passes() -> None:
    policy.check(lab(), **RULES)


@pytest.mark.parametrize("title", VIOLATIONS)
def test_violation_is_refused(title: str) -> None:
    change, words = VIOLATIONS[title]
    objects = lab()
    change(objects)
    with pytest.raises(PolicyError) as caught:
        policy.check(objects, **RULES)
    assert any(words in violation for violation in caught.value.violations), caught.value.violations
    assert "t0ken-of-the-lab" not in str(caught.value)


def test_all_violations_are_listed() -> None:
    objects = lab()
    for title in ("privileged", "another image", "a node port", "another host"):
        VIOLATIONS[title][0](objects)
    with pytest.raises(PolicyError) as caught:
        policy.check(objects, **RULES)
    assert len(caught.value.violations) == 4
    assert caught.value.violations[0].startswith(f"Pod {examples.NAME}: ")


@pytest.mark.parametrize(
    "change",
    [
        volume({"configMap": {"name": examples.NAME}}),
        volume({"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
        volume({"persistentVolumeClaim": {"claimName": f"{examples.NAME}-home"}}),
        volume({"persistentVolumeClaim": {"claimName": "home-of-ada"}}),
        variable({"value": "x"}),
        extra({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}),
    ],
)
def test_what_a_service_may_have_passes(change: Callable[[Objects], None]) -> None:
    objects = lab()
    change(objects)
    policy.check(objects, **RULES, claims={"home-of-ada"})


def test_schema_names_the_place_and_hides_the_values_of_a_secret() -> None:
    made = lab()
    made[POD]["spec"]["containers"][0]["image"] = 5
    made[SECRET]["stringData"] = {"a": ["hunter2"]}
    (problem,) = policy.check_schema(made[POD])
    assert problem.startswith("spec.containers.0.image: ")
    assert policy.check_schema(made[SECRET]) == ["stringData.a: malformed"]
