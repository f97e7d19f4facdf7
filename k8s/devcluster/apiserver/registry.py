"""Create, update and delete of objects with all that the API server adds, checks and refuses; used by HTTP and controllers.

Nothing here waits, so that each change is made at once: two creates can never both take the last of a quota.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from . import admission, apply, defaults, errors, schema, validation
from .apply import Manager
from .meta import copy, generated, later, new_uid, now
from .quota import Quotas
from .resources import BY_KIND, BY_PLURAL, Resource
from .store import Entry, Store

Object = dict[str, Any]

_PODS = BY_PLURAL["pods"]
#: Fields of metadata that only the server sets.
_SERVERS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


@dataclass
class Request:
    """Who asks, and how."""

    manager: str = "devcluster"
    dry_run: bool = False
    #: "Strict", "Warn" or "Ignore": what to do about unknown fields.
    field_validation: str = "Warn"
    #: "", "status" or "binding": what part of the object is written.
    subresource: str = ""
    warnings: list[str] = field(default_factory=list)

    def owner(self, resource: Resource, operation: str = "Update") -> Manager:
        """As an owner of fields."""
        return Manager(self.manager, operation, resource.api_version, self.subresource)


@dataclass
class DeleteOptions:
    """How to delete."""

    grace: int | None = None
    propagation: str = ""
    uid: str = ""
    version: str = ""


class Registry:
    """All writes to the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.quotas = Quotas(store)

    def get(self, resource: Resource, namespace: str, name: str) -> Entry:
        """One object. Raises ApiError 404."""
        found = self.store.get(resource, namespace, name)
        if found is None:
            raise errors.not_found(resource.plural, name, resource.group)
        return found

    def take(self, resource: Resource, obj: Any, namespace: str, name: str, request: Request) -> Object:
        """A body as an object of the resource, in the namespace of the path. Raises ApiError 400."""
        if not isinstance(obj, dict):
            raise errors.bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
        version, kind = obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind
        if (version, kind) != (resource.api_version, resource.kind):
            short = f"{version.rpartition('/')[2]}.{kind}"
            why = f"converting ({short}) to ({resource.group or 'core'}.{resource.kind}): unknown conversion"
            if (version, kind) not in BY_KIND:
                why = f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"'
            raise errors.bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {why}')
        checked = schema.check(obj, resource.kind, resource.api_version)
        taken = {"apiVersion": resource.api_version, "kind": resource.kind, **checked.obj}
        if checked.unknown and request.field_validation == "Strict":
            unknown = ", ".join(f'unknown field "{path}"' for path in checked.unknown)
            group = resource.api_version.rpartition("/")[2]
            raise errors.bad_request(
                f'{kind} in version "{group}" cannot be handled as a {kind}: strict decoding error: {unknown}'
            )
        if checked.unknown and request.field_validation == "Warn":
            request.warnings += [f'unknown field "{path}"' for path in checked.unknown]
        meta = taken["metadata"] = _without_empty(taken.get("metadata") or {})
        if resource.namespaced:
            if meta.get("namespace") and meta["namespace"] != namespace:
                raise errors.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)
        if name and meta.get("name") and meta["name"] != name:
            raise errors.bad_request(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
            )
        return taken

    def create(self, resource: Resource, body: Any, namespace: str, request: Request) -> Entry:
        """A new object. Raises ApiError."""
        obj = self.take(resource, body, namespace, "", request)
        meta = obj["metadata"]
        if not meta.get("name"):
            if not meta.get("generateName"):
                text = "name or generateName is required"
                raise errors.invalid(resource.kind, "", [errors.required("metadata.name", text)], resource.group)
            meta["name"] = generated(meta["generateName"])
        if meta.get("resourceVersion"):
            raise errors.ApiError(500, "", "resourceVersion should not be set on objects to be created")
        return self._create(resource, obj, request)

    def _create(self, resource: Resource, obj: Object, request: Request, owners: apply.Owners | None = None) -> Entry:
        meta = obj["metadata"]
        if resource.namespaced:
            admission.namespace(self.store, resource, meta["name"], meta["namespace"])
        for key in (*_SERVERS, "resourceVersion", "managedFields"):
            meta.pop(key, None)
        meta["uid"], meta["creationTimestamp"] = new_uid(), now()
        if resource.status:
            obj.pop("status", None)
        if resource.generation:
            meta["generation"] = 1
        defaults.apply_defaults(obj)
        admission.mutate(self.store, obj)
        if resource.kind == "Pod":
            defaults.apply_defaults(obj)
            obj["status"] = {"phase": "Pending", "qosClass": defaults.qos_class(obj["spec"])}
        if resource.kind == "Node":
            obj.setdefault("spec", {}).setdefault("taints", [])
        validation.check(resource, obj)
        if resource.kind == "Service":
            defaults.service_address(obj)
        request.warnings += admission.validate(self.store, obj)
        self.quotas.check(resource, obj)
        if self.store.get(resource, meta.get("namespace", ""), meta["name"]):
            raise errors.already_exists(resource.plural, meta["name"], resource.group)
        found = schema.type_of(resource.api_version, resource.kind)
        if owners is None:
            apply.record_update(None, obj, found, request.owner(resource))
        else:
            apply.finish_apply(None, obj, owners, found)
        return self._commit(resource, obj, request)

    def apply_create(self, resource: Resource, obj: Object, request: Request, owners: apply.Owners) -> Entry:
        """A new object by server-side apply; its owners are given. Raises ApiError."""
        return self._create(resource, obj, request, owners)

    def _commit(self, resource: Resource, obj: Object, request: Request) -> Entry:
        if not request.dry_run:
            return self.store.put(resource, obj)
        obj["metadata"].setdefault("resourceVersion", "")
        return Entry(obj, 0, b"")

    def update(self, resource: Resource, body: Any, namespace: str, name: str, request: Request) -> Entry:
        """A new state of an object, or of its status. Raises ApiError."""
        before = self.get(resource, namespace, name)
        obj = self.take(resource, body, namespace, name, request)
        self.require_version(resource, before, obj["metadata"])
        return self.replace(resource, before, obj, request)

    def require_version(self, resource: Resource, before: Entry, meta: Object) -> None:
        """Raises ApiError 409 when a write names a uid or version that is not the current one."""
        name = before.obj["metadata"]["name"]
        if meta.get("uid") and meta["uid"] != before.obj["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {before.obj['metadata']['uid']}"
            raise errors.conflict(resource.plural, name, resource.group, why)
        version = meta.get("resourceVersion")
        if version and version != before.obj["metadata"]["resourceVersion"]:
            raise errors.conflict(resource.plural, name, resource.group)

    def replace(
        self, resource: Resource, before: Entry, obj: Object, request: Request, owners: apply.Owners | None = None
    ) -> Entry:
        """`before` becomes `obj` as far as the subresource allows; nothing is written when nothing changes."""
        old = before.obj
        obj = self._prepare_update(resource, old, obj, request)
        if request.subresource != "status":
            validation.check(resource, obj, old)
            self.quotas.check(resource, obj, old)
        found = schema.type_of(resource.api_version, resource.kind)
        if owners is None:
            apply.record_update(old, obj, found, request.owner(resource))
        else:
            apply.finish_apply(old, obj, owners, found)
        if obj == old:
            return before
        meta = obj["metadata"]
        if meta.get("deletionTimestamp") and self._nothing_holds(resource, obj) and not request.dry_run:
            return self.store.remove(resource, obj)
        return self._commit(resource, obj, request)

    def _prepare_update(self, resource: Resource, old: Object, obj: Object, request: Request) -> Object:
        """The new state with what may not be changed here taken from the old one."""
        obj = dict(obj)
        meta, was = dict(obj["metadata"]), old["metadata"]
        if request.subresource == "status":
            # Labels and annotations can be written this way too; a pod's owners cannot.
            obj = {**old, **({"status": obj["status"]} if "status" in obj else {})}
            if resource.kind == "Pod":
                meta["ownerReferences"] = was.get("ownerReferences")
        elif resource.status:
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]
        for key in ("name", "namespace", "resourceVersion", *_SERVERS):
            meta.pop(key, None)
            if key in was:
                meta[key] = was[key]
        if was.get("deletionTimestamp") and set(meta.get("finalizers") or []) - set(was.get("finalizers") or []):
            fresh = sorted(set(meta["finalizers"]) - set(was.get("finalizers") or []))
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers {fresh}"
            raise errors.invalid(
                resource.kind, was["name"], [errors.prohibited("metadata.finalizers", text)], resource.group
            )
        obj["metadata"] = _without_empty(meta)
        if request.subresource != "status":
            for key in (
                ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy") if resource.kind == "Service" else ()
            ):
                if key in old["spec"]:
                    obj["spec"] = {key: old["spec"][key], **(obj.get("spec") or {})}
            obj = copy(obj)
            defaults.apply_defaults(obj)
            if resource.generation and obj.get("spec") != old.get("spec"):
                obj["metadata"]["generation"] = was.get("generation", 0) + 1
        return obj

    @staticmethod
    def _nothing_holds(resource: Resource, obj: Object) -> bool:
        if obj["metadata"].get("finalizers"):
            return False
        if resource.kind == "Namespace":
            return not obj["spec"].get("finalizers")
        return resource.kind != "Pod" or obj["metadata"].get("deletionGracePeriodSeconds") == 0

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions, request: Request
    ) -> tuple[Entry, bool]:
        """(last state, whether it is gone already). A bound pod is only marked; its kubelet ends it. Raises ApiError."""
        before = self.get(resource, namespace, name)
        obj = before.obj
        self._require(resource, obj["metadata"], options)
        if resource.kind == "Namespace" and name in ("default", "kube-system", "kube-public"):
            raise errors.forbidden(resource.plural, name, "this namespace may not be deleted")
        obj = copy(obj)
        _hold(obj["metadata"], options.propagation)
        grace = _grace(obj, options.grace) if resource.kind == "Pod" else 0
        self._mark(resource, obj, grace)
        if self._nothing_holds(resource, obj):
            return (Entry(obj, 0, b"") if request.dry_run else self.store.remove(resource, obj)), True
        if obj == before.obj or request.dry_run:
            return before, False
        return self.store.put(resource, obj), False

    def evict(self, namespace: str, name: str, options: DeleteOptions, request: Request) -> None:
        """Delete a pod and say on it why. There are no PodDisruptionBudgets here that could refuse it. Raises ApiError."""
        before = self.get(_PODS, namespace, name)
        self._require(_PODS, before.obj["metadata"], options)
        if not request.dry_run:
            obj = copy(before.obj)
            others = [one for one in obj["status"].get("conditions") or [] if one["type"] != "DisruptionTarget"]
            evicted = {
                "type": "DisruptionTarget", "status": "True", "lastProbeTime": None, "lastTransitionTime": now(),
                "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
            }  # fmt: skip
            obj["status"]["conditions"] = [*others, evicted]
            found = schema.type_of("v1", "Pod")
            apply.record_update(before.obj, obj, found, replace(request, subresource="status").owner(_PODS))
            self._commit(_PODS, obj, request)
        # The version is another one by now.
        self.delete(_PODS, namespace, name, replace(options, version=""), request)

    @staticmethod
    def _require(resource: Resource, meta: Object, options: DeleteOptions) -> None:
        """Raises ApiError when the object is not the one that is meant."""
        if options.uid and options.uid != meta["uid"]:
            raise errors.conflict(resource.kind, meta["name"], resource.group, _uid_text(options.uid, meta["uid"]))
        if options.version and options.version != meta["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({options.version}) does not match the ResourceVersion in record "
                f"({meta['resourceVersion']}). The object might have been modified"
            )
            raise errors.conflict(resource.kind, meta["name"], resource.group, why)

    @staticmethod
    def _mark(resource: Resource, obj: Object, grace: int) -> None:
        meta = obj["metadata"]
        known = meta.get("deletionGracePeriodSeconds")
        if not meta.get("deletionTimestamp") or (known is not None and grace < known):
            meta["deletionTimestamp"] = later(grace)
            if resource.kind != "Namespace":
                meta["deletionGracePeriodSeconds"] = grace
            if "generation" in meta and known is None:
                meta["generation"] += 1
        if resource.kind == "Namespace":
            obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}

    def force_remove(self, resource: Resource, obj: Object) -> None:
        """Remove an object that nothing holds any more."""
        self.store.remove(resource, obj)

    def bind(self, namespace: str, name: str, node: str, request: Request) -> None:
        """Give a pod its node. Raises ApiError 404, 409 when it has one."""
        before = self.get(_PODS, namespace, name)
        if before.obj["metadata"].get("deletionTimestamp"):
            raise errors.conflict(
                "pods/binding", name, "", f"pod {name} is being deleted, cannot be assigned to a host"
            )
        if before.obj["spec"].get("nodeName"):
            why = f'pod {name} is already assigned to node "{before.obj["spec"]["nodeName"]}"'
            raise errors.conflict("pods/binding", name, "", why)
        obj = copy(before.obj)
        obj["spec"]["nodeName"] = node
        conditions = [one for one in obj["status"].get("conditions") or [] if one["type"] != "PodScheduled"]
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now()}
        obj["status"]["conditions"] = [*conditions, scheduled]
        found = schema.type_of("v1", "Pod")
        apply.record_update(before.obj, obj, found, replace(request, subresource="binding").owner(_PODS))
        self._commit(_PODS, obj, request)


def _without_empty(meta: Object) -> Object:
    """Metadata as a Go server writes it: no empty lists and maps."""
    empty = [key for key in ("labels", "annotations", "finalizers", "ownerReferences") if key in meta and not meta[key]]
    return {key: value for key, value in meta.items() if key not in empty}


def _uid_text(wanted: str, found: str) -> str:
    return (
        f"the UID in the precondition ({wanted}) does not match the UID in record ({found}). The object might have been "
        "deleted and then recreated"
    )


def _hold(meta: Object, propagation: str) -> None:
    """The finalizers by which the garbage collector does its work first."""
    names = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}
    finalizers = [one for one in meta.get("finalizers") or [] if one not in names.values() or not propagation]
    if propagation in names:
        finalizers.append(names[propagation])
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)


def _grace(obj: Object, asked: int | None) -> int:
    """Seconds that a pod has to end; none when it has no node, or has ended."""
    spec = obj["spec"]
    if not spec.get("nodeName") or obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    own = int(spec.get("terminationGracePeriodSeconds", 30))
    # One that is negative counts as 1.
    return (own if own >= 0 else 1) if asked is None else max(asked, 0)
