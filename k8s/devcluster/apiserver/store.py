"""All objects, in memory, with the history that watches need."""

import bisect
import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .errors import expired
from .journal import Journal
from .resources import BY_PLURAL, Resource

Object = dict[str, Any]
#: Changes of a kind that are kept for watches that come back.
HISTORY = 10_000
#: Lines of the journal after which it is rewritten.
_REWRITE = 200_000


@dataclass(slots=True)
class Entry:
    """One version of an object. What it holds is never changed: a new version is a new entry."""

    obj: Object
    version: int
    #: Its JSON without the opening brace, and without apiVersion and kind.
    tail: bytes
    _whole: bytes = field(default=b"")

    def whole(self, resource: Resource) -> bytes:
        """Its JSON."""
        if not self._whole:
            head = f'{{"kind":"{resource.kind}","apiVersion":"{resource.api_version}"'
            self._whole = head.encode() + (b"," if self.tail != b"}" else b"") + self.tail
        return self._whole


class Change(NamedTuple):
    """One thing that happened. `before` is the version that was replaced or removed."""

    version: int
    type: str
    entry: Entry
    before: Entry | None


Watcher = Callable[[Change], None]


def dump(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _entry(obj: Object, version: int) -> Entry:
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    return Entry(obj, version, dump(rest)[1:])


class Store:
    """Objects by kind, namespace ("" for those without) and name; every change is in the journal before it is seen."""

    def __init__(self, path: Path, *, history: int = HISTORY) -> None:
        self._journal = Journal(path)
        self._history_size = history
        self._objects: dict[str, dict[str, dict[str, Entry]]] = defaultdict(lambda: defaultdict(dict))
        self._history: dict[str, deque[Change]] = defaultdict(lambda: deque(maxlen=history))
        self._uids: dict[str, tuple[str, str, str]] = {}
        self._watchers: dict[str, dict[int, Watcher]] = defaultdict(dict)
        self._everywhere: list[Callable[[Resource, Change], None]] = []
        self._next_watcher = 0
        self._lines = 0
        self.version, objects = self._journal.load()
        for (plural, namespace, name), obj in objects.items():
            if plural in BY_PLURAL:
                entry = _entry(obj, int(obj["metadata"]["resourceVersion"]))
                self._objects[plural][namespace][name] = entry
                self._uids[obj["metadata"]["uid"]] = (plural, namespace, name)
        #: Before this version no history is known; of some kinds, not before a later one.
        self._start = self.version
        self._forgotten: dict[str, int] = {}
        self._rewrite()

    def _rewrite(self) -> None:
        everything = {
            (plural, namespace, name): entry.whole(BY_PLURAL[plural])
            for plural, spaces in self._objects.items()
            for namespace, names in spaces.items()
            for name, entry in names.items()
        }
        self._journal.start(self.version, everything)
        self._lines = 0

    def close(self) -> None:
        """Let go of the file."""
        self._journal.close()

    def get(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """One object, or None."""
        return self._objects[resource.plural][namespace].get(name)

    def by_uid(self, uid: str) -> tuple[str, str, str] | None:
        """(plural, namespace, name) of the object with this uid, or None."""
        return self._uids.get(uid)

    def each(self, resource: Resource, namespace: str = "") -> Iterator[Entry]:
        """All objects of a kind, in one namespace or in all, in the order of their names."""
        spaces = self._objects[resource.plural]
        for space in [namespace] if namespace else sorted(spaces):
            names = spaces.get(space, {})
            for name in sorted(names):
                yield names[name]

    def count(self, resource: Resource, namespace: str) -> int:
        """How many there are in a namespace."""
        return len(self._objects[resource.plural][namespace])

    def put(self, resource: Resource, obj: Object) -> Entry:
        """Store a version; its resourceVersion is written into `obj`, which must not be changed afterwards."""
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        before = self.get(resource, namespace, name)
        meta["resourceVersion"] = str(self.version + 1)
        entry = _entry(obj, self.version + 1)
        self._journal.write(entry.version, (resource.plural, namespace, name), entry.whole(resource))
        self.version += 1
        self._objects[resource.plural][namespace][name] = entry
        self._uids[meta["uid"]] = (resource.plural, namespace, name)
        self._tell(resource, Change(self.version, "MODIFIED" if before else "ADDED", entry, before))
        return entry

    def remove(self, resource: Resource, obj: Object) -> Entry:
        """Remove an object; its last state, with a resourceVersion of its own, is what watches see."""
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        self._journal.write(self.version + 1, (resource.plural, namespace, name), None)
        self.version += 1
        before = self._objects[resource.plural][namespace].pop(name)
        self._uids.pop(meta["uid"], None)
        last = _entry({**obj, "metadata": {**meta, "resourceVersion": str(self.version)}}, self.version)
        self._tell(resource, Change(self.version, "DELETED", last, before))
        return last

    def _tell(self, resource: Resource, change: Change) -> None:
        history = self._history[resource.plural]
        if len(history) == self._history_size:
            self._forgotten[resource.plural] = history[0].version
        history.append(change)
        for watcher in list(self._watchers[resource.plural].values()):
            watcher(change)
        for listener in self._everywhere:
            listener(resource, change)
        self._lines += 1
        if self._lines > _REWRITE:
            self._rewrite()

    def since(self, resource: Resource, version: int) -> list[Change]:
        """What happened to a kind after `version`. Raises ApiError 410 when that is too long ago."""
        oldest = max(self._forgotten.get(resource.plural, 0), self._start)
        if version < oldest:
            raise expired(f"too old resource version: {version} ({oldest})")
        history = self._history[resource.plural]
        return list(history)[bisect.bisect_right(history, version, key=lambda change: change.version) :]

    def compact(self) -> None:
        """Forget the history, as etcd does every few minutes."""
        self._history.clear()
        self._forgotten.clear()
        self._start = self.version

    def watch(self, resource: Resource, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` for each change of a kind from now on; the answer ends it."""
        self._next_watcher += 1
        number = self._next_watcher
        self._watchers[resource.plural][number] = watcher
        return lambda: self._watchers[resource.plural].pop(number, None) and None

    def listen(self, listener: Callable[[Resource, Change], None]) -> None:
        """Call `listener` for every change, for ever."""
        self._everywhere.append(listener)
