"""Pure: what stands in an instance's namespace before the first workload."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Any

from k8s import registry
from k8s.labels import INSTANCE, MANAGED_BY, MANAGER, SITE, WORKLOAD
from k8s.resources import RESOURCES

#: Networks that are never "the internet": private (RFC 1918), shared (RFC 6598), link-local with the clouds' metadata
#: service (RFC 3927), loopback, translators to IPv4 (RFC 6052, 8215), and what else IANA's special-purpose registry keeps
#: from global routing that something may answer on.
PRIVATE_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "168.63.129.16/32",  # looks public: Azure's wire server, which gives each of its machines what configures it
    "172.16.0.0/12",
    "192.0.0.0/24",  # with the metadata of Oracle's older cloud
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
]
PRIVATE_V6 = [
    "::/96",  # loopback, and addresses of IPv4 as they were written in IPv6 once
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2001::/32",  # Teredo, which carries IPv4 as the next does
    "2002::/16",  # 6to4: 2002:0a00:0001:: is 10.0.0.1 to a router that still knows it
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",  # private before fc00::/7, and still routed on some sites
    "ff00::/8",
]
LAB_ACCOUNT, SPARK_ACCOUNT = "lab", "spark"
SPARK_VERBS = ("get", "watch", "list", "create", "delete")
_RBAC = "rbac.authorization.k8s.io/v1"
#: One service may have several pods, and how many run at once is the site's to say: a quota knows pods only. So many for each of them
#: stop what makes pods without end, and nothing else.
PODS_PER_SERVICE = 100


def instance_objects(
    *,
    name: str,
    namespace: str,
    site: str,
    quota: dict[str, int | None],
    ingress_namespace_labels: dict[str, str],
    lab_uses_internet: bool = True,
    lab_port: int = 8888,
    disk_gib: int = 16,
    has_spark: bool = False,
    registry_login: str = "",
    forbidden_networks: Iterable[str] = (),
    ingress_networks: Iterable[str] = (),
    name_servers: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """The namespace and its rules, in the order in which they must be applied.

    `quota`: amounts by the keys of `k8s.resources`; None is not limited. `ingress_namespace_labels`: of the
    namespace in which the ingress controller runs. `lab_uses_internet`: whether labs may reach public addresses.
    `disk_gib`: what one pod may write to its machine's disk; together as much as all the pods that there may be.
    `has_spark`: whether Spark jobs run here, whose driver makes its executors itself. `registry_login`: from
    `k8s.registry.read`; by it the cluster fetches images. `forbidden_networks`: what labs do not reach though it is
    public, such as the API server. `ingress_networks`: from where requests reach labs too. `name_servers`: addresses or networks
    that labs ask for names beside the cluster's own DNS.
    """
    labels = {MANAGED_BY: MANAGER, SITE: site, INSTANCE: name}
    objects = [
        _namespace(namespace),
        *([registry.secret(registry_login)] if registry_login else []),
        _account(LAB_ACCOUNT, registry.SECRET if registry_login else ""),
        *(_spark(namespace, registry.SECRET if registry_login else "") if has_spark else []),
        _quota(quota, disk_gib),
        _limit_range(disk_gib),
        *_policies(
            _to_dns(name_servers),
            _from_ingress(ingress_namespace_labels, ingress_networks, lab_port),
            # Applied even when labs get none, so that taking the right away takes effect.
            _internet(forbidden_networks) if lab_uses_internet else [],
        ),
    ]
    return [_placed(obj, namespace, labels) for obj in objects]


def _placed(obj: dict[str, Any], namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    """`obj` in the namespace and with the labels that all these objects carry."""
    metadata = {**obj["metadata"], "labels": {**labels, **obj["metadata"].get("labels", {})}}
    if obj["kind"] != "Namespace":
        metadata["namespace"] = namespace
    return {**obj, "metadata": metadata}


def _policies(dns: dict[str, Any], ingress: dict[str, Any], internet: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The network policies: nothing passes, except what these three let through."""
    yield _policy("deny-all", {"policyTypes": ["Ingress", "Egress"]})
    yield _policy("allow-dns", {"policyTypes": ["Egress"], "egress": [dns]})
    yield _policy("allow-ingress", ingress)
    yield _policy("allow-internet", {"policyTypes": ["Egress"], "egress": internet})


