"""The kinds of objects that the site uses, and where they live in the API."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Kind:
    """Where the objects of one kind live in the API."""

    api_version: str
    plural: str
    namespaced: bool = True


KINDS: dict[str, Kind] = {
    "ConfigMap": Kind("v1", "configmaps"),
    "Event": Kind("v1", "events"),
    "LimitRange": Kind("v1", "limitranges"),
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "Node": Kind("v1", "nodes", namespaced=False),
    "PersistentVolume": Kind("v1", "persistentvolumes", namespaced=False),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "Pod": Kind("v1", "pods"),
    "ResourceQuota": Kind("v1", "resourcequotas"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "ClusterIssuer": Kind("cert-manager.io/v1", "clusterissuers", namespaced=False),
    "Deployment": Kind("apps/v1", "deployments"),
    "Gateway": Kind("gateway.networking.k8s.io/v1", "gateways"),
    "HTTPRoute": Kind("gateway.networking.k8s.io/v1", "httproutes"),
    "Job": Kind("batch/v1", "jobs"),
    "Lease": Kind("coordination.k8s.io/v1", "leases"),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices"),
    "Ingress": Kind("networking.k8s.io/v1", "ingresses"),
    "IngressClass": Kind("networking.k8s.io/v1", "ingressclasses", namespaced=False),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "ClusterRole": Kind("rbac.authorization.k8s.io/v1", "clusterroles", namespaced=False),
    "ClusterRoleBinding": Kind("rbac.authorization.k8s.io/v1", "clusterrolebindings", namespaced=False),
    "Role": Kind("rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Kind("rbac.authorization.k8s.io/v1", "rolebindings"),
    "StorageClass": Kind("storage.k8s.io/v1", "storageclasses", namespaced=False),
}


def path(kind: str, namespace: str | None = None, name: str = "") -> str:
    """The path of an object, or of the collection when `name` is empty. Raises KeyError for a kind not in KINDS."""
    where = KINDS[kind]
    base = f"/api/{where.api_version}" if "/" not in where.api_version else f"/apis/{where.api_version}"
    if where.namespaced and name and not namespace:
        raise ValueError(f"{kind} {name}: which namespace?")
    scope = f"/namespaces/{quote(namespace, safe='')}" if where.namespaced and namespace else ""
    return f"{base}{scope}/{where.plural}" + (f"/{quote(name, safe='')}" if name else "")
