"""The types of Kubernetes' objects, from the published JSON schemas: what fields there are and how lists merge."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from kubernetes_validate.utils import latest_version, schema_contents

from k8s.schema import httproute_spec

from . import quantity
from .errors import ApiError, bad_request

Object = dict[str, Any]
#: Defaults of the keys of lists that merge by key: the published schemas leave them out.
KEY_DEFAULTS = {"protocol": "TCP"}
_PLAIN: dict[str, Any] = {"string": str, "integer": int, "boolean": bool, "number": (int, float)}
_JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}


@dataclass(slots=True)
class Type:
    """What stands at a place of an object: a struct, map, list, scalar, or anything at all."""

    shape: str
    #: Of a scalar: string, integer, boolean, number, int-or-string, quantity, time; of a struct: its name in Go.
    name: str = ""
    fields: dict[str, "Type"] = field(default_factory=dict)
    items: "Type | None" = None
    #: A list or map that is replaced as a whole by server-side apply.
    atomic: bool = False
    #: Of a list of structs that is merged item by item: the fields that identify an item.
    keys: tuple[str, ...] = ()
    #: Of a list, for a strategic merge patch: the one field that identifies an item ("" : the values themselves).
    merge_key: str = ""
    merges: bool = False
    retains_keys: bool = False
    required: tuple[str, ...] = ()


@cache
def definitions() -> Object:
    """All definitions of the newest schemas, by name."""
    version = latest_version()
    found: Object = schema_contents(f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version)[
        "$defs"
    ]
    return {**found, **_gateway_definitions()}


def _gateway_definitions() -> Object:
    """Kinds of the Gateway API: not in Kubernetes' own schemas. Of a Gateway only its place is known."""
    made: Object = {}
    for kind, spec in (("Gateway", {"type": "object"}), ("HTTPRoute", httproute_spec())):
        metadata = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
        plain = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "status": {"type": "object"}}
        known = {"group": "gateway.networking.k8s.io", "kind": kind, "version": "v1"}
        made[f"io.k8s.networking.gateway.v1.{kind}"] = {
            "properties": {**plain, "metadata": metadata, "spec": spec},
            "required": ["spec"],
            "x-kubernetes-group-version-kind": [known],
        }
    return made


_ANY = Type("any")


@cache
def _named(name: str) -> Type:
    # The type is put in the cache before its fields are known, for types that contain themselves.
    return Type("struct", name.rpartition(".")[2])


_done: set[str] = set()


def _reference(name: str) -> Type:
    short = name.rpartition(".")[2]
    if short in ("Quantity", "IntOrString", "Time", "MicroTime"):
        return Type("scalar", {"Quantity": "quantity", "IntOrString": "int-or-string"}.get(short, "time"))
    definition = definitions()[name]
    if "properties" not in definition:
        return _ANY
    found = _named(name)
    if name not in _done:
        _done.add(name)
        found.atomic = definition.get("x-kubernetes-map-type") == "atomic"
        found.required = tuple(definition.get("required") or ())
        found.fields = {key: _compile(one) for key, one in definition["properties"].items()}
    return found


def _compile(node: Object) -> Type:
    if "$ref" in node:
        found = _reference(node["$ref"].rpartition("/")[2])
        if node.get("x-kubernetes-map-type") == "atomic" and not found.atomic:
            return Type("struct", found.name, found.fields, atomic=True, required=found.required)
        return found
    kinds = node.get("type")
    kind = next((one for one in kinds if one != "null"), "") if isinstance(kinds, list) else kinds
    atomic = "atomic" in (node.get("x-kubernetes-map-type"), node.get("x-kubernetes-list-type"))
    if kind == "array":
        strategy = node.get("x-kubernetes-patch-strategy", "")
        keys = tuple(node.get("x-kubernetes-list-map-keys") or ())
        return Type(
            "list",
            items=_compile(node["items"]),
            keys=keys,
            atomic=not keys and node.get("x-kubernetes-list-type") != "set",
            merge_key=node.get("x-kubernetes-patch-merge-key", ""),
            merges="merge" in strategy,
        )
    if kind == "object" and "additionalProperties" in node and isinstance(node["additionalProperties"], dict):
        return Type("map", items=_compile(node["additionalProperties"]), atomic=atomic)
    if kind == "object" and "properties" in node:
        inner = {key: _compile(one) for key, one in node["properties"].items()}
        return Type("struct", "", inner, atomic=atomic, required=tuple(node.get("required") or ()))
    if kind in _PLAIN:
        return Type("scalar", "bytes" if node.get("format") == "byte" else kind)
    return _ANY


@cache
def type_of(api_version: str, kind: str) -> Type:
    """The type of the objects of a kind. Raises KeyError for a kind that is not known."""
    group = api_version.rpartition("/")[0]
    for name, definition in definitions().items():
        for known in definition.get("x-kubernetes-group-version-kind") or ():
            if known == {"group": group, "kind": kind, "version": api_version.rpartition("/")[2]}:
                found = _reference(name)
                if definition.get("x-kubernetes-map-type") != "atomic":
                    found.atomic = False
                return found
    raise KeyError(kind)


@dataclass
class Checked:
    """An object as the server takes it in."""

    obj: Object
    #: Paths of the fields that Kubernetes does not know; they are left out of the object.
    unknown: list[str]


