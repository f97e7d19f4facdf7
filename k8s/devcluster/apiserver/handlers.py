"""The verbs of the API over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
from aiohttp import web

from . import apply, errors, listing, logs, patches, schema
from .faults import Faults
from .meta import copy
from .registry import DeleteOptions, Registry, Request
from .resources import Resource
from .store import Entry
from .target import Target, body_of, flag, manager_of, number, verb_of
from .watching import Watch

Object = dict[str, Any]
#: What a delete answers with: for these the object, for others a Status.
_RETURNED = (
    "Pod",
    "Namespace",
    "Service",
    "ServiceAccount",
    "ResourceQuota",
    "PersistentVolumeClaim",
    "PersistentVolume",
)


class Handlers:
    """Answers requests for objects."""

    def __init__(
        self, registry: Registry, faults: Faults, session: aiohttp.ClientSession, closing: asyncio.Event
    ) -> None:
        self._registry, self._faults, self._session, self._closing = registry, faults, session, closing
        self._verbs: dict[str, Callable[[web.Request, Target], Awaitable[web.StreamResponse]]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "apply": self._apply,
            "delete": self._delete,
            "deletecollection": self._delete_many,
            "log": self._log,
        }

    async def handle(self, request: web.Request, target: Target) -> web.StreamResponse:
        """The answer. Raises ApiError."""
        verb = verb_of(request, target)
        if request.method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            raise errors.ApiError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        self._faults.count(verb, target.resource.kind, request)
        return await self._verbs[verb](request, target)

    def _request(self, request: web.Request, target: Target) -> Request:
        dry = request.query.get("dryRun", "")
        if dry not in ("", "All"):
            raise errors.bad_request(
                f'Invalid value: "{dry}": dryRun: Unsupported value: "{dry}": supported values: "All"'
            )
        validation = request.query.get("fieldValidation", "") or "Warn"
        return Request(manager_of(request), dry == "All", validation, target.subresource)

    async def _get(self, request: web.Request, target: Target) -> web.StreamResponse:
        entry = self._registry.get(target.resource, target.namespace, target.name)
        return listing.one(request, target.resource, entry)

    async def _list(self, request: web.Request, target: Target) -> web.StreamResponse:
        return listing.many(request, target, self._registry.store)

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        return await Watch(request, target, self._registry.store).run(self._faults, self._closing)

    async def _log(self, request: web.Request, target: Target) -> web.StreamResponse:
        return await logs.stream(request, target, self._registry, self._session)

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = await body_of(request, target.resource.kind)
        asked = self._request(request, target)
        if target.subresource == "binding" or (isinstance(body, dict) and body.get("kind") == "Binding"):
            node = ((body or {}).get("target") or {}).get("name", "")
            self._registry.bind(target.namespace, target.name or body["metadata"]["name"], node, asked)
            return listing.answer(
                {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
            )
        if target.subresource == "eviction":
            self._registry.evict(target.namespace, target.name, *_eviction(request, target, body, asked))
            return listing.answer(
                {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
            )
        if target.name:
            raise errors.ApiError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
            )
        namespace = _namespace(target)
        entry = self._registry.create(target.resource, body, namespace, asked)
        return listing.one(request, target.resource, entry, 201, asked.warnings)

    async def _update(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = await body_of(request, target.resource.kind)
        asked = self._request(request, target)
        known = self._registry.store.get(target.resource, target.namespace, target.name)
        if known is None and target.resource.kind in ("Lease", "Event"):  # kinds that may be created by an update
            entry = self._registry.create(target.resource, body, target.namespace, asked)
            return listing.one(request, target.resource, entry, 201, asked.warnings)
        entry = self._registry.update(target.resource, body, target.namespace, target.name, asked)
        return listing.one(request, target.resource, entry, 200, asked.warnings)

    async def _patch(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = await body_of(request, target.resource.kind)
        asked, resource = self._request(request, target), target.resource
        before = self._registry.get(resource, target.namespace, target.name)
        current = {"apiVersion": resource.api_version, "kind": resource.kind, **copy(before.obj)}
        if request.content_type == patches.JSON:
            patched = patches.json_patch(current, body)
        elif request.content_type == patches.MERGE:
            patched = patches.merge(current, body)
        elif request.content_type == patches.STRATEGIC:
            patched = patches.strategic(current, body, schema.type_of(resource.api_version, resource.kind))
        else:
            accepted = ", ".join([patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY[0]])
            text = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
            raise errors.ApiError(415, "UnsupportedMediaType", text)
        obj = self._registry.take(resource, patched, target.namespace, target.name, asked)
        uid = obj["metadata"].get("uid")
        if uid != before.obj["metadata"]["uid"]:
            cause = errors.wrong("metadata.uid", uid, "field is immutable")
            raise errors.invalid(resource.kind, target.name, [cause], resource.group)
        self._registry.require_version(resource, before, obj["metadata"])
        entry = self._registry.replace(resource, before, obj, asked)
        return listing.one(request, resource, entry, 200, asked.warnings)

    async def _apply(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = await body_of(request, target.resource.kind)
        asked = self._request(request, target)
        _require_manager(request)
        resource, namespace = target.resource, target.namespace
        before = self._registry.store.get(resource, namespace, target.name)
        entry = self._applied(target, body, before, asked, force=flag(request, "force"))
        return listing.one(request, resource, entry, 200 if before else 201, asked.warnings)

    def _applied(self, target: Target, body: Any, before: Entry | None, asked: Request, *, force: bool) -> Entry:
        resource, namespace = target.resource, target.namespace
        if (
            not isinstance(body, dict)
            or body.get("kind") != resource.kind
            or body.get("apiVersion") != resource.api_version
        ):
            group, _, version = (
                str((body or {}).get("apiVersion", "")).rpartition("/") if isinstance(body, dict) else ("", "", "")
            )
            kind = body.get("kind") if isinstance(body, dict) else ""
            raise errors.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
        meta = body.setdefault("metadata", {})
        if meta.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        schema.typed_patch(body, resource.kind, resource.api_version, f"{meta.get('namespace', '')}/{target.name}")
        obj = self._registry.take(resource, body, namespace, target.name, asked)
        obj["metadata"]["name"] = target.name
        if resource.status and target.subresource != "status":
            obj.pop("status", None)
        if before is None and asked.subresource:
            raise errors.not_found(resource.plural, target.name, resource.group)
        if before is not None:
            self._registry.require_version(resource, before, obj["metadata"])
        elif uid := obj["metadata"].pop("uid", None):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise errors.conflict(resource.plural, target.name, resource.group, why)
        found = schema.type_of(resource.api_version, resource.kind)
        manager = asked.owner(resource, "Apply")
        live = before.obj if before else None
        merged, owners = apply.apply(live, obj, found, manager, force=force)
        if before is None:
            merged = {"apiVersion": resource.api_version, "kind": resource.kind, **merged}
            return self._registry.apply_create(resource, merged, asked, owners)
        return self._registry.replace(resource, before, merged, asked, owners)

    async def _delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = _delete_options(request, await body_of(request, "DeleteOptions"))
        asked = self._request(request, target)
        entry, gone = self._registry.delete(target.resource, target.namespace, target.name, options, asked)
        if not gone or target.resource.kind in _RETURNED:
            return listing.one(request, target.resource, entry)
        return listing.answer(_deleted(target.resource, entry.obj))

    async def _delete_many(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = _delete_options(request, await body_of(request, "DeleteOptions"))
        asked, resource = self._request(request, target), target.resource
        match = listing.selection(request, target)
        store = self._registry.store
        chosen = [entry for entry in store.each(resource, target.namespace) if match is None or match(entry.obj)]
        for entry in chosen:
            meta = entry.obj["metadata"]
            if store.get(resource, meta.get("namespace", ""), meta["name"]):
                self._registry.delete(resource, meta.get("namespace", ""), meta["name"], options, asked)
        return listing.raw(listing.list_body(resource, {"resourceVersion": str(store.version)}, chosen))


def _namespace(target: Target) -> str:
    if target.resource.namespaced and not target.namespace:
        raise errors.ApiError(
            405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
        )
    return target.namespace


def _require_manager(request: web.Request) -> None:
    if not request.query.get("fieldManager"):
        cause = errors.required("fieldManager", "is required for apply patch")
        raise errors.invalid("PatchOptions.meta.k8s.io", "", [cause])


def _delete_options(request: web.Request, body: Any) -> DeleteOptions:
    """From the body, or from the query when there is no body: the body wins as a whole."""
    if isinstance(body, dict):
        conditions = body.get("preconditions") or {}
        grace = body.get("gracePeriodSeconds")
        propagation = body.get("propagationPolicy") or ("Orphan" if body.get("orphanDependents") else "")
        return DeleteOptions(
            grace, _propagation(propagation), conditions.get("uid") or "", conditions.get("resourceVersion") or ""
        )
    return DeleteOptions(
        number(request, "gracePeriodSeconds"), _propagation(request.query.get("propagationPolicy", ""))
    )


def _eviction(request: web.Request, target: Target, body: Any, asked: Request) -> tuple[DeleteOptions, Request]:
    """What an Eviction of policy/v1 asks for (k8s.io/kubernetes/pkg/registry/core/pod/storage/eviction.go)."""
    known = {"apiVersion": "policy/v1", "kind": "Eviction"}
    if not isinstance(body, dict) or any(body.get(key, value) != value for key, value in known.items()):
        raise errors.bad_request("the object provided is unrecognized (must be of type Eviction)")
    if (body.get("metadata") or {}).get("name") != target.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    options = body.get("deleteOptions") or {}
    is_dry = asked.dry_run or "All" in (options.get("dryRun") or [])
    return _delete_options(request, options), replace(asked, dry_run=is_dry)


def _propagation(text: str) -> str:
    allowed = ("Foreground", "Background", "Orphan")
    if text and text not in allowed:
        cause = errors.unsupported("propagationPolicy", text, (*allowed, "nil"))
        raise errors.invalid("DeleteOptions.meta.k8s.io", "", [cause])
    return text


def _deleted(resource: Resource, obj: Object) -> Object:
    details = {"name": obj["metadata"]["name"], "kind": resource.plural, "uid": obj["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
