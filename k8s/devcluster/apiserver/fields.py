"""Which fields of an object there are, which changed, and who owns them (metadata.managedFields).

A field is a path of steps as FieldsV1 writes them: "f:spec", 'k:{"name":"lab"}' for an item of a list that merges by key,
'v:"x"' for an item of a set. A list or map that is replaced as a whole counts as one field.
Source: sigs.k8s.io/structured-merge-diff.
"""

import json
from collections.abc import Iterator
from typing import Any

from .schema import Type, item_key

Object = dict[str, Any]
Path = tuple[str, ...]
Fields = set[Path]

#: Fields of metadata that nobody owns.
_NOBODYS = frozenset(
    ("f:metadata", f"f:{name}")
    for name in (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "selfLink",
        "managedFields",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    )
)
#: What every object has, be it empty: nobody owns these as such.
_TOP = frozenset({("f:metadata",), ("f:spec",), ("f:status",), ("f:spec", "f:containers")})


def of(obj: Object, found: Type) -> Fields:
    """The fields that an object has, as the owner of an apply owns them: leaves, and the items of lists that merge."""
    fields: Fields = set()
    for key, value in obj.items():
        if key not in ("apiVersion", "kind"):
            fields |= set(_walk(value, found.fields.get(key), (f"f:{key}",)))
    return {path for path in fields if path[:2] not in _NOBODYS and path not in _TOP}


def children(value: Any, found: Type | None) -> dict[str, tuple[Any, Type | None]] | None:
    """What is below a value, by step; None for a leaf."""
    if found is None or found.atomic or found.shape in ("any", "scalar"):
        return None
    if isinstance(value, dict) and found.shape in ("struct", "map"):
        return {f"f:{key}": (one, found.items or found.fields.get(key)) for key, one in value.items()}
    if isinstance(value, list) and found.shape == "list":
        if found.keys:
            return {step_of(one, found.keys): (one, found.items) for one in value}
        return {f"v:{json.dumps(one)}": (one, None) for one in value}
    return None


def step_of(item: Object, keys: tuple[str, ...]) -> str:
    """The step to an item of a list that merges by key."""
    return "k:" + json.dumps(dict(item_key(item, keys)), separators=(",", ":"))


def _walk(value: Any, found: Type | None, path: Path) -> Iterator[Path]:
    below = children(value, found)
    if not below:
        yield path
        return
    if path[-1].startswith("k:"):
        yield path
    for step, (one, inner) in below.items():
        yield from _walk(one, inner, (*path, step))


def _everything(value: Any, found: Type | None, path: Path) -> Iterator[Path]:
    yield path
    for step, (one, inner) in (children(value, found) or {}).items():
        yield from _everything(one, inner, (*path, step))


def compare(old: Object, new: Object, found: Type) -> tuple[Fields, Fields]:
    """(changed or added, removed) fields from one version of an object to the next."""
    changed: Fields = set()
    removed: Fields = set()
    for key in {*old, *new} - {"apiVersion", "kind"}:
        empty: Any = {} if (f"f:{key}",) in _TOP else None
        _compare(old.get(key, empty), new.get(key, empty), found.fields.get(key), (f"f:{key}",), changed, removed)
    return (
        {path for path in changed if path[:2] not in _NOBODYS and path not in _TOP},
        {path for path in removed if path[:2] not in _NOBODYS and path not in _TOP},
    )


def _compare(old: Any, new: Any, found: Type | None, path: Path, changed: Fields, removed: Fields) -> None:
    if old == new:
        return
    if old is None:
        changed.update(_everything(new, found, path))
        return
    if new is None:
        removed.update(_everything(old, found, path))
        return
    before, after = children(old, found), children(new, found)
    if before is None or after is None:
        changed.add(path)
        return
    for step in {**before, **after}:
        was, inner = before.get(step, (None, None))
        now, kind = after.get(step, (None, None))
        _compare(was, now, inner or kind, (*path, step), changed, removed)


def to_v1(fields: Fields) -> Object:
    """The FieldsV1 of a set of fields."""
    tree: Object = {}
    inner = {path[:length] for path in fields for length in range(1, len(path))}
    for path in sorted(fields):
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        if path in inner:
            place["."] = {}
    return _sorted(tree)


def _sorted(tree: Object) -> Object:
    return {step: _sorted(tree[step]) for step in sorted(tree)}


def from_v1(tree: Object, path: Path = ()) -> Fields:
    """The set of fields of a FieldsV1."""
    fields: Fields = set()
    for step, below in tree.items():
        if step == ".":
            fields.add(path)
        elif below:
            fields |= from_v1(below, (*path, step))
        else:
            fields.add((*path, step))
    return fields


def show(path: Path) -> str:
    """A field as messages name it: '.spec.containers[name="c"].image'."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "v":
            text += f"[={rest}]"
        else:
            pairs = json.loads(rest)
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs.items()) + "]"
    return text
