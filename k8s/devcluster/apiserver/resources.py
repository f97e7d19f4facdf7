"""The resources that this server has, and how they are called."""

from dataclasses import dataclass

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One kind of object and where it lives in the API."""

    group: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    #: Whether there is a status subresource.
    status: bool = False
    #: Whether metadata.generation counts changes of the specification.
    generation: bool = False
    categories: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def singular(self) -> str:
        """The name of one, as kubectl accepts it."""
        return self.kind.lower()


_NET, _RBAC = "networking.k8s.io", "rbac.authorization.k8s.io"
_GATEWAY = "gateway.networking.k8s.io"
RESOURCES = (
    Resource("", "namespaces", "Namespace", namespaced=False, short=("ns",), status=True),
    Resource("", "nodes", "Node", namespaced=False, short=("no",), status=True),
    Resource("", "pods", "Pod", short=("po",), status=True, generation=True, categories=("all",)),
    Resource("", "services", "Service", short=("svc",), status=True, categories=("all",)),
    Resource("", "secrets", "Secret"),
    Resource("", "configmaps", "ConfigMap", short=("cm",)),
    Resource("", "serviceaccounts", "ServiceAccount", short=("sa",)),
    Resource("", "events", "Event", short=("ev",)),
    Resource("", "endpoints", "Endpoints", short=("ep",)),
    Resource("", "persistentvolumeclaims", "PersistentVolumeClaim", short=("pvc",), status=True),
    Resource("", "persistentvolumes", "PersistentVolume", namespaced=False, short=("pv",), status=True),
    Resource("", "resourcequotas", "ResourceQuota", short=("quota",), status=True),
    Resource("", "limitranges", "LimitRange", short=("limits",)),
    Resource("coordination.k8s.io", "leases", "Lease"),
    Resource("discovery.k8s.io", "endpointslices", "EndpointSlice", generation=True),
    Resource(_NET, "ingresses", "Ingress", short=("ing",), status=True, generation=True),
    Resource(_NET, "ingressclasses", "IngressClass", namespaced=False, generation=True),
    Resource(_NET, "networkpolicies", "NetworkPolicy", short=("netpol",), generation=True),
    Resource(_GATEWAY, "gateways", "Gateway", short=("gtw",), status=True, generation=True),
    Resource(_GATEWAY, "httproutes", "HTTPRoute", status=True, generation=True),
    Resource(_RBAC, "roles", "Role"),
    Resource(_RBAC, "rolebindings", "RoleBinding"),
    Resource(_RBAC, "clusterroles", "ClusterRole", namespaced=False),
    Resource(_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Resource("storage.k8s.io", "storageclasses", "StorageClass", namespaced=False, short=("sc",)),
)
#: By group and plural, as in a path.
BY_PATH = {(one.group, one.plural): one for one in RESOURCES}
#: By plural alone: there are no two of a name.
BY_PLURAL = {one.plural: one for one in RESOURCES}
#: By apiVersion and kind, as in an object.
BY_KIND = {(one.api_version, one.kind): one for one in RESOURCES}
GROUPS = tuple(dict.fromkeys(one.group for one in RESOURCES if one.group))
