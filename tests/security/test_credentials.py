"""What a lab holds in its hands: an account that may do nothing, no token of it, and nothing of another lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from k8s.client import Client
from k8s.errors import NotFound, Rejected
from k8s.kinds import KINDS
from labs.models import Lab, ServiceTemplate
from labs.models.template import ServiceKind
from labs.services.instances import provision
from labs.services.launch import launch
from labs.services.reconcile import reconcile
from labs.services.rendering import name_of
from labs.services.secrets import token_of
from tests.factories import TemplateFactory
from tests.support.cluster import wait_for
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.k8s


@pytest.fixture
def as_lab(held: SimpleNamespace, control_plane: ControlPlane) -> Client:
    """A client with the token of the instance's account `lab`, as if it had leaked."""
    path = f"/api/v1/namespaces/{held.instance.namespace}/serviceaccounts/lab/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = control_plane.request("POST", path, body)["status"]["token"]
    config = json.loads(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    return Client.from_kubeconfig(config)


@pytest.mark.parametrize("kind", KINDS)
def test_the_account_of_labs_reads_and_writes_nothing(held: SimpleNamespace, as_lab: Client, kind: str) -> None:
    """In its own namespace, in others, and in all."""
    own = held.instance.namespace
    where = KINDS[kind]
    for namespace in (own, "default", "kube-system", None) if where.namespaced else (None,):
        with pytest.raises(Rejected, match="cannot list"):
            as_lab.list(kind, namespace)
    place = own if where.namespaced else None
    with pytest.raises(Rejected, match="cannot get"):
        as_lab.get(kind, "instance", place)
    with pytest.raises(Rejected, match="cannot delete"):
        as_lab.delete(kind, "instance", place)
    made = {"apiVersion": where.api_version, "kind": kind, "metadata": {"name": "made"}}
    if place:
        made["metadata"] = {"name": "made", "namespace": place}
    with pytest.raises(Rejected, match="cannot patch"):
        as_lab.apply(made)


def test_the_account_of_labs_gets_no_other_token_and_no_log(held: SimpleNamespace, control_plane: ControlPlane) -> None:
    user = f"system:serviceaccount:{held.instance.namespace}:lab"
    for verb, resource, name in (
        ("create", "serviceaccounts/token", "lab"), ("create", "serviceaccounts/token", "default"), ("get", "pods/log", ""),
        ("create", "pods/exec", ""), ("create", "pods/portforward", ""), ("impersonate", "users", ""), ("get", "nodes/proxy", ""),
    ):  # fmt: skip
        base, _, part = resource.partition("/")
        about = {
            "verb": verb,
            "resource": base,
            "subresource": part,
            "name": name,
            "namespace": held.instance.namespace,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": ["system:serviceaccounts", "system:authenticated"], "resourceAttributes": about},
        }  # fmt: skip
        answer = control_plane.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        assert not answer["status"]["allowed"], (verb, resource)


LOOK = """
echo BEGIN
env
echo FILES
ls /var/run/secrets /run/secrets 2>&1
find / -xdev -name token -path '*serviceaccount*' 2>/dev/null
echo OTHERS
grep -rlsF "$VICTIM" / --include=jupyter_server_config.json 2>/dev/null
for link in /proc/[0-9]*; do cat $link/root/etc/lab/jupyter_server_config.json 2>/dev/null; done
for link in /proc/[0-9]*; do cat $link/environ 2>/dev/null | tr '\\0' '\\n' | grep -i token; done
echo END
sleep 600
"""


@pytest.fixture
def machine(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The control plane with a node of its own."""
    control_plane.attach_kubelet("lab-machine")
    try:
        yield control_plane
    finally:
        control_plane.detach("lab-machine")


def looking(held: SimpleNamespace, name: str, script: str, *, kind: str = "busybox:1.36") -> Lab:
    """A lab of this image that runs this shell script in the place of JupyterLab."""
    template = ServiceTemplate.objects.get(pk=held.template.pk)
    image = next(item for item in template.parameters if item["name"] == "image")
    image.update(default=kind, choices=[{"value": kind, "label": "Shell", "help": "", "gpu": False}])
    container: dict[str, Any] = next(item for item in template.objects_json if item["kind"] == "Pod")["spec"][
        "containers"
    ][0]
    container.update(command=["sh", "-c", script], args=[])
    template.save()
    values = {"name": name, "cpu": "1", "memory": "512", "lifetime": "60"}
    lab = launch(actor=held.member, instance=held.instance, template=template, values=values, now=timezone.now())
    reconcile(lab.pk)
    return lab


def test_a_process_of_a_lab_finds_no_credentials_and_nothing_of_another_lab(
    held: SimpleNamespace, machine: ControlPlane
) -> None:
    victim = looking(held, f"victim-{held.instance.slug}", "echo READY; sleep 600")
    wait_for("the victim runs", lambda: "READY" in log(held, victim), 60)
    attacker = looking(held, f"attacker-{held.instance.slug}", f"VICTIM={token_of(victim)}\n{LOOK}")
    said = wait_for("the attacker has looked", lambda: "END\n" in (found := log(held, attacker)) and found, 90)
    environment, _, rest = said.partition("FILES")
    files, _, others = rest.partition("OTHERS")
    assert "KUBERNETES_" not in environment
    assert "token" not in environment.lower().replace("victim=", "")
    assert "kubernetes.io" not in files
    assert token_of(victim) not in others
    assert "serviceaccount" not in files


#: What a process that has found the API server's address tries there.
TRIES = (
    "GET /version", "GET /api/v1/namespaces", "GET /api/v1/secrets", "GET /api/v1/nodes", "GET /api/v1/namespaces/{own}/secrets",
    "GET /api/v1/namespaces/{own}/pods", "GET /apis/networking.k8s.io/v1/ingresses", "GET /metrics", "GET /openapi/v2",
    "GET /api/v1/nodes/lab-machine/proxy/pods", "POST /api/v1/namespaces/{own}/pods", "POST /api/v1/namespaces/kube-system/pods",
    "POST /api/v1/namespaces/{own}/serviceaccounts/lab/token", "POST /api/v1/namespaces/{own}/pods/x/exec?command=sh",
    "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "DELETE /api/v1/namespaces/{own}",
)  # fmt: skip
ASK = """
import ssl, urllib.error, urllib.request
trusting = ssl._create_unverified_context()
for token in ("", "lab", "system:serviceaccount:{own}:lab"):
    for line in {tries!r}:
        verb, _, path = line.partition(" ")
        headers = {{"Content-Type": "application/json"}} | ({{"Authorization": "Bearer " + token}} if token else {{}})
        call = urllib.request.Request({server!r} + path, method=verb, headers=headers, data=b"{{}}" if verb == "POST" else None)
        try:
            code = urllib.request.urlopen(call, timeout=20, context=trusting).status
        except urllib.error.HTTPError as answer:
            code = answer.code
        print("TRIED", code, line, flush=True)
print("END", flush=True)
"""


def test_a_process_of_a_lab_is_let_into_the_api_server_by_no_means_of_its_own(
    held: SimpleNamespace, machine: ControlPlane
) -> None:
    own = held.instance.namespace
    asked = [line.format(own=own) for line in TRIES]
    script = ASK.format(own=own, tries=asked, server=machine.api_url)
    attacker = looking(held, f"asking-{held.instance.slug}", f"exec python3 - <<'E'\n{script}\nE", kind="python:3.11")
    said = wait_for("the attacker has asked", lambda: "END\n" in (found := log(held, attacker)) and found, 120)
    tried = [line for line in said.splitlines() if line.startswith("TRIED")]
    assert tried == [f"TRIED 401 {line}" for line in asked * 3]


def log(held: SimpleNamespace, lab: Lab) -> str:
    try:
        return held.operator.logs(name_of(lab), held.instance.namespace)
    except (NotFound, Rejected):
        return ""


RBAC = {"apiVersion": "rbac.authorization.k8s.io/v1"}


@pytest.fixture
def with_spark(held: SimpleNamespace) -> SimpleNamespace:
    """The instance offers Spark jobs, too."""
    held.instance.services.add(TemplateFactory(slug="spark", version=1, kind=ServiceKind.SPARK))
    provision(held.instance)
    return held


def test_the_account_of_spark_makes_executors_in_its_namespace_and_may_do_nothing_else(
    with_spark: SimpleNamespace, control_plane: ControlPlane
) -> None:
    own = with_spark.instance.namespace

    def may(verb: str, group: str, resource: str, namespace: str) -> bool:
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        spec = {"user": f"system:serviceaccount:{own}:spark", "resourceAttributes": attributes}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        url = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(control_plane.request("POST", url, body)["status"]["allowed"])

    for resource in ("pods", "services", "configmaps"):
        assert all(may(verb, "", resource, own) for verb in ("get", "watch", "list", "create", "delete"))
        assert not may("patch", "", resource, own)
        assert not may("list", "", resource, "default")
        assert not may("list", "", resource, "")
    for group, resource in (("", "secrets"), ("", "pods/exec"), ("", "serviceaccounts/token"), ("networking.k8s.io", "ingresses"),
                            ("rbac.authorization.k8s.io", "roles"), ("", "resourcequotas"), ("batch", "jobs")):  # fmt: skip
        assert not [verb for verb in ("get", "list", "create", "patch", "delete") if may(verb, group, resource, own)]


def test_the_site_gives_no_other_rights_and_to_nobody_else(with_spark: SimpleNamespace) -> None:
    """Even of those that it has itself."""
    where = {"name": "spark", "namespace": with_spark.instance.namespace}
    rule = {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["create"]}
    with pytest.raises(Rejected, match="pods, services and configmaps only"):
        with_spark.site.apply({**RBAC, "kind": "Role", "metadata": where, "rules": [rule]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "spark"}
    for name, namespace in (("lab", where["namespace"]), ("spark", "default")):
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        with pytest.raises(Rejected, match="the account spark of the same namespace only"):
            with_spark.site.apply(
                {**RBAC, "kind": "RoleBinding", "metadata": where, "roleRef": role, "subjects": [subject]}
            )
