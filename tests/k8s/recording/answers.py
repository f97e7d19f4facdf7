"""Calls that the API server does not take: limits, policies, webhooks, names, rights."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from k8s.client import Client
from k8s.errors import Error, Rejected
from k8s.kinds import path
from tests.k8s.recording.stage import Object, Recording, Stage, is_conflict, placed, pod
from tests.support import webhook
from tests.support.cluster import wait_for

OPEN, _FULL, _BARE, _HOOKED, _ENDING = "golden-open", "golden-quota", "golden-bare", "golden-hooked", "golden-ending"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"


def record(stage: Stage) -> Iterator[Recording]:
    """All of them, one after the other."""
    stage.namespace(OPEN)
    yield from limits(stage)
    yield "limits-uncounted", "quota_uncounted", _uncounted(stage)
    yield from _policies(stage)
    yield from _webhooks(stage)
    yield from _names(stage)
    yield from _namespaces(stage)
    yield from _callers(stage)
    yield from _silence(stage)


def limits(stage: Stage) -> Iterator[Recording]:
    """Of the namespace, and of one container."""
    yield from _quotas(stage)
    yield from _limit_ranges(stage)


def _quotas(stage: Stage) -> Iterator[Recording]:
    stage.namespace(_FULL, {"cpu_millis": 2000, "memory_mib": 3072, "gpus": 1, "storage_gib": 10})
    stage.client.apply(placed(pod("first", cpu_request_millis=1500), _FULL))
    for case, asked in {
        "cpu": {"cpu_request_millis": 1000},
        "memory": {"memory_mib": 4096},
        "gpu": {"gpus": 2},
        "many": {"cpu_request_millis": 1000, "memory_mib": 4096},
        "above_all": {"cpu_request_millis": 64000},
    }.items():
        yield "quota", f"quota_{case}", stage.refused_pod(_FULL, pod("p", **asked))
    yield "quota", "quota_storage", stage.refused(lambda: stage.client.apply(claim(_FULL, "big", "20Gi")))
    stage.create(_quota("pods", {"pods": "2"}, _FULL))
    wait_for(
        "the quota is counted", lambda: stage.client.get("ResourceQuota", "pods", _FULL).get("status", {}).get("hard")
    )
    stage.client.apply(placed(pod("second", cpu_request_millis=100), _FULL))
    yield "quota", "quota_pods", stage.refused_pod(_FULL, pod("p", cpu_request_millis=100))
    stage.namespace(_BARE, bare=True)
    stage.create(_quota("cpu", {"requests.cpu": "2"}))
    wait_for(
        "the quota is counted", lambda: stage.client.get("ResourceQuota", "cpu", _BARE).get("status", {}).get("hard")
    )
    silent = pod("p")
    silent["spec"]["serviceAccountName"] = "default"
    silent["spec"]["containers"][0]["resources"] = {}
    yield "limits-unstated", "quota_unstated", stage.refused_pod(_BARE, silent)


def _uncounted(stage: Stage) -> Object:
    """As in the moment in which a new quota has no status yet; taken away by hand, it stays away for minutes."""
    stage.client.delete("ResourceQuota", "cpu", _BARE)
    stage.create(_quota("new", {"pods": "100"}))
    wait_for(
        "the quota is counted", lambda: stage.client.get("ResourceQuota", "new", _BARE).get("status", {}).get("hard")
    )
    header = {"Content-Type": "application/merge-patch+json"}
    body = {"status": {"used": None}}
    stage.client._json("patch", "PATCH", f"{path('ResourceQuota', _BARE, 'new')}/status", body=body, headers=header)
    early = pod("early")
    early["spec"]["serviceAccountName"] = "default"
    return _soon(stage, _BARE, early, "status unknown")


def _raise(error: Error) -> None:
    raise error


def _quota(name: str, hard: dict[str, str], namespace: str = _BARE) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hard": hard},
    }


def claim(namespace: str, name: str, size: str = "1Gi", **spec: Any) -> Object:
    """A persistent volume claim."""
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
    }  # fmt: skip


def _limit_ranges(stage: Stage) -> Iterator[Recording]:
    def limited(**rule: Any) -> None:
        spec = {"limits": [{"type": "Container", **rule}]}
        stage.client.apply(
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "golden", "namespace": OPEN}, "spec": spec}
        )

    limited(max={"cpu": "8", "memory": "4Gi"})
    big = {"memory_mib": 8192, "cpu_limit_millis": 1000}
    yield "too-large", "limit_range", _soon(stage, OPEN, pod("p", **big), "maximum memory")
    yield "too-large", "limit_range_cpu", stage.refused_pod(OPEN, pod("p", cpu_limit_millis=16000))
    limited(min={"memory": "2Gi"})
    yield "too-small", "limit_range_min", _soon(stage, OPEN, pod("p"), "minimum memory")
    limited(maxLimitRequestRatio={"cpu": "1"})
    yield "ratio", "limit_range_ratio", _soon(stage, OPEN, pod("p"), "ratio")
    stage.client.delete("LimitRange", "golden", OPEN)
    wait_for("no limit range", lambda: _is_accepted(stage, pod("p")))


def _soon(stage: Stage, namespace: str, made: Object, words: str) -> Object:
    """The refusal with these words: the server learns of a new rule a moment after it was made."""

    def refused() -> Object | None:
        try:
            stage.client.apply(placed(made, namespace))
        except Error as error:
            if words in error.message:
                return stage.refused(lambda error=error: _raise(error))
            return None
        stage.client.delete("Pod", made["metadata"]["name"], namespace, grace_seconds=0)
        return None

    found: Object = wait_for(f"a refusal with {words!r}", refused)
    return found


def _is_accepted(stage: Stage, made: Object) -> bool:
    try:
        stage.client.apply(placed(made, OPEN))
    except Rejected:
        return False
    return stage.client.delete("Pod", made["metadata"]["name"], OPEN, grace_seconds=0)


def _policies(stage: Stage) -> Iterator[Recording]:
    privileged = pod("p")
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    yield "pod-security", "pod_security", stage.refused_pod(OPEN, privileged)
    for case, key in (("priority_class", "priorityClassName"), ("runtime_class", "runtimeClassName")):
        odd = pod("p")
        odd["spec"][key] = "no-such"
        yield "names-missing", case, stage.refused_pod(OPEN, odd)
    odd = pod("p")
    odd["spec"]["priority"] = 5
    yield "unknown", "refused_for_an_unknown_reason", stage.refused_pod(OPEN, odd)
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    policy = {
        "matchConstraints": {"resourceRules": rules},
        "validations": [
            {"expression": "object.metadata.name != 'golden-policy'", "message": "labs need a cost centre"}
        ],
    }
    base: Object = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "golden"}}
    stage.create(
        {**base, "kind": "ValidatingAdmissionPolicy", "spec": policy}, f"{_ADMISSION}/validatingadmissionpolicies"
    )
    binding = {"policyName": "golden", "validationActions": ["Deny"]}
    url = f"{_ADMISSION}/validatingadmissionpolicybindings"
    stage.create({**base, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding}, url)
    yield "admission-policy", "admission_policy", _soon(stage, OPEN, pod("golden-policy"), "ValidatingAdmissionPolicy")
    stage.remove(f"{url}/golden")
    stage.remove(f"{_ADMISSION}/validatingadmissionpolicies/golden")


_TAKEN = 'host "my-lab.labs.example.org" and path "/" is already defined in ingress other/lab'


def _webhooks(stage: Stage) -> Iterator[Recording]:
    stage.namespace(_HOOKED)
    answers: dict[str, webhook.Answer] = {
        "/deny": webhook.deny("labs are closed during the exam"),
        # ingress-nginx: internal/ingress/controller/controller.go, checkOverlap
        "/taken": webhook.deny(_TAKEN, 400),
        "/slow": webhook.slow(3),
        "/broken": lambda review: b"no JSON",
    }
    with webhook.serve(stage.folder, answers) as hook, webhook.serve(stage.folder, {}) as other:
        untrusted = {**hook.client_config("/deny"), "caBundle": other.client_config()["caBundle"]}
        nobody = {"url": f"https://127.0.0.1:{_closed_port()}/", "caBundle": hook.client_config()["caBundle"]}
        for cause, case, kind, config, words in (
            ("webhook-denied", "webhook_denied", "Validating", hook.client_config("/deny"), "denied the request"),
            (
                "webhook-denied",
                "webhook_denied_mutating",
                "Mutating",
                hook.client_config("/deny"),
                "denied the request",
            ),
            ("address-taken", "webhook_address_taken", "Validating", hook.client_config("/taken"), "already defined"),
            ("webhook-slow", "webhook_slow", "Validating", hook.client_config("/slow"), "failed calling"),
            ("webhook-slow", "webhook_slow_mutating", "Mutating", hook.client_config("/slow"), "failed calling"),
            ("webhook-away", "webhook_away", "Validating", nobody, "refused"),
            ("webhook-away", "webhook_away_mutating", "Mutating", nobody, "refused"),
            ("webhook-away", "webhook_untrusted", "Validating", untrusted, "x509"),
            ("webhook-away", "webhook_broken", "Validating", hook.client_config("/broken"), "failed calling"),
        ):
            url = hooked(stage, kind, config, _HOOKED)
            yield cause, case, _soon(stage, _HOOKED, pod("hooked"), words)
            stage.remove(url)
            wait_for("the webhook is forgotten", lambda: _is_free_of_hooks(stage))


def hooked(stage: Stage, kind: str, config: dict[str, str], namespace: str) -> str:
    """A webhook ("Validating" or "Mutating") that is asked of each new pod of the namespace; the address of its configuration.

    One that is to be slow is waited for a second; any other long enough for a machine that has much to do.
    """
    url = f"{_ADMISSION}/{kind.lower()}webhookconfigurations"
    seconds = 1 if config["url"].endswith("/slow") else 10
    rule = {
        "name": "rules.golden.example.org", "clientConfig": config, "sideEffects": "None", "timeoutSeconds": seconds,
        "failurePolicy": "Fail", "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    }  # fmt: skip
    kind = f"{kind}WebhookConfiguration"
    api = "admissionregistration.k8s.io/v1"
    stage.create({"apiVersion": api, "kind": kind, "metadata": {"name": "golden"}, "webhooks": [rule]}, url)
    return f"{url}/golden"


def _is_free_of_hooks(stage: Stage) -> bool:
    try:
        stage.client.apply(placed(pod("free"), _HOOKED))
    except Error:
        return False
    return stage.client.delete("Pod", "free", _HOOKED, grace_seconds=0)


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _names(stage: Stage) -> Iterator[Recording]:
    first = placed(pod("taken"), OPEN)
    stage.create(first)
    yield "name-taken", "already_exists", stage.refused(lambda: stage.create(first))
    changed = pod("taken", memory_mib=2048)
    changed["spec"]["containers"][0]["env"] = [{"name": "A", "value": "b"}]
    yield "in-the-way", "immutable", stage.refused_pod(OPEN, changed)
    config: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": OPEN},
        "data": {"a": "1"},
    }
    stage.client.apply(config, manager="another")
    other = {**config, "data": {"a": "2"}}
    yield "changed-meanwhile", "apply_conflict", stage.refused(lambda: stage.client.apply(other, force=False))
    stale = {**config, "metadata": {**config["metadata"], "resourceVersion": "1"}}
    url = path("ConfigMap", OPEN, "c")
    header = {"Content-Type": "application/json"}
    put = lambda: stage.client._json("update", "PUT", url, body=stale, headers=header)  # noqa: E731
    assert is_conflict(put)
    yield "changed-meanwhile", "stale_version", stage.refused(put)
    malformed = pod("p")
    malformed["spec"]["containers"][0]["image"] = ""
    yield "malformed", "validation", stage.refused_pod(OPEN, malformed)
    untyped = pod("p")
    untyped["spec"]["containers"] = "none"
    yield "malformed", "untyped", stage.refused_pod(OPEN, untyped)
    unknown = pod("p")
    unknown["spec"]["colour"] = "red"
    yield "malformed", "unknown_field", stage.refused_pod(OPEN, unknown)
    account = pod("p")
    account["spec"]["serviceAccountName"] = "nobody"
    yield "account-missing", "account_missing", stage.refused_pod(OPEN, account)


def _namespaces(stage: Stage) -> Iterator[Recording]:
    yield "course-missing", "namespace_missing", stage.refused_pod("golden-nowhere", pod("p"))
    stage.namespace(_ENDING, bare=True)
    held = {"name": "held", "namespace": _ENDING, "finalizers": ["example.org/golden"]}
    stage.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    stage.client.delete("Namespace", _ENDING)
    yield "course-removed", "namespace_terminating", _soon(stage, _ENDING, pod("p"), "being terminated")
    body = {"metadata": {"finalizers": None}}
    header = {"Content-Type": "application/merge-patch+json"}
    stage.client._json("patch", "PATCH", path("ConfigMap", _ENDING, "held"), body=body, headers=header)
    url = "/apis/gateway.networking.k8s.io/v1/namespaces/golden-open/httproutes"
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "r", "namespace": OPEN},
    }
    yield "kind-missing", "kind_missing", stage.refused(lambda: stage.create(route, url))
    url = "/apis/networking.k8s.io/v1/namespaces/golden-open/gateways"
    yield "kind-missing", "kind_missing_in_a_known_group", stage.refused(lambda: stage.create(route, url))


def _callers(stage: Stage) -> Iterator[Recording]:
    yield "site-unknown", "unauthorized", stage.refused(lambda: _caller(stage, "nonsense").list("Pod", OPEN))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "site", "namespace": OPEN}}
    stage.create(account)
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = stage.create(body, f"{path('ServiceAccount', OPEN, 'site')}/token")["status"]["token"]
    site = _caller(stage, token)
    yield "site-forbidden", "forbidden", stage.refused(lambda: site.apply(placed(pod("p"), OPEN)))
    yield "too-busy", "too_many_requests", _crowded(stage, site)


def _caller(stage: Stage, token: str) -> Client:
    """A client of the same server that signs in with a token."""
    config = yaml.safe_load(stage.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    if file := cluster.pop("certificate-authority", None):
        with open(file, "rb") as content:
            cluster["certificate-authority-data"] = base64.b64encode(content.read()).decode()
    named = config["contexts"][0]["context"]["user"]
    return Client.from_kubeconfig({**config, "users": [{"name": named, "user": {"token": token}}]}, retries=0)


def _crowded(stage: Stage, site: Client) -> Object:
    """The answer to somebody whose share of the server is nothing (API priority and fairness)."""
    api = "flowcontrol.apiserver.k8s.io/v1"
    limited = {
        "nominalConcurrencyShares": 0,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    level = {"type": "Limited", "limited": limited}
    meta = {"name": "golden"}
    levels, flows = f"{_FLOW}/prioritylevelconfigurations", f"{_FLOW}/flowschemas"
    stage.create({"apiVersion": api, "kind": "PriorityLevelConfiguration", "metadata": meta, "spec": level}, levels)
    subject = {"kind": "ServiceAccount", "serviceAccount": {"namespace": OPEN, "name": "site"}}
    resources = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}]
    flow = {
        "priorityLevelConfiguration": meta, "matchingPrecedence": 2,
        "rules": [{"subjects": [subject], "resourceRules": resources}],
    }  # fmt: skip
    stage.create({"apiVersion": api, "kind": "FlowSchema", "metadata": meta, "spec": flow}, flows)

    def crowded() -> Object | None:
        # One call is let through whenever none is under way: more than one at once are needed.
        with ThreadPoolExecutor(16) as threads:
            calls = [threads.submit(stage.refused, lambda: site.list("Pod", OPEN)) for _ in range(64)]
        answers = [call.result() for call in calls]
        return next((said for said in answers if said["error"]["code"] == 429), None)

    found: Object = wait_for("429", crowded)
    for url in (f"{flows}/golden", f"{levels}/golden"):
        stage.remove(url)
    return found


def _silence(stage: Stage) -> Iterator[Recording]:
    config = yaml.safe_load(stage.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{_closed_port()}"}
    user = config["contexts"][0]["context"]["user"]
    away = Client.from_kubeconfig({**config, "users": [{"name": user, "user": {"token": "t"}}]}, retries=0)
    yield "cluster-silent", "refuses_connections", stage.refused(lambda: away.list("Pod"))
