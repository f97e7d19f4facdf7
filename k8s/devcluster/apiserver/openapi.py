"""OpenAPI v3, as far as kubectl needs it: what may be patched how, that fields are checked here, and the types."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from . import schema
from .resources import GROUPS, RESOURCES, Resource

Object = dict[str, Any]

_HERE = "#/components/schemas/"
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def answer(path: str) -> bytes | None:
    """The document at a path, as JSON; None where there is none."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["openapi", "v3"]:
            places = ["api/v1", *(f"apis/{group}/v1" for group in GROUPS)]
            return json.dumps({"paths": {one: {"serverRelativeURL": f"/openapi/v3/{one}"} for one in places}}).encode()
        case ["openapi", "v3", "api", "v1"]:
            return _document("")
        case ["openapi", "v3", "apis", group, "v1"] if group in GROUPS:
            return _document(group)
    return None


@cache
def _document(group: str) -> bytes:
    resources = [one for one in RESOURCES if one.group == group]
    roots = {_definition_of(one): one for one in resources}
    schemas: Object = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _plain(schema.definitions()[name])
            waiting += _mentioned(schemas[name])
    paths = {path: item for one in resources for path, item in _paths(one, _definition_of(one))}
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _definition_of(resource: Resource) -> str:
    wanted = {"group": resource.group, "kind": resource.kind, "version": "v1"}
    return next(
        name
        for name, one in schema.definitions().items()
        if wanted in (one.get("x-kubernetes-group-version-kind") or ())
    )


def _plain(node: Any) -> Any:
    """A definition in OpenAPI's dialect: one type, not a list with null; a reference with company inside allOf."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for key, value in node.items():
        if key == "type" and isinstance(value, list):
            result[key] = next(one for one in value if one != "null")
        elif key == "additionalProperties" and value is False:
            continue
        elif key == "$ref":
            reference = {"$ref": _HERE + value.rpartition("/")[2]}
            if len(node) == 1:
                return reference
            result["allOf"] = [reference]
        else:
            result[key] = _plain(value)
    return result


def _mentioned(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _mentioned(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rpartition("/")[2]
            else:
                yield from _mentioned(value)


def _paths(resource: Resource, definition: str) -> Iterator[tuple[str, Object]]:
    kind = {"group": resource.group, "kind": resource.kind, "version": "v1"}
    base = f"/apis/{resource.group}/v1" if resource.group else "/api/v1"
    base += "/namespaces/{namespace}" if resource.namespaced else ""
    reference = {"$ref": _HERE + definition}
    body = {"content": {"*/*": {"schema": reference}}}
    good = {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}}
    names = ("dryRun", "fieldManager", "fieldValidation")
    options = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]

    def operation(action: str, request: Object | None = None) -> Object:
        found: Object = {"x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind, "responses": good}
        return found | ({"parameters": options, "requestBody": request} if request else {})

    patch = {"content": {one: {"schema": {"type": "object"}} for one in _PATCHES}}
    yield f"{base}/{resource.plural}", {"get": operation("list"), "post": operation("post", body)}
    yield (
        f"{base}/{resource.plural}/{{name}}",
        {
            "get": operation("get"),
            "put": operation("put", body),
            "patch": operation("patch", patch),
            "delete": operation("delete"),
        },
    )
