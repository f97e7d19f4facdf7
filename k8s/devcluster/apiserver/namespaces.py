"""Namespaces: the first ones, what every one has, and the removal of all that is in one."""

import contextlib
from typing import Any

from .errors import ApiError
from .meta import copy
from .registry import DeleteOptions, Registry, Request
from .resources import BY_PLURAL, RESOURCES, Resource
from .store import Change

Object = dict[str, Any]

_NAMESPACES = BY_PLURAL["namespaces"]
_ROOT = "kube-root-ca.crt"
_ROOT_TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)
_REQUEST = Request(manager="namespace-controller")
_FIRST = ("default", "kube-node-lease", "kube-public", "kube-system")


class Namespaces:
    """Keeps namespaces as they should be."""

    def __init__(self, registry: Registry, authority: str) -> None:
        #: What every namespace has, as the controllers of a real cluster see to it.
        self._furniture = {
            (BY_PLURAL["serviceaccounts"], "default"): {"metadata": {"name": "default"}},
            (BY_PLURAL["configmaps"], _ROOT): {
                "metadata": {"name": _ROOT, "annotations": {"kubernetes.io/description": _ROOT_TEXT}},
                "data": {"ca.crt": authority},
            },
        }
        self._registry, self._store = registry, registry.store
        self._waiting: set[str] = {entry.obj["metadata"]["name"] for entry in self._store.each(_NAMESPACES)}

    def first(self) -> None:
        """Make the namespaces that every cluster has."""
        for name in _FIRST:
            with contextlib.suppress(ApiError):
                self._registry.create(_NAMESPACES, {"metadata": {"name": name}}, "", _REQUEST)

    def changed(self, resource: Resource, change: Change) -> None:
        """Remember which namespaces to look at."""
        if resource is _NAMESPACES and change.type != "DELETED":
            self._waiting.add(change.entry.obj["metadata"]["name"])
            self._furnish(change.entry.obj)
        elif change.type == "DELETED":
            namespace = change.entry.obj["metadata"].get("namespace")
            if namespace:
                self._waiting.add(namespace)

    def _furnish(self, namespace: Object) -> None:
        """The default account is there as soon as the namespace is: a pod may be created in the next call."""
        name = namespace["metadata"]["name"]
        if namespace["metadata"].get("deletionTimestamp"):
            return
        for (resource, what), obj in self._furniture.items():
            if self._store.get(resource, name, what) is None:
                with contextlib.suppress(ApiError):
                    self._registry.create(resource, copy(obj), name, _REQUEST)

    def step(self) -> None:
        """Do what there is to do."""
        names, self._waiting = self._waiting, set()
        for name in names:
            found = self._store.get(_NAMESPACES, "", name)
            if found is None:
                continue
            self._furnish(found.obj)
            if found.obj["metadata"].get("deletionTimestamp"):
                self._empty(name)

    def _empty(self, name: str) -> None:
        left = 0
        for resource in RESOURCES:
            for entry in list(self._store.each(resource, name)) if resource.namespaced else []:
                meta = entry.obj["metadata"]
                if not meta.get("deletionTimestamp"):
                    with contextlib.suppress(ApiError):
                        self._registry.delete(
                            resource, name, meta["name"], DeleteOptions(propagation="Background"), _REQUEST
                        )
                left += self._store.get(resource, name, meta["name"]) is not None
        found = self._store.get(_NAMESPACES, "", name)
        if found is None or left:
            return
        obj = copy(found.obj)
        obj["spec"]["finalizers"] = []
        if not obj["metadata"].get("finalizers"):
            self._store.remove(_NAMESPACES, obj)
