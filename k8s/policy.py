"""What a rendered service may be: the last word before anything is sent to the cluster.

Lists say what is allowed, never what is not: a field that nobody thought of is refused.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from k8s import quantities
from k8s.exposure import SECRET_TEMPLATE, secret_template
from k8s.kinds import KINDS
from k8s.labels import EXPIRES, WORKLOAD
from k8s.schema import check_schema

__all__ = ["PolicyError", "check", "check_schema"]

_TOP = {"apiVersion", "kind", "metadata"}
_FIELDS = {
    "Pod": _TOP | {"spec"},
    "Service": _TOP | {"spec"},
    "Ingress": _TOP | {"spec"},
    "HTTPRoute": _TOP | {"spec"},
    "Secret": _TOP | {"type", "data", "stringData", "immutable"},
    "ConfigMap": _TOP | {"data", "binaryData", "immutable"},
    "PersistentVolumeClaim": _TOP | {"spec"},
}
_METADATA = {"name", "namespace", "labels", "annotations"}
_POD = {
    "restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds", "serviceAccountName",
    "automountServiceAccountToken", "enableServiceLinks", "securityContext", "nodeSelector", "tolerations",
    "initContainers", "containers", "volumes", "hostname", "subdomain",
}  # fmt: skip
_CONTAINER = {
    "name", "image", "imagePullPolicy", "command", "args", "env", "workingDir", "ports", "readinessProbe",
    "livenessProbe", "startupProbe", "resources", "securityContext", "volumeMounts", "restartPolicy",
    "terminationMessagePath", "terminationMessagePolicy",
}  # fmt: skip
_POD_SECURITY = {
    "runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy", "supplementalGroups", "seccompProfile",
}  # fmt: skip
_CONTAINER_SECURITY = {
    "runAsNonRoot", "runAsUser", "runAsGroup", "allowPrivilegeEscalation", "privileged", "capabilities", "seccompProfile",
    "readOnlyRootFilesystem",
}  # fmt: skip
_SERVICE = {"type", "selector", "ports", "clusterIP", "sessionAffinity", "publishNotReadyAddresses"}
_VOLUMES = {"emptyDir", "secret", "configMap", "persistentVolumeClaim", "downwardAPI"}
_MOUNT = {"name", "mountPath", "subPath", "readOnly"}
_OUR_LABEL = re.compile(r"(mlsite|app\.kubernetes\.io)/")
#: What an ingress controller may be told: time-outs, sizes, buffers, https, certificates. Others run configuration, answer
#: for another host, send people elsewhere or read another's Secret. k8s/site/policy.yaml says the same in the cluster.
INGRESS_ANNOTATIONS = frozenset(
    f"{prefix}/{name}"
    for prefix, names in {
        "nginx.ingress.kubernetes.io": "proxy-body-size proxy-buffering proxy-buffer-size proxy-request-buffering"
        " proxy-http-version proxy-connect-timeout proxy-read-timeout proxy-send-timeout ssl-redirect force-ssl-redirect",
        "traefik.ingress.kubernetes.io": "router.entrypoints router.tls router.tls.certresolver",
        "haproxy.org": "timeout-client timeout-server timeout-tunnel ssl-redirect",
        "haproxy-ingress.github.io": "proxy-body-size timeout-client timeout-server timeout-tunnel ssl-redirect",
        "projectcontour.io": "websocket-routes response-timeout idle-timeout",
        "ingress.kubernetes.io": "force-ssl-redirect",
        "kubernetes.io": "ingress.class",
        "cert-manager.io": "cluster-issuer issuer",
    }.items()
    for name in names.split()
)
#: What a pod may ask of those who take machines out of a cluster to save them: to leave its own until it has ended.
#: https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md, https://karpenter.sh/docs/concepts/disruption/
_POD_ANNOTATIONS = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
#: Nothing that could end a directive and begin another.
_ANNOTATION_VALUE = re.compile(r"[A-Za-z0-9._/,:-]{0,200}")


def ingress_annotation_problem(key: str, value: object) -> str | None:
    """Why an Ingress may not carry this annotation, as a sentence; None: it may."""
    if key not in INGRESS_ANNOTATIONS:
        return f"the annotation {key} is not allowed"
    if not isinstance(value, str) or not _ANNOTATION_VALUE.fullmatch(value):
        return f"the value of the annotation {key} is not allowed"
    return None


class PolicyError(Exception):
    """A service asks for what it may not have. `violations`: one plain sentence each."""

    def __init__(self, violations: list[str]) -> None:
        super().__init__("; ".join(violations))
        self.violations = violations


def check(
    objects: list[dict[str, Any]],
    *,
    namespace: str,
    labels: Mapping[str, str],
    allowed_kinds: Collection[str],
    service_account: str,
    images: Collection[str],
    name: str = "",
    host: str = "",
    gateway: Mapping[str, str] | None = None,
    secrets: Collection[str] = (),
    claims: Collection[str] = (),
) -> None:
    """Raises PolicyError with every violation in what a template rendered.

    `labels`: every object must carry all of these. `name`: that of all objects, or the start of it before a hyphen.
    `images`: complete image names. `host`: of the ingress. `gateway`: the one parent that a
    route may have. `secrets`: values that may stand in a Secret only. `claims`:
    persistent volume claims that may be mounted beside those named after the workload.
    """
    checker = _Checker(
        namespace,
        name,
        labels,
        set(allowed_kinds),
        service_account,
        set(images),
        host,
        dict(gateway or {}),
        set(claims),
    )
    violations = []
    for obj in objects:
        title = f"{obj.get('kind', 'object')} {obj.get('metadata', {}).get('name', '')}".strip()
        found = list(checker.check(obj))
        if obj.get("kind") != "Secret" and _contains(obj, {secret for secret in secrets if secret}):
            found.append("a secret value stands outside of the Secret")
        violations += [f"{title}: {violation}" for violation in found]
    if violations:
        raise PolicyError(violations)


class _Checker:
    def __init__(
        self,
        namespace: str,
        name: str,
        labels: Mapping[str, str],
        kinds: set[str],
        account: str,
        images: set[str],
        host: str,
        gateway: dict[str, str],
        claims: set[str],
    ) -> None:
        self.namespace, self.name, self.labels, self.kinds = namespace, name, labels, kinds
        self.account, self.images, self.host, self.claims = account, images, host, claims
        self.gateway = gateway

    def check(self, obj: dict[str, Any]) -> Iterator[str]:
        kind = obj.get("kind", "")
        if kind not in self.kinds or kind not in _FIELDS:
            yield "this kind of object is not allowed"
            return
        if obj.get("apiVersion") != KINDS[kind].api_version:
            yield f"its API version must be {KINDS[kind].api_version}, not {obj.get('apiVersion')}"
        malformed = check_schema(obj)
        if malformed:  # The rules below rely on its form.
            yield from malformed
            return
        yield from _unknown(obj, _FIELDS[kind], "")
        yield from self._metadata(kind, obj["metadata"])
        spec = obj.get("spec") or {}
        if kind == "Pod":
            yield from self._pod(spec)
        elif kind == "Service":
            yield from self._service(spec)
        elif kind == "Ingress":
            yield from self._ingress(spec)
        elif kind == "HTTPRoute":
            yield from self._route(spec)
        elif kind == "Secret" and obj.get("type", "Opaque") != "Opaque":
            yield f"a Secret of the type {obj['type']} is not allowed"

    def _ours(self, name: object) -> bool:
        return not self.name or name == self.name or str(name).startswith(f"{self.name}-")

    def _metadata(self, kind: str, metadata: dict[str, Any]) -> Iterator[str]:
        yield from _unknown(metadata, _METADATA, "metadata.")
        if metadata.get("namespace") != self.namespace:
            yield f"its namespace must be {self.namespace}, not {metadata.get('namespace')}"
        if not self._ours(metadata.get("name")):
            yield f"its name must be {self.name}"
        carried = metadata.get("labels") or {}
        yield from (
            f"the label {key} must be {value}" for key, value in self.labels.items() if carried.get(key) != value
        )
        yield from (f"the label {key} is not allowed" for key in carried if not _OUR_LABEL.match(key))
        if kind == "Pod" and not str(carried.get(EXPIRES, "")).isdecimal():
            yield f"the label {EXPIRES} must give the end of its time"
        for key, value in (metadata.get("annotations") or {}).items():
            if kind == "Ingress" and key == SECRET_TEMPLATE:
                if value != secret_template(self.labels):
                    yield f"the annotation {key} may give the labels of the workload alone"
            elif kind in ("Ingress", "HTTPRoute"):
                if problem := ingress_annotation_problem(key, value):
                    yield problem
            elif not key.startswith("mlsite/") and (kind != "Pod" or _POD_ANNOTATIONS.get(key) != value):
                yield f"the annotation {key} is not allowed"

    def _pod(self, spec: dict[str, Any]) -> Iterator[str]:
        yield from _unknown(spec, _POD, "spec.")
        if spec.get("serviceAccountName") != self.account:
            yield f"its service account must be {self.account}, not {spec.get('serviceAccountName')}"
        if spec.get("automountServiceAccountToken") is not False:
            yield "automountServiceAccountToken must be false"
        security = spec.get("securityContext") or {}
        yield from _unknown(security, _POD_SECURITY, "spec.securityContext.")
        if security.get("runAsNonRoot") is not True:
            yield "runAsNonRoot must be true"
        yield from _identity(security, "the pod")
        if (security.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
            yield "its seccomp profile must be RuntimeDefault"
        for toleration in spec.get("tolerations") or []:
            if not toleration.get("key") or toleration["key"].startswith(("node-role.", "node.kubernetes.io/")):
                yield f"the toleration of {toleration.get('key') or 'everything'} is not allowed"
        for volume in spec.get("volumes") or []:
            yield from self._volume(volume)
        for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
            yield from (f"container {container.get('name')}: {found}" for found in self._container(container))

    def _volume(self, volume: dict[str, Any]) -> Iterator[str]:
        title = f"volume {volume.get('name')}"
        for source in set(volume) - {"name"} - _VOLUMES:
            yield f"{title}: {source} is not allowed"
        if "secret" in volume and not self._ours(volume["secret"].get("secretName")):
            yield f"{title}: the Secret {volume['secret'].get('secretName')} is not its own"
        if "configMap" in volume and not self._ours(volume["configMap"].get("name")):
            yield f"{title}: the ConfigMap {volume['configMap'].get('name')} is not its own"
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim is not None and claim not in self.claims and not self._ours(claim):
            yield f"{title}: the storage {claim} is not its own"

    def _container(self, container: dict[str, Any]) -> Iterator[str]:
        yield from _unknown(container, _CONTAINER, "")
        if container.get("image") not in self.images:
            yield f"the image {container.get('image')} is not in the list"
        yield from _limits(container)
        yield from _container_security(container.get("securityContext") or {})
        for port in container.get("ports") or []:
            yield from _unknown(port, {"name", "containerPort", "protocol"}, "ports.")
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            for action in ("httpGet", "tcpSocket"):
                if "host" in ((container.get(probe) or {}).get(action) or {}):
                    yield f"{probe}.{action}.host is not allowed"
        for mount in container.get("volumeMounts") or []:
            yield from _unknown(mount, _MOUNT, "volumeMounts.")
        for variable in container.get("env") or []:
            source = variable.get("valueFrom") or {}
            for kind in set(source) - {"fieldRef", "resourceFieldRef"}:
                yield f"the variable {variable.get('name')} must not come from {kind}"

    def _service(self, spec: dict[str, Any]) -> Iterator[str]:
        yield from _unknown(spec, _SERVICE, "spec.")
        if spec.get("type", "ClusterIP") != "ClusterIP":
            yield f"a Service of the type {spec['type']} is not allowed"
        workload = self.labels.get(WORKLOAD)
        if (spec.get("selector") or {}).get(WORKLOAD) != workload:
            yield f"its selector must contain {WORKLOAD}={workload}"
        for port in spec.get("ports") or []:
            yield from _unknown(port, {"name", "port", "targetPort", "protocol", "appProtocol"}, "ports.")

    def _ingress(self, spec: dict[str, Any]) -> Iterator[str]:
        yield from _unknown(spec, {"ingressClassName", "tls", "rules"}, "spec.")
        hosts = [rule.get("host") for rule in spec.get("rules") or []]
        hosts += [host for block in spec.get("tls") or [] for host in block.get("hosts") or [None]]
        yield from (f"its host must be {self.host}, not {host}" for host in hosts if not self.host or host != self.host)
        for rule in spec.get("rules") or []:
            for route in (rule.get("http") or {}).get("paths") or []:
                service = (route.get("backend") or {}).get("service") or {}
                if not self._ours(service.get("name")):
                    yield f"it leads to {service.get('name') or 'something that is no Service'}, which is not its own"

    def _route(self, spec: dict[str, Any]) -> Iterator[str]:
        """https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec. No filters: they rewrite, redirect and mirror."""
        yield from _unknown(spec, {"parentRefs", "hostnames", "rules"}, "spec.")
        if not self.gateway or spec.get("parentRefs") != [self.gateway]:
            yield "its one parent must be the Gateway of the cluster"
        if not self.host or spec.get("hostnames") != [self.host]:
            yield f"its host must be {self.host}, not {', '.join(map(str, spec.get('hostnames') or ['any']))}"
        for rule in spec.get("rules") or []:
            yield from _unknown(rule, {"matches", "backendRefs", "timeouts"}, "rules.")
            for match in rule.get("matches") or []:
                yield from _unknown(match, {"path"}, "matches.")
            for backend in rule.get("backendRefs") or []:
                # A namespace would lead out of ours, a kind to something that is no Service.
                yield from _unknown(backend, {"name", "port"}, "backendRefs.")
                if not self._ours(backend.get("name")):
                    yield f"it leads to {backend.get('name')}, which is not its own"


def _unknown(part: Mapping[str, Any], allowed: set[str], where: str) -> Iterator[str]:
    yield from (f"{where}{key} is not allowed" for key in part if key not in allowed)


def _identity(security: Mapping[str, Any], title: str) -> Iterator[str]:
    if security.get("runAsUser") == 0:
        yield f"{title} must not run as root"


def _container_security(security: dict[str, Any]) -> Iterator[str]:
    yield from _unknown(security, _CONTAINER_SECURITY, "securityContext.")
    if security.get("privileged"):
        yield "privileged is not allowed"
    if security.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    if security.get("runAsNonRoot") is False:
        yield "runAsNonRoot must be true"
    yield from _identity(security, "it")
    capabilities = security.get("capabilities") or {}
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "it must drop all capabilities and add none"
    if (security.get("seccompProfile") or {}).get("type", "RuntimeDefault") != "RuntimeDefault":
        yield "its seccomp profile must be RuntimeDefault"


def _limits(container: dict[str, Any]) -> Iterator[str]:
    limits = (container.get("resources") or {}).get("limits") or {}
    for resource, parse in (("cpu", quantities.cpu_millis), ("memory", quantities.memory_bytes)):
        try:
            if parse(limits[resource]) > 0:
                continue
        except (KeyError, ValueError):
            pass
        yield f"it has no limit of {resource}"


def _contains(obj: Any, secrets: set[str]) -> bool:
    """Whether one of them stands in a key or a value. JSON writes each sign apart: what stands in a string stands in its text."""
    text = json.dumps(obj)
    return any(json.dumps(secret)[1:-1] in text for secret in secrets)
