"""Bodies in protobuf, of the few kinds that `kubectl create <kind>` and `kubectl drain` send so; all else it sends as JSON.

The numbers are those of k8s.io/api/core/v1/generated.proto and k8s.io/apimachinery's meta/v1/generated.proto.
"""

import base64
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
#: number of the field -> (name, what it is: a text, a flag, a number, bytes, a map or list of one of them, or the fields of a message)
_META = {
    1: ("name", "text"),
    2: ("generateName", "text"),
    3: ("namespace", "text"),
    11: ("labels", "map-text"),
    12: ("annotations", "map-text"),
}
_DELETE: dict[int, tuple[str, Any]] = {
    1: ("gracePeriodSeconds", "number"),
    2: ("preconditions", {1: ("uid", "text"), 2: ("resourceVersion", "text")}),
    3: ("orphanDependents", "flag"),
    4: ("propagationPolicy", "text"),
    5: ("dryRun", "list-text"),
}
_KINDS: dict[str, dict[int, tuple[str, Any]]] = {
    "Namespace": {1: ("metadata", _META)},
    "ServiceAccount": {1: ("metadata", _META)},
    "ConfigMap": {
        1: ("metadata", _META),
        2: ("data", "map-text"),
        3: ("binaryData", "map-bytes"),
        4: ("immutable", "flag"),
    },
    "Secret": {
        1: ("metadata", _META),
        2: ("data", "map-bytes"),
        3: ("type", "text"),
        4: ("stringData", "map-text"),
        5: ("immutable", "flag"),
    },
    "DeleteOptions": _DELETE,
    "Eviction": {1: ("metadata", _META), 2: ("deleteOptions", _DELETE)},
    "ResourceQuota": {1: ("metadata", _META), 2: ("spec", {1: ("hard", "map-quantity")})},
}
_MAGIC = b"k8s\0"


def decode(content: bytes) -> Object:
    """The object of a body. Raises ValueError for a kind that is not known here, or a malformed body."""
    if not content.startswith(_MAGIC):
        raise ValueError("not an object")
    envelope = dict(_fields(content[len(_MAGIC) :]))
    version, kind = (dict(_fields(_bytes(envelope[1]))).get(number, b"") for number in (1, 2))
    name = _bytes(kind).decode()
    if name not in _KINDS:
        raise ValueError(f"{name} is taken as JSON only")
    return {
        "apiVersion": _bytes(version).decode(),
        "kind": name,
        **_message(_bytes(envelope.get(2, b"")), _KINDS[name]),
    }


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where a text belongs")
    return value


def _message(content: bytes, known: dict[int, tuple[str, Any]]) -> Object:
    result: Object = {}
    for number, value in _fields(content):
        name, what = known.get(number, ("", ""))
        if isinstance(what, dict):
            result[name] = _message(_bytes(value), what)
        elif what == "flag":
            result[name] = bool(value)
        elif what == "number":
            result[name] = value if isinstance(value, int) and value < 1 << 63 else 0  # a negative one counts as none
        elif what.startswith("list-"):
            result.setdefault(name, []).append(_value(_bytes(value), what.removeprefix("list-")))
        elif what.startswith("map-"):
            entry = dict(_fields(_bytes(value)))
            result.setdefault(name, {})[_bytes(entry[1]).decode()] = _value(
                _bytes(entry.get(2, b"")), what.removeprefix("map-")
            )
        elif what:
            text = _value(_bytes(value), what)
            if text:  # a Go client writes empty fields too
                result[name] = text
    return result


def _value(content: bytes, what: str) -> str:
    if what == "bytes":
        return base64.b64encode(content).decode()
    if what == "quantity":
        return _bytes(dict(_fields(content)).get(1, b"0")).decode()
    return content.decode()


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(content):
        key, at = _number(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _number(content, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = _number(content, at)
            if at + size > len(content):
                raise ValueError("cut off")
            yield key >> 3, content[at : at + size]
            at += size
        else:
            raise ValueError("not of this kind of message")


def _number(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift < 64:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("cut off")