def check(obj: Object, kind: str, api_version: str) -> Checked:
    """The object without unknown fields and nulls, amounts in their canonical form. Raises ApiError 400 for a wrong type."""
    unknown: list[str] = []
    found = type_of(api_version, kind)
    try:
        return Checked(_take(obj, found, "", found.name, unknown), unknown)
    except _Mismatch as problem:
        version = api_version.rpartition("/")[2]
        text = f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}'
        raise bad_request(text) from None


class _Mismatch(Exception):
    pass


def _take(value: Any, found: Type, path: str, owner: str, unknown: list[str]) -> Any:
    if value is None or found.shape == "any":
        return value
    if found.shape == "scalar":
        return _scalar(value, found, path, owner)
    if found.shape == "list":
        if not isinstance(value, list):
            raise _mismatch(value, path, owner, f"[]{_go(found.items)}")
        assert found.items  # noqa: S101
        taken = [_take(one, found.items, f"{path}[{at}]", owner, unknown) for at, one in enumerate(value)]
        return taken if found.items.shape == "any" else [one for one in taken if one is not None]
    if not isinstance(value, dict):
        raise _mismatch(value, path, owner, _go(found))
    if found.shape == "map":
        assert found.items  # noqa: S101
        entries = {key: _take(one, found.items, f"{path}.{key}", owner, unknown) for key, one in value.items()}
        return {key: ("" if one is None else one) for key, one in entries.items()}
    result = {}
    for key, one in value.items():
        inner = found.fields.get(key)
        where = f"{path}.{key}" if path else key
        if inner is None:
            unknown.append(where)
            continue
        taken = _take(one, inner, where, found.name, unknown)
        if taken is not None:
            result[key] = taken
    return result


def _go(found: Type | None) -> str:
    if found is None or found.shape == "any":
        return "interface {}"
    if found.shape == "map":
        return f"map[string]{_go(found.items)}"
    if found.shape == "struct":
        return f"v1.{found.name}"
    return {"integer": "int32", "boolean": "bool", "number": "float64", "bytes": "[]uint8"}.get(found.name, found.name)


def _mismatch(value: Any, path: str, owner: str, wanted: str) -> _Mismatch:
    plain = "".join(part for part in _strip_indices(path))
    got = _JSON_NAMES.get(type(value), "value")
    return _Mismatch(f"json: cannot unmarshal {got} into Go struct field {owner}.{plain} of type {wanted}")


def _strip_indices(path: str) -> list[str]:
    kept, depth = [], 0
    for letter in path:
        depth += letter == "["
        if not depth:
            kept.append(letter)
        depth -= letter == "]"
    return kept


def _scalar(value: Any, found: Type, path: str, owner: str) -> Any:
    name = found.name
    if name == "quantity":
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _Mismatch(quantity.MALFORMED)
        try:
            return quantity.canonical(value)
        except ValueError as problem:
            raise _Mismatch(str(problem)) from None
    if name == "int-or-string":
        good = isinstance(value, str | int) and not isinstance(value, bool)
    elif name in ("time", "bytes"):
        good = isinstance(value, str)
    else:
        good = isinstance(value, _PLAIN[name]) and (name == "boolean" or not isinstance(value, bool))
    if not good:
        raise _mismatch(value, path, owner, _go(found))
    return value


def typed_patch(obj: Object, kind: str, api_version: str, where: str) -> None:
    """Checks the body of a server-side apply against its type. Raises ApiError 500, as the API does for these."""
    problem = _first_problem(obj, type_of(api_version, kind), "")
    if problem:
        group, _, version = api_version.rpartition("/")
        raise ApiError(
            500, "", f"failed to create typed patch object ({where}; {group}/{version}, Kind={kind}): {problem}"
        )


def _first_problem(value: Any, found: Type | None, path: str) -> str:
    if value is None or found is None or found.shape == "any":
        return ""
    if found.shape == "scalar":
        try:
            _scalar(value, found, path, "")
        except _Mismatch:
            wanted = {"integer": "numeric", "number": "numeric", "time": "string"}.get(found.name, found.name)
            shown = str(value).lower() if isinstance(value, bool) else value
            return f"{path}: expected {wanted}, got &value.valueUnstructured{{Value:{shown}}}"
        return ""
    if found.shape == "list":
        return _list_problem(value, found, path)
    if not isinstance(value, dict):
        return f"{path}: expected map, got &{{{value}}}"
    for key, one in value.items():
        if found.shape == "struct" and key not in found.fields:
            return f"{path}.{key}: field not declared in schema"
        problem = _first_problem(one, found.items or found.fields.get(key), f"{path}.{key}")
        if problem:
            return problem
    return ""


def _list_problem(value: Any, found: Type, path: str) -> str:
    if not isinstance(value, list):
        return f"{path}: expected list, got &{{{value}}}"
    seen = set()
    for at, one in enumerate(value):
        where = f"{path}[{at}]"
        if found.keys and isinstance(one, dict):
            identity = item_key(one, found.keys)
            shown = ",".join(f'{key}="{v}"' if isinstance(v, str) else f"{key}={v}" for key, v in identity)
            where = f"{path}[{shown}]"
            if identity in seen:
                return f"{path}: duplicate entries for key [{shown}]"
            seen.add(identity)
        problem = _first_problem(one, found.items, where)
        if problem:
            return problem
    return ""


def item_key(item: Object, keys: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """What identifies an item of a list that merges by key."""
    return tuple(
        (key, item.get(key, KEY_DEFAULTS.get(key))) for key in sorted(keys) if key in item or key in KEY_DEFAULTS
    )
