"""What is changed in or refused to an object that is otherwise valid, by the namespace that it is in."""

from typing import Any

from . import errors, limits, podsecurity
from .resources import BY_PLURAL, Resource
from .store import Store

Object = dict[str, Any]

_NAMESPACES, _ACCOUNTS, _RANGES = BY_PLURAL["namespaces"], BY_PLURAL["serviceaccounts"], BY_PLURAL["limitranges"]
#: What the API server's admission adds to every pod, so that a lost node is noticed.
_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for name in ("not-ready", "unreachable")
]


def namespace(store: Store, resource: Resource, name: str, where: str) -> None:
    """Raises ApiError when nothing can be created in this namespace: 404 without it, 403 while it is being removed."""
    found = store.get(_NAMESPACES, "", where)
    if found is None:
        raise errors.not_found("namespaces", where)
    if found.obj["metadata"].get("deletionTimestamp"):
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {where} is being terminated",
            "field": "metadata.namespace",
        }
        why = f"unable to create new content in namespace {where} because it is being terminated"
        raise errors.forbidden(resource.plural, name, why, resource.group, [cause])


def mutate(store: Store, obj: Object) -> None:
    """Fill in a new pod, in place: its service account, the defaults of its namespace. Raises ApiError 403."""
    if obj["kind"] != "Pod":
        return
    where, spec = obj["metadata"]["namespace"], obj["spec"]
    limits.fill(obj, ranges(store, where))
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    found = store.get(_ACCOUNTS, where, account)
    if found is None:
        why = f'error looking up service account {where}/{account}: serviceaccount "{account}" not found'
        raise errors.forbidden("pods", obj["metadata"]["name"], why)
    spec["serviceAccountName"] = spec["serviceAccount"] = account
    if not spec.get("imagePullSecrets") and found.obj.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(one) for one in found.obj["imagePullSecrets"]]
    given = spec.get("tolerations") or []
    keys = {(one.get("key"), one.get("effect")) for one in given}
    spec["tolerations"] = given + [dict(one) for one in _TOLERATIONS if (one["key"], one["effect"]) not in keys]


def validate(store: Store, obj: Object) -> list[str]:
    """Warnings about a new pod. Raises ApiError 403 for one that its namespace does not allow."""
    if obj["kind"] != "Pod":
        return []
    meta = obj["metadata"]
    found = store.get(_NAMESPACES, "", meta["namespace"])
    labels = (found.obj["metadata"].get("labels") or {}) if found else {}
    why = limits.violations(obj, ranges(store, meta["namespace"]))
    if why:
        raise errors.forbidden("pods", meta["name"], why)
    level, version = podsecurity.level_of(labels, "enforce")
    why = podsecurity.violations(obj["spec"], level)
    if why:
        raise errors.forbidden("pods", meta["name"], f'violates PodSecurity "{level}:{version}": {why}')
    level, version = podsecurity.level_of(labels, "warn")
    why = podsecurity.violations(obj["spec"], level)
    return [f'would violate PodSecurity "{level}:{version}": {why}'] if why else []


def ranges(store: Store, where: str) -> list[Object]:
    """The LimitRanges of a namespace."""
    return [entry.obj for entry in store.each(_RANGES, where)]