def _to_dns(name_servers: Iterable[str]) -> dict[str, Any]:
    """The cluster's name service. One that uses the machines' own network, as NodeLocal DNSCache, is no pod to a policy:
    https://github.com/kubernetes/kubernetes/tree/master/cluster/addons/dns/nodelocaldns#network-policy-and-dns-connectivity
    """
    pods = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    return {
        "to": [pods, *_blocks(name_servers)],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }


def _blocks(networks: Iterable[str]) -> list[dict[str, Any]]:
    return [{"ipBlock": {"cidr": network}} for version in (4, 6) for network in _of_version(version, networks)]


def _internet(forbidden: Iterable[str]) -> list[dict[str, Any]]:
    """All public addresses but these. A policy can only allow: what is to be left out must be left out here."""
    blocks = [
        {"ipBlock": {"cidr": every, "except": [*private, *_of_version(version, forbidden)]}}
        for every, private, version in (("0.0.0.0/0", PRIVATE_V4, 4), ("::/0", PRIVATE_V6, 6))
    ]
    return [{"to": blocks}]


def _of_version(version: int, networks: Iterable[str]) -> list[str]:
    found = {ip_network(text) for text in networks}
    return [str(one) for one in sorted((one for one in found if one.version == version), key=str)]


def _namespace(name: str) -> dict[str, Any]:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    # Said, so that an older version that somebody has set is taken back: v1.0 of "restricted" restricts hardly anything.
    levels["pod-security.kubernetes.io/enforce-version"] = "latest"
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": levels}}


def _account(name: str, pull_secret: str) -> dict[str, Any]:
    """The API server gives the names of these Secrets to each pod of the account; a process in the pod sees nothing of them."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name},
        "automountServiceAccountToken": False,
        **({"imagePullSecrets": [{"name": pull_secret}]} if pull_secret else {}),
    }


def _spark(namespace: str, pull_secret: str) -> list[dict[str, Any]]:
    """The account of Spark's drivers and what it may do, which is what making executors takes, in this namespace.

    Its token is mounted into the pod that asks for it, a driver, and into no other.
    """
    rule = {"apiGroups": [""], "resources": ["pods", "services", "configmaps"], "verbs": list(SPARK_VERBS)}
    role = {"apiVersion": _RBAC, "kind": "Role", "metadata": {"name": SPARK_ACCOUNT}, "rules": [rule]}
    binding = {
        "apiVersion": _RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": SPARK_ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": SPARK_ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": SPARK_ACCOUNT, "namespace": namespace}],
    }
    return [_account(SPARK_ACCOUNT, pull_secret), role, binding]


def _quota(limits: dict[str, int | None], disk_gib: int) -> dict[str, Any]:
    """Requests are what is counted: limits of CPU go beyond them on purpose. Nothing may be exposed past the ingress."""
    hard = {
        name: f"{limit}{resource.suffix}"
        for resource in RESOURCES
        if (limit := limits.get(resource.key)) is not None
        for name in resource.quota
    }
    if (running := limits.get("running")) is not None:
        pods = running * PODS_PER_SERVICE
        # Of all there are, those included that have ended and not yet gone: of these, no heap is made either.
        hard |= {"count/pods": str(pods), "limits.ephemeral-storage": f"{pods * disk_gib}Gi"}
    hard |= {"services.nodeports": "0", "services.loadbalancers": "0"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "instance"}, "spec": {"hard": hard}}


def _limit_range(disk_gib: int) -> dict[str, Any]:
    """What a container gets that says nothing, so that the quota never refuses it for that, and it cannot fill a disk."""
    small = {"cpu": "100m", "memory": "128Mi"}
    limit = {
        "type": "Container",
        "default": {**small, "ephemeral-storage": f"{disk_gib}Gi"},
        "defaultRequest": {**small, "ephemeral-storage": "1Gi"},
    }
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "instance"}, "spec": {"limits": [limit]}}


def _policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {}, **spec},
    }


def _from_ingress(namespace_labels: dict[str, str], networks: Iterable[str], port: int) -> dict[str, Any]:
    """Pods on the machines' own network are no pods to a policy: their requests come from these networks."""
    return {
        "podSelector": {"matchExpressions": [{"key": WORKLOAD, "operator": "Exists"}]},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": {"matchLabels": namespace_labels}}, *_blocks(networks)],
                "ports": [{"protocol": "TCP", "port": port}],
            }
        ],
    }
