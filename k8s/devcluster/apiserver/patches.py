"""JSON patch (RFC 6902), merge patch (RFC 7396) and Kubernetes' strategic merge patch."""

from typing import Any

from .errors import ApiError, bad_request
from .meta import copy
from .schema import Type

Object = dict[str, Any]
JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """RFC 6902. Raises ApiError 400 for a malformed patch, 422 for one that does not fit."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    root = {"": copy(target)}
    for one in operations:
        try:
            _operate(root, one["op"], one)
        except (KeyError, IndexError, TypeError, ValueError):
            text = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", text, {}) from None
    return root[""]


def _operate(root: Object, operation: str, one: Object) -> None:
    if operation == "test":
        if _read(root, one["path"]) != one.get("value"):
            raise ValueError(f"testing path {one['path']} value failed")
    elif operation in ("add", "replace"):
        _place(root, one["path"], copy(one["value"]), replace=operation == "replace")
    elif operation == "remove":
        _take(root, one["path"])
    elif operation == "move":
        _place(root, one["path"], _take(root, one["from"]))
    elif operation == "copy":
        _place(root, one["path"], copy(_read(root, one["from"])))
    else:
        raise ValueError(f"unexpected kind: {operation}")


def _parent(root: Object, path: str) -> tuple[Any, str]:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]
    place: Any = root
    for step in steps[:-1]:
        place = place[int(step)] if isinstance(place, list) else place[step]
    return place, steps[-1]


def _read(root: Object, path: str) -> Any:
    place, step = _parent(root, path)
    return place[int(step)] if isinstance(place, list) else place[step]


def _take(root: Object, path: str) -> Any:
    place, step = _parent(root, path)
    return place.pop(int(step)) if isinstance(place, list) else place.pop(step)


def _place(root: Object, path: str, value: Any, *, replace: bool = False) -> None:
    place, step = _parent(root, path)
    if isinstance(place, list):
        at = len(place) if step == "-" else int(step)
        if at > len(place):
            raise IndexError(f"index {at} is out of range")
        place[at : at + replace] = [value]
    else:
        if replace and step not in place:
            raise KeyError(f"replace operation does not apply: doc is missing key: {path}")
        place[step] = value


def strategic(target: Any, patch: Any, found: Type | None) -> Any:
    """A strategic merge patch with the directives $patch, $retainKeys, $deleteFromPrimitiveList; $setElementOrder orders."""
    if not isinstance(patch, dict) or not isinstance(target, dict | None):
        return _clean(patch)
    if patch.get("$patch") == "replace":
        return _clean(patch)
    if patch.get("$patch") == "delete":
        return {}
    result = dict(target or {})
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [one for one in result.get(name) or [] if one not in value]
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        inner = found and (found.items if found.shape == "map" else found.fields.get(key))
        if value is None:
            result.pop(key, None)
        elif isinstance(value, list) and inner and inner.merges:
            result[key] = _merge_list(result.get(key) or [], value, inner)
        else:
            result[key] = strategic(result.get(key), value, inner)
    for key, order in patch.items():
        name = key.partition("/")[2]
        if key.startswith("$setElementOrder/") and name in result:
            merge_key = found.fields[name].merge_key if found and name in found.fields else ""
            result[name] = _ordered(result[name], order, (target or {}).get(name) or [], merge_key)
    return result


def _merge_list(current: list[Any], patch: list[Any], found: Type) -> list[Any]:
    key = found.merge_key
    if not key:
        return [*current, *(one for one in patch if one not in current)]
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch):
        return [_clean(one) for one in patch if one.get("$patch") != "replace"]
    result = list(current)
    for one in patch:
        if not isinstance(one, dict) or key not in one:
            raise bad_request(f"map: {one} does not contain declared merge key: {key}")
        at = next((at for at, known in enumerate(result) if known.get(key) == one[key]), None)
        if one.get("$patch") == "delete":
            result = [known for known in result if known.get(key) != one[key]]
        elif at is None:
            result.append(strategic({}, one, found.items))
        else:
            result[at] = strategic(result[at], one, found.items)
    return _ordered(result, patch, current, key)


def _ordered(items: list[Any], order: list[Any], current: list[Any], key: str) -> list[Any]:
    """Items that `order` names in that order, the others in theirs; an item that is new stands before its neighbours."""

    def name(one: Any) -> Any:
        return one.get(key) if isinstance(one, dict) else one

    wanted = {name(one): at for at, one in enumerate(order)}
    known = {name(one): at for at, one in enumerate(current)}
    left = sorted((one for one in items if name(one) in wanted), key=lambda one: wanted[name(one)])
    right = [one for one in items if name(one) not in wanted]
    result: list[Any] = []
    while left and right:
        first = known.get(name(left[0]))
        result.append((left if first is None or first < known.get(name(right[0]), 0) else right).pop(0))
    return result + left + right


def _clean(value: Any) -> Any:
    """A patch that stands for a whole value: without directives and nulls."""
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items() if one is not None and not key.startswith("$")}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return value
