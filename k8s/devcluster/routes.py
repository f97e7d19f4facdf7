"""Pure: where a request for a host and a path goes, from the Ingresses, HTTPRoutes, Services and Pods of a cluster."""

import itertools
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]


class NoRoute(LookupError):
    """No Ingress is for this host and path."""


class NotReady(LookupError):
    """There is an Ingress, but no pod behind it is ready."""


class Table:
    """The objects as last seen, and the routes that follow from them."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[Key, Object]] = {"ingresses": {}, "httproutes": {}, "services": {}, "pods": {}}
        self._hosts: dict[str, list[tuple[Key, Object]]] | None = None
        self._ready: dict[tuple[str, str, str | int], list[tuple[str, int]]] = {}
        self._turn = itertools.count()

    def replace(self, kind: str, items: list[Object]) -> None:
        """All objects of a kind, after a list."""
        self._kinds[kind] = {_key(item): item for item in items}
        self._forget(kind)

    def change(self, kind: str, event: str, item: Object) -> None:
        """One change of a watch."""
        if event == "DELETED":
            self._kinds[kind].pop(_key(item), None)
        else:
            self._kinds[kind][_key(item)] = item
        self._forget(kind)

    def _forget(self, kind: str) -> None:
        self._ready.clear()
        if kind in ("ingresses", "httproutes"):
            self._hosts = None

    def find(self, host: str, path: str) -> tuple[str, int]:
        """Address and port of a ready pod. Raises NoRoute or NotReady."""
        namespace, backend = self._backend(host.lower(), path)
        service = backend.get("service") or {}
        port = service.get("port", {}).get("name") or service.get("port", {}).get("number")
        key = (namespace, service.get("name", ""), port)
        if key not in self._ready:
            self._ready[key] = self._endpoints(*key)
        if not self._ready[key]:
            raise NotReady(host)
        return self._ready[key][next(self._turn) % len(self._ready[key])]

    def _backend(self, host: str, path: str) -> tuple[str, Object]:
        if self._hosts is None:
            self._hosts = self._by_host()
        for name in (host, "*." + host.partition(".")[2], ""):
            matches = [
                (rank, key, entry["backend"])
                for key, entry in self._hosts.get(name, [])
                if (rank := _rank(entry, path)) is not None
            ]
            if matches:
                _, (namespace, _), backend = max(matches, key=lambda match: match[0])
                return namespace, backend
        raise NoRoute(host)

    def _by_host(self) -> dict[str, list[tuple[Key, Object]]]:
        hosts: dict[str, list[tuple[Key, Object]]] = {}
        for key, ingress in self._kinds["ingresses"].items():
            for rule in ingress["spec"].get("rules") or []:
                entries = (rule.get("http") or {}).get("paths") or []
                hosts.setdefault((rule.get("host") or "").lower(), []).extend((key, entry) for entry in entries)
        for key, route in self._kinds["httproutes"].items():
            for host in route["spec"].get("hostnames") or [""]:
                hosts.setdefault(host.lower(), []).extend((key, entry) for entry in _entries(route))
        return hosts

    def _endpoints(self, namespace: str, name: str, port: str | int) -> list[tuple[str, int]]:
        service = self._kinds["services"].get((namespace, name))
        selector = (service or {}).get("spec", {}).get("selector")
        entry = next(
            (
                one
                for one in (service or {}).get("spec", {}).get("ports") or []
                if port in (one.get("name"), one["port"])
            ),
            None,
        )
        if not selector or not entry:
            return []
        target = entry.get("targetPort") or entry["port"]
        found = [
            (pod["status"]["podIP"], number)
            for (space, _), pod in self._kinds["pods"].items()
            if space == namespace and _matches(pod, selector) and _is_ready(pod) and (number := _number(pod, target))
        ]
        return sorted(found)


def _entries(route: Object) -> Iterator[Object]:
    """The rules of an HTTPRoute in the form of an Ingress's paths; of what may match, the path alone."""
    for rule in route["spec"].get("rules") or []:
        for backend in (rule.get("backendRefs") or [])[:1]:
            service = {"name": backend["name"], "port": {"number": backend.get("port")}}
            for match in rule.get("matches") or [{}]:
                path = match.get("path") or {}
                kind = "Exact" if path.get("type") == "Exact" else "Prefix"
                yield {"path": path.get("value", "/"), "pathType": kind, "backend": {"service": service}}


def _key(item: Object) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _rank(entry: Object, path: str) -> tuple[int, int] | None:
    """How well an entry fits: an exact path beats a prefix, a longer one a shorter one; None when it does not fit."""
    wanted = entry.get("path") or "/"
    if entry.get("pathType") == "Exact":
        return (1, len(wanted)) if path == wanted else None
    wanted = wanted.rstrip("/")
    return (0, len(wanted)) if path == wanted or path.startswith(wanted + "/") else None


def _matches(pod: Object, selector: dict[str, str]) -> bool:
    return bool((pod["metadata"].get("labels") or {}).items() >= selector.items())


def _is_ready(pod: Object) -> bool:
    status = pod.get("status", {})
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
    return ready and bool(status.get("podIP")) and not pod["metadata"].get("deletionTimestamp")


def _number(pod: Object, target: str | int) -> int | None:
    if isinstance(target, int):
        return target
    ports = (port for one in pod["spec"]["containers"] for port in one.get("ports") or [])
    return next((port["containerPort"] for port in ports if port.get("name") == target), None)
