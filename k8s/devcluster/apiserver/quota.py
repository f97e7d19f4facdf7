"""ResourceQuota: what a namespace uses, kept up to date with every change, and refusals in the API server's words."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from . import errors, limits
from .quantity import parse, show
from .resources import BY_PLURAL, Resource
from .store import Change, Store

Object = dict[str, Any]
Amounts = dict[str, Decimal]

_QUOTAS = BY_PLURAL["resourcequotas"]
_COUNTED = ("services", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas", "replicationcontrollers")
#: What every container must state when a quota limits it.
_STATED = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_PLAIN = ("cpu", "memory", "ephemeral-storage")
_ONE = Decimal(1)


def usage(resource: Resource, obj: Object) -> Amounts:
    """What one object counts for."""
    amounts: Amounts = {f"count/{errors.qualified(resource.plural, resource.group)}": _ONE}
    if resource.plural in _COUNTED:
        amounts[resource.plural] = _ONE
    if resource.plural == "pods":
        amounts |= _pod(obj)
    elif resource.plural == "services":
        kind, ports = obj["spec"].get("type"), obj["spec"].get("ports") or []
        if kind in ("NodePort", "LoadBalancer"):
            amounts["services.nodeports"] = Decimal(len(ports))
        if kind == "LoadBalancer":
            amounts["services.loadbalancers"] = _ONE
    elif resource.plural == "persistentvolumeclaims":
        requests = (obj["spec"].get("resources") or {}).get("requests") or {}
        amounts["requests.storage"] = parse(requests.get("storage", "0"))
    return amounts


def _pod(obj: Object) -> Amounts:
    if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    amounts: Amounts = {"pods": _ONE}
    totals = limits.totals(obj["spec"])
    for field in ("requests", "limits"):
        for name, amount in totals[field].items():
            amounts[f"{field}.{name}"] = amount
            if field == "requests" and name in _PLAIN:
                amounts[name] = amount
    return amounts


class Quotas:
    """The quotas of all namespaces."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._used: dict[str, Amounts] = defaultdict(lambda: defaultdict(Decimal))
        #: Namespaces whose quotas' status has to be written anew.
        self.stale: set[str] = set()
        for resource in BY_PLURAL.values():
            for entry in store.each(resource):
                self._count(resource, entry.obj, 1)
        store.listen(self._changed)

    def _count(self, resource: Resource, obj: Object, sign: int) -> None:
        namespace = obj["metadata"].get("namespace")
        if namespace:
            used = self._used[namespace]
            for name, amount in usage(resource, obj).items():
                used[name] += sign * amount

    def _changed(self, resource: Resource, change: Change) -> None:
        if change.before is not None:
            self._count(resource, change.before.obj, -1)
        if change.type != "DELETED":
            self._count(resource, change.entry.obj, 1)
        namespace = change.entry.obj["metadata"].get("namespace")
        if namespace and self._store.count(_QUOTAS, namespace):
            self.stale.add(namespace)

    def check(self, resource: Resource, obj: Object, before: Object | None = None) -> None:
        """Raises ApiError 403 when the namespace has no room for the object, or for its change from `before`."""
        meta = obj["metadata"]
        if not self._store.count(_QUOTAS, meta.get("namespace", "")):
            return
        wanted = usage(resource, obj)
        for name, amount in (usage(resource, before) if before else {}).items():
            wanted[name] = wanted.get(name, Decimal()) - amount
        used = self._used[meta["namespace"]]
        for entry in self._store.each(_QUOTAS, meta["namespace"]):
            hard = (entry.obj.get("spec") or {}).get("hard") or {}
            why = self._unstated(hard, obj) if resource.plural == "pods" and before is None else ""
            if why:
                why = f"failed quota: {entry.obj['metadata']['name']}: {why}"
            else:
                why = self._exceeded(entry.obj["metadata"]["name"], hard, wanted, used)
            if why:
                raise errors.forbidden(resource.plural, meta["name"], why, resource.group)

    @staticmethod
    def _unstated(hard: Object, pod: Object) -> str:
        missing = []
        containers = [*(pod["spec"].get("containers") or []), *(pod["spec"].get("initContainers") or [])]
        for name in sorted(set(hard) & set(_STATED)):
            field, _, short = name.rpartition(".")
            silent = [
                one["name"]
                for one in containers
                if short not in ((one.get("resources") or {}).get(field or "requests") or {})
            ]
            if silent:
                missing.append(f"{name} for: {','.join(silent)}")
        return f"must specify {'; '.join(missing)}" if missing else ""

    @staticmethod
    def _exceeded(quota: str, hard: Object, wanted: Amounts, used: Amounts) -> str:
        over = sorted(
            name
            for name, amount in wanted.items()
            if name in hard and amount > 0 and used[name] + amount > parse(hard[name])
        )
        if not over:
            return ""
        requested = ",".join(f"{name}={_show(name, wanted[name])}" for name in over)
        taken = ",".join(f"{name}={_show(name, used[name])}" for name in over)
        limited = ",".join(f"{name}={hard[name]}" for name in over)
        return f"exceeded quota: {quota}, requested: {requested}, used: {taken}, limited: {limited}"

    def statuses(self, namespace: str) -> list[tuple[Object, Object]]:
        """(quota, the status that it should have) for those of a namespace whose status says something else."""
        found = []
        for entry in self._store.each(_QUOTAS, namespace):
            hard = (entry.obj.get("spec") or {}).get("hard") or {}
            used = self._used[namespace]
            status = {"hard": hard, "used": {name: _show(name, used[name]) for name in hard}}
            if entry.obj.get("status") != status:
                found.append((entry.obj, status))
        return found


def _show(name: str, amount: Decimal) -> str:
    return show(amount, binary="memory" in name or "storage" in name)
