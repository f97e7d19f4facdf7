"""The garbage collector: what belongs to objects that are gone is removed."""

import contextlib
import time
from collections import defaultdict
from typing import Any

from .errors import ApiError
from .meta import copy, now, parse_time
from .registry import DeleteOptions, Registry, Request
from .resources import BY_KIND, BY_PLURAL, RESOURCES, Resource
from .store import Change, Entry

Object = dict[str, Any]
Place = tuple[str, str, str]

#: Seconds that events are kept.
_EVENTS_SECONDS = 3600
#: Seconds between looks at them.
_EVENTS_EVERY = 60.0
_EVENTS = BY_PLURAL["events"]
_REQUEST = Request(manager="garbage-collector")


class Garbage:
    """Follows ownerReferences, by uid."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._store = registry, registry.store
        #: uids of owners -> places of what they own
        self._owned: dict[str, set[Place]] = defaultdict(set)
        self._waiting: set[Place] = set()
        self._next_events = 0.0
        for resource in RESOURCES:
            for entry in self._store.each(resource):
                self._note(resource, entry.obj)

    def _note(self, resource: Resource, obj: Object) -> None:
        meta = obj["metadata"]
        place = (resource.plural, meta.get("namespace", ""), meta["name"])
        for owner in meta.get("ownerReferences") or []:
            self._owned[owner["uid"]].add(place)
        if meta.get("ownerReferences") or meta.get("deletionTimestamp"):
            self._waiting.add(place)

    def changed(self, resource: Resource, change: Change) -> None:
        """Remember what a change makes worth looking at."""
        meta = change.entry.obj["metadata"]
        place = (resource.plural, meta.get("namespace", ""), meta["name"])
        for owner in (change.before.obj["metadata"].get("ownerReferences") or []) if change.before else []:
            self._owned[owner["uid"]].discard(place)
            if change.type == "DELETED":
                found = self._store.by_uid(owner["uid"])
                if found:
                    self._waiting.add(found)  # an owner may wait for the last of these
        if change.type == "DELETED":
            self._waiting |= self._owned.pop(meta["uid"], set())
        else:
            self._note(resource, change.entry.obj)

    def step(self) -> None:
        """Do what there is to do; it may give rise to more."""
        while self._waiting:
            places, self._waiting = self._waiting, set()
            for place in places:
                resource = BY_PLURAL[place[0]]
                entry = self._store.get(resource, place[1], place[2])
                if entry is not None:
                    with contextlib.suppress(ApiError):
                        self._look(resource, entry)
        if time.monotonic() > self._next_events:
            self._next_events = time.monotonic() + _EVENTS_EVERY
            self._old_events()

    def _look(self, resource: Resource, entry: Entry) -> None:
        meta = entry.obj["metadata"]
        if meta.get("deletionTimestamp"):
            self._release(resource, entry)
            return
        owners = meta.get("ownerReferences") or []
        states = [(owner, self._owner(meta.get("namespace", ""), owner)) for owner in owners]
        solid = [owner for owner, found in states if found is not None and not _in_foreground(found)]
        if not owners:
            return
        gone = [owner for owner, found in states if found is None]
        waiting = [owner for owner, found in states if found is not None and _in_foreground(found)]
        if solid:
            if gone or waiting:
                self._keep_owners(resource, entry, solid)
            return
        policy = "Foreground" if waiting and self._owned.get(meta["uid"]) else "Background"
        self._registry.delete(
            resource,
            meta.get("namespace", ""),
            meta["name"],
            DeleteOptions(propagation=policy, uid=meta["uid"]),
            _REQUEST,
        )

    def _owner(self, namespace: str, owner: Object) -> Object | None:
        resource = BY_KIND.get((owner["apiVersion"], owner["kind"]))
        if resource is None:
            return None
        found = self._store.get(resource, namespace if resource.namespaced else "", owner["name"])
        return found.obj if found and found.obj["metadata"]["uid"] == owner["uid"] else None

    def _keep_owners(self, resource: Resource, entry: Entry, owners: list[Object]) -> None:
        obj = copy(entry.obj)
        obj["metadata"]["ownerReferences"] = owners
        self._registry.replace(resource, entry, obj, _REQUEST)

    def _release(self, resource: Resource, entry: Entry) -> None:
        """Take the collector's own finalizers off an object once their work is done."""
        meta = entry.obj["metadata"]
        finalizers = meta.get("finalizers") or []
        if "orphan" in finalizers:
            for place in list(self._owned.get(meta["uid"], ())):
                self._disown(place, meta["uid"])
            self._without(resource, entry, "orphan")
        elif "foregroundDeletion" in finalizers:
            blocking = [place for place in self._owned.get(meta["uid"], ()) if self._blocks(place, meta["uid"])]
            self._waiting |= {place for place in self._owned.get(meta["uid"], set()) if not self._is_ending(place)}
            if not blocking:
                self._without(resource, entry, "foregroundDeletion")

    def _is_ending(self, place: Place) -> bool:
        found = self._store.get(BY_PLURAL[place[0]], place[1], place[2])
        return found is None or bool(found.obj["metadata"].get("deletionTimestamp"))

    def _blocks(self, place: Place, uid: str) -> bool:
        found = self._store.get(BY_PLURAL[place[0]], place[1], place[2])
        references = (found.obj["metadata"].get("ownerReferences") or []) if found else []
        return any(one["uid"] == uid and one.get("blockOwnerDeletion") for one in references)

    def _disown(self, place: Place, uid: str) -> None:
        resource = BY_PLURAL[place[0]]
        found = self._store.get(resource, place[1], place[2])
        if found:
            owners = [one for one in found.obj["metadata"].get("ownerReferences") or [] if one["uid"] != uid]
            self._keep_owners(resource, found, owners)

    def _without(self, resource: Resource, entry: Entry, finalizer: str) -> None:
        obj = copy(entry.obj)
        obj["metadata"]["finalizers"] = [one for one in obj["metadata"]["finalizers"] if one != finalizer]
        self._registry.replace(resource, entry, obj, _REQUEST)

    def _old_events(self) -> None:
        today = parse_time(now())
        for entry in list(self._store.each(_EVENTS)):
            last = entry.obj.get("lastTimestamp") or entry.obj["metadata"]["creationTimestamp"]
            if (today - parse_time(last)).total_seconds() > _EVENTS_SECONDS:
                self._store.remove(_EVENTS, entry.obj)


def _in_foreground(obj: Object) -> bool:
    """Whether an owner is being removed and waits for what it owns."""
    meta = obj["metadata"]
    return bool(meta.get("deletionTimestamp")) and "foregroundDeletion" in (meta.get("finalizers") or [])
