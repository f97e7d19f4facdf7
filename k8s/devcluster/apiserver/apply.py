"""Server-side apply and the owners of fields."""

from dataclasses import dataclass
from typing import Any

from . import fields
from .errors import ApiError
from .fields import Fields
from .meta import copy, now
from .schema import Type

Object = dict[str, Any]


@dataclass(frozen=True)
class Manager:
    """Who owns fields, and through what."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


Owners = dict[Manager, Fields]


def owners(obj: Object) -> Owners:
    """The owners that an object names."""
    found: Owners = {}
    for entry in obj["metadata"].get("managedFields") or []:
        manager = Manager(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        found[manager] = fields.from_v1(entry.get("fieldsV1") or {})
    return found


def _write(obj: Object, before: Object | None, current: Owners) -> None:
    """Puts the owners into the object; the time of those that did not change stays."""
    known = _by_manager(before["metadata"].get("managedFields") or []) if before else {}
    listed = []
    for manager, owned in current.items():
        if not owned:
            continue
        tree = fields.to_v1(owned)
        old = known.get(manager)
        if old is not None and old.get("fieldsV1") == tree:
            listed.append(old)
            continue
        entry = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": now(),
            "fieldsType": "FieldsV1",
            "fieldsV1": tree,
        }
        listed.append(entry | ({"subresource": manager.subresource} if manager.subresource else {}))
    listed.sort(key=lambda entry: (entry["operation"], entry["time"], entry["manager"]))
    if listed:
        obj["metadata"]["managedFields"] = listed
    else:
        obj["metadata"].pop("managedFields", None)


def _by_manager(entries: list[Object]) -> dict[Manager, Object]:
    return {
        Manager(
            one.get("manager", ""), one.get("operation", ""), one.get("apiVersion", ""), one.get("subresource", "")
        ): one
        for one in entries
    }


def record_update(before: Object | None, obj: Object, found: Type, manager: Manager) -> None:
    """Notes in `obj` who changed what by a create, an update or a patch that is not an apply."""
    if before is not None and obj["metadata"].get("managedFields") == []:
        obj["metadata"].pop("managedFields")  # how a client says that nobody shall own anything
        return
    changed, removed = fields.compare(before or {}, obj, found)
    current = owners(before) if before else {}
    for other in current:
        if other != manager:
            current[other] -= changed | removed
    current[manager] = (current.get(manager, set()) | changed) - removed
    _write(obj, before, current)


def apply(live: Object | None, patch: Object, found: Type, manager: Manager, *, force: bool) -> tuple[Object, Owners]:
    """The object with the patch merged in, less what this manager applied before and no longer does; and the new owners.

    Raises ApiError 409 for fields that another owner has set to something else, unless `force`.
    """
    wanted = fields.of(patch, found)
    base = live or {"metadata": {}}
    merged = _merge(base, patch, found)
    current = owners(live) if live else {}
    changed, _ = fields.compare(base, merged, found)
    disputed = {other: owned & changed for other, owned in current.items() if other != manager}
    disputed = {other: paths for other, paths in disputed.items() if paths}
    if disputed and not force:
        raise _conflicts(disputed, manager)
    for other, paths in disputed.items():
        current[other] -= paths
    dropped = current.get(manager, set()) - wanted
    others: Fields = set().union(*(owned for other, owned in current.items() if other != manager))
    kept = {path[:length] for path in others | wanted for length in range(1, len(path) + 1)}
    for path in sorted(dropped, key=len):  # an item goes as a whole, with what the server filled in
        if path not in kept:
            _remove(merged, found, path)
    current[manager] = wanted
    return merged, current


def finish_apply(live: Object | None, merged: Object, current: Owners, found: Type) -> None:
    """Writes the owners into the object, once it is complete."""
    _, removed = fields.compare(live or {}, merged, found)
    _write(merged, live, {manager: owned - removed for manager, owned in current.items()})


def _conflicts(disputed: Owners, manager: Manager) -> ApiError:
    def who(other: Manager) -> str:
        text = f'conflict with "{other.name}"'
        text += f' with subresource "{other.subresource}"' if other.subresource else ""
        return text + (f" using {other.api_version}" if other.operation != "Apply" else "")

    pairs = sorted((who(other), fields.show(path)) for other, paths in disputed.items() for path in paths)
    causes = [{"reason": "FieldManagerConflict", "message": text, "field": path} for text, path in pairs]
    if len(pairs) == 1:
        message = f"Apply failed with 1 conflict: {pairs[0][0]}: {pairs[0][1]}"
    else:
        groups = {text: [path for other, path in pairs if other == text] for text, _ in pairs}
        lines = [
            text.replace("conflict with", "conflicts with") + ":\n" + "\n".join(f"- {path}" for path in paths)
            for text, paths in groups.items()
        ]
        message = f"Apply failed with {len(pairs)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})


def _merge(live: Any, patch: Any, found: Type | None) -> Any:
    if found is None or found.atomic or found.shape in ("any", "scalar") or live is None or patch is None:
        return copy(patch)
    if isinstance(live, dict) and isinstance(patch, dict):
        merged = copy(live)
        for key, value in patch.items():
            merged[key] = _merge(live.get(key), value, found.items or found.fields.get(key))
        return merged
    if not (isinstance(live, list) and isinstance(patch, list)):
        return copy(patch)
    if not found.keys:
        return [*live, *(one for one in patch if one not in live)]
    known = {fields.step_of(one, found.keys): one for one in live}
    sent = {fields.step_of(one, found.keys): one for one in patch}
    sent = {step: _merge(known.get(step), one, found.items) for step, one in sent.items()}
    if set(known) <= set(sent):  # the patch alone says what the list is, and in which order
        return list(sent.values())
    return [sent.pop(step) if step in sent else copy(one) for step, one in known.items()] + list(sent.values())


def _remove(obj: Any, found: Type, path: fields.Path) -> None:
    trail: list[tuple[Any, Any]] = []
    place, kind = obj, found
    for step in path:
        below = fields.children(place, kind)
        if below is None or step not in below:
            return
        value, inner = below[step]
        key: Any = step[2:]
        if isinstance(place, list):
            key = place.index(value)
        trail.append((place, key))
        place, kind = value, inner or Type("any")
    for at, (place, key) in enumerate(reversed(trail)):
        del place[key]
        if place or at >= len(trail) - 2:
            return
