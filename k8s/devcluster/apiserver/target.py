"""What a request is about: the path, the query and the headers, read once."""

import json
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from . import errors, wire
from .resources import BY_PATH, Resource

Object = dict[str, Any]
SUBRESOURCES = {"pods": ("status", "binding", "log", "eviction"), "namespaces": ("status", "finalize")}


@dataclass(frozen=True)
class Target:
    """A collection (no name), an object, or a part of one."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def parse_path(path: str) -> Target | None:
    """The target of a path below /api/v1 or /apis/<group>/v1; None for other paths. Raises ApiError 404."""
    parts = [part for part in path.split("/") if part]
    if parts[:2] == ["api", "v1"]:
        group, rest = "", parts[2:]
    elif len(parts) > 3 and parts[0] == "apis" and parts[2] == "v1":
        group, rest = parts[1], parts[3:]
    else:
        return None
    if not rest:
        return None
    namespace = ""
    # /namespaces/x/status is a part of a namespace; /namespaces/x/pods a collection in it.
    if rest[0] == "namespaces" and len(rest) > 2 and not (group == "" and rest[2] in SUBRESOURCES["namespaces"]):
        namespace, rest = rest[1], rest[2:]
    resource = BY_PATH.get((group, rest[0]))
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise errors.no_such_resource()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    known = SUBRESOURCES.get(resource.plural, ("status",) if resource.status else ())
    if subresource and subresource not in known:
        raise errors.no_such_resource()
    return Target(resource, namespace, name, subresource)


def verb_of(request: web.Request, target: Target) -> str:
    """The verb, as audit logs and rights name it."""
    if target.subresource == "log":
        return "log"
    if request.method == "GET":
        if flag(request, "watch"):
            return "watch"
        return "get" if target.name else "list"
    if request.method == "DELETE":
        return "delete" if target.name else "deletecollection"
    if request.method == "PATCH":
        return "apply" if request.content_type.startswith("application/apply-patch") else "patch"
    return {"POST": "create", "PUT": "update"}.get(request.method, request.method.lower())


def flag(request: web.Request, name: str) -> bool:
    """Whether an option of the query is set."""
    return request.query.get(name, "") in ("true", "1", "True")


def number(request: web.Request, name: str) -> int | None:
    """An option of the query that is a whole number, or None. Raises ApiError 400."""
    text = request.query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def manager_of(request: web.Request) -> str:
    """Who writes: the field manager of the query, else the program of the user agent."""
    given = request.query.get("fieldManager", "")
    return given or request.headers.get("User-Agent", "unknown").partition("/")[0][:128]


def content_as(request: web.Request) -> str:
    """ "Table", "PartialObjectMetadata" or "" : the form that the client wants most."""
    for accepted in request.headers.get("Accept", "").split(","):
        options = dict(part.strip().partition("=")[::2] for part in accepted.split(";")[1:])
        wanted = options.get("as", "")
        if wanted.startswith("PartialObjectMetadata"):
            return "PartialObjectMetadata"
        if wanted == "Table":
            return "Table"
        if not wanted:
            return ""
    return ""


async def body_of(request: web.Request, kind: str = "") -> Any:
    """The body, JSON or YAML; None when there is none. Raises ApiError 400, 415."""
    content = await request.read()
    if "protobuf" in request.content_type or "cbor" in request.content_type:
        try:
            return wire.decode(content)
        except (ValueError, KeyError) as problem:
            text = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml"
            raise errors.ApiError(415, "UnsupportedMediaType", f"{text} ({problem})") from None
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError as problem:
        if "yaml" not in request.content_type:
            text = f"couldn't get version/kind; json parse error: {problem}"
            raise errors.bad_request(f"the object provided is unrecognized (must be of type {kind}): {text}") from None
    try:
        return yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  (both are safe loaders)
    except yaml.YAMLError as problem:
        raise errors.bad_request(f"error decoding YAML: {problem}") from None
