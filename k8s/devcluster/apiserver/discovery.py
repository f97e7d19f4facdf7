"""What this server has, as clients ask it: versions, groups and resources."""

from typing import Any

from . import errors
from .resources import ALL_VERBS, GROUPS, RESOURCES, Resource
from .target import SUBRESOURCES

Object = dict[str, Any]

#: The version whose behaviour is followed.
VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+devcluster",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
_EXTRA = {
    "pods/binding": ("Binding", ["create"]),
    "pods/log": ("Pod", ["get"]),
    "pods/eviction": ("Eviction", ["create"]),
}
#: Parts whose objects are of another group than what they are a part of. `kubectl drain` evicts only where it finds this.
_OF_GROUP = {"pods/eviction": {"group": "policy", "version": "v1"}}


def answer(path: str) -> Object | None:
    """The document at a path, or None. Raises ApiError 404 for a group that there is not."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["version"]:
            return dict(VERSION)
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = [_group(name) for name in GROUPS]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if group in GROUPS:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
        case ["api", "v1"]:
            return _resources("")
        case ["apis", group, "v1"] if group in GROUPS:
            return _resources(group)
        case ["api" | "apis", *_]:
            raise errors.no_such_resource()
    return None


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Object:
    listed: list[Object] = []
    for one in RESOURCES:
        if one.group == group:
            listed += _entries(one)
    listed.sort(key=lambda entry: entry["name"])
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/v1" if group else "v1",
        "resources": listed,
    }


def _entries(one: Resource) -> list[Object]:
    entry: Object = {
        "name": one.plural,
        "singularName": one.singular,
        "namespaced": one.namespaced,
        "kind": one.kind,
        "verbs": list(ALL_VERBS),
    }
    if one.short:
        entry["shortNames"] = list(one.short)
    if one.categories:
        entry["categories"] = list(one.categories)
    parts = []
    for name in SUBRESOURCES.get(one.plural, ("status",) if one.status else ()):
        path = f"{one.plural}/{name}"
        kind, verbs = _EXTRA.get(path, (one.kind, ["get", "patch", "update"]))
        group = _OF_GROUP.get(path, {})
        parts.append(
            {"name": path, "singularName": "", "namespaced": one.namespaced, **group, "kind": kind, "verbs": verbs}
        )
    return [entry, *parts]
