"""The answers to get and list: whole objects, metadata only, or tables."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from . import errors, tables
from .resources import Resource
from .selectors import Match, both, by_fields, by_labels
from .store import Entry, Store, dump
from .target import Target, content_as, flag, number

Object = dict[str, Any]


def raw(body: bytes, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    """JSON that is already written."""
    response = web.Response(body=body, status=status, content_type="application/json")
    for text in warnings:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def answer(obj: Object, status: int = 200) -> web.Response:
    """An object that is not stored, such as a Status."""
    return raw(dump(obj), status)


def partial(obj: Object) -> Object:
    """Only the metadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def one(
    request: web.Request, resource: Resource, entry: Entry, status: int = 200, warnings: Iterable[str] = ()
) -> web.Response:
    """One object, in the form that the client asked for."""
    form = content_as(request)
    if form == "Table":
        return raw(dump(tables.table(resource, [entry.obj], str(entry.version), include(request))), status, warnings)
    if form == "PartialObjectMetadata":
        return raw(dump(partial(entry.obj)), status, warnings)
    if not entry.tail:  # of a dry run
        return raw(dump({"kind": resource.kind, "apiVersion": resource.api_version, **entry.obj}), status, warnings)
    return raw(entry.whole(resource), status, warnings)


def include(request: web.Request) -> str:
    """What of the object the rows of a table hold: Metadata, Object or None."""
    return request.query.get("includeObject", "Metadata")


def selection(request: web.Request, target: Target) -> Match | None:
    """What the selectors and the name of a request select; None for everything. Raises ApiError 400."""
    first = by_labels(request.query.get("labelSelector", ""))
    second = by_fields(target.resource, request.query.get("fieldSelector", ""))
    chosen = both(first, second) if first or second else None
    if target.name:
        named = chosen
        return lambda obj: obj["metadata"]["name"] == target.name and (named is None or named(obj))
    return chosen


def many(request: web.Request, target: Target, store: Store) -> web.Response:
    """A list."""
    resource, match = target.resource, selection(request, target)
    check_version(request)
    limit, start, version = max(number(request, "limit") or 0, 0), ("", ""), store.version
    if request.query.get("continue"):
        version, start = _read_token(request.query["continue"])
    entries: list[Entry] = []
    rest = 0
    for entry in store.each(resource, target.namespace):
        place = (entry.obj["metadata"].get("namespace", ""), entry.obj["metadata"]["name"])
        if place <= start or (match and not match(entry.obj)):
            continue
        if limit and len(entries) >= limit:
            rest += 1
        else:
            entries.append(entry)
    meta: Object = {"resourceVersion": str(version)}
    if rest:
        last = entries[-1].obj["metadata"]
        meta |= {"continue": _token(version, last.get("namespace", ""), last["name"]), "remainingItemCount": rest}
    form = content_as(request)
    if form == "Table":
        found = tables.table(resource, [entry.obj for entry in entries], str(version), include(request))
        found["metadata"] = meta
        return raw(dump(found))
    if form == "PartialObjectMetadata":
        items = [partial(entry.obj) for entry in entries]
        body = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items}
        return raw(dump(body))
    return raw(list_body(resource, meta, entries))


def check_version(request: web.Request) -> None:
    """Raises ApiError for a resourceVersion, and a resourceVersionMatch, that make no sense."""
    version, match = request.query.get("resourceVersion", ""), request.query.get("resourceVersionMatch", "")
    if flag(request, "sendInitialEvents") and match != "NotOlderThan":
        cause = errors.prohibited(
            "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        )
    elif match and not version and not flag(request, "sendInitialEvents"):
        cause = errors.prohibited(
            "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    elif match not in ("", "Exact", "NotOlderThan"):
        cause = errors.unsupported("resourceVersionMatch", match, ("Exact", "NotOlderThan", ""))
    elif version and not version.isdigit():
        text = f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
        if wants_watch(request):
            raise errors.ApiError(500, "", f"resourceVersion: {text}")
        raise errors.bad_request(f"invalid resource version: resourceVersion: {text}")
    else:
        return
    raise errors.invalid("ListOptions.meta.k8s.io", "", [cause])


def list_body(resource: Resource, meta: Object, entries: Iterable[Entry]) -> bytes:
    """The JSON of a list; its items come without apiVersion and kind."""
    head = f'{{"kind":"{resource.kind}List","apiVersion":"{resource.api_version}","metadata":'
    return b"".join(
        [head.encode(), dump(meta), b',"items":[', b",".join(b"{" + entry.tail for entry in entries), b"]}"]
    )


def _token(version: int, namespace: str, name: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, namespace, name]).encode()).decode()


def _read_token(text: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(text))
        return int(version), (str(namespace), str(name))
    except (ValueError, TypeError):
        raise errors.bad_request("invalid continue token: continue key is not valid") from None


def wants_watch(request: web.Request) -> bool:
    """Whether a GET of a collection is a watch."""
    return flag(request, "watch")
