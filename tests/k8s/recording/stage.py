"""What the situations share: a client that does not try again, namespaces and nodes of their own, and lean recordings."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from k8s import capacity, manifests
from k8s.client import Client
from k8s.errors import Conflict, Error, NamespaceTerminating, NotFound, Rejected, Unavailable
from k8s.instance_objects import instance_objects
from k8s.kinds import path
from tests.k8s import examples
from tests.support.cluster import wait_for

Object = dict[str, Any]
#: (cause that must be told, name of the case, what was seen)
Recording = tuple[str, str, Object]
CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"}
#: When every recorded pod was made.
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
_EVENT_FIELDS = (
    "type",
    "reason",
    "message",
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "count",
    "reportingComponent",
)


@dataclass
class Stage:
    """One cluster without nodes of its own, by an administrator's kubeconfig. `close` removes what was made."""

    kubeconfig: Path
    folder: Path
    client: Client = field(init=False)
    _made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = Client.from_kubeconfig(self.kubeconfig, retries=0)

    def close(self) -> None:
        """Remove what was made, the last first."""
        for url in reversed(self._made):
            self._delete(url)

    def create(self, obj: Object, url: str = "", client: Client | None = None) -> Object:
        """POST. `url`: of the collection, for kinds that the site does not use. Raises k8s.errors.Error."""
        metadata = obj.get("metadata") or {}
        namespace, name = metadata.get("namespace"), metadata.get("name", "")
        url = url or path(obj["kind"], namespace)
        made: Object = (client or self.client)._json(
            "create", "POST", url, body=obj, headers={"Content-Type": "application/json"}
        )
        if name and not namespace:
            self._made.append(f"{url}/{name}")
        return made

    def remove(self, url: str) -> None:
        """Delete one object now rather than at the end."""
        self._delete(url)
        self._made = [other for other in self._made if other != url]

    def _delete(self, url: str) -> None:
        try:
            body = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
            self.client._json("delete", "DELETE", url, body=body, headers={"Content-Type": "application/json"})
        except NotFound:
            pass
        except Error as problem:
            print(f"{url} stays: {problem}")

    def namespace(self, name: str, quota: dict[str, int | None] | None = None, *, bare: bool = False) -> str:
        """A fresh namespace, provisioned as an instance's, or `bare`."""
        wait_for(f"{name} is free", lambda: self._is_free(name))
        self._made.append(path("Namespace", name=name))
        if bare:
            self.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        else:
            made = instance_objects(
                name="ml101",
                namespace=name,
                site="site-1",
                quota=quota or {},
                ingress_namespace_labels={"name": "ingress"},
            )
            for obj in made:
                self.client.apply(obj)
            wait_for("the quota is counted", lambda: self._is_counted(name))
        wait_for("the namespace has its account", lambda: self._is_there("ServiceAccount", "default", name))
        return name

    def _is_there(self, kind: str, name: str, namespace: str | None = None) -> bool:
        try:
            return bool(self.client.get(kind, name, namespace))
        except NotFound:
            return False

    def _is_counted(self, namespace: str) -> bool:
        return self.client.get("ResourceQuota", "instance", namespace).get("status", {}).get("hard") is not None

    def _is_free(self, name: str) -> bool:
        if not self._is_there("Namespace", name):
            return True
        self.client.delete("Namespace", name)
        return False

    def node(
        self, name: str, extra: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any
    ) -> None:
        """A node that only the control plane believes in, with these taints and no others."""
        spec.setdefault("taints", [])
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}
        url = path("Node", name=name)
        if not self._is_there("Node", name):
            self.create({"apiVersion": "v1", "kind": "Node", "metadata": meta})
        merge = {"Content-Type": "application/merge-patch+json"}
        spec = {"unschedulable": None, **spec}
        self.client._json("patch", "PATCH", url, body={"metadata": meta, "spec": spec}, headers=merge)
        amounts = {**CAPACITY, **(extra or {})}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        status = {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}
        self.client._json("patch", "PATCH", f"{url}/status", body={"status": status}, headers=merge)

    def machines(self) -> list[Object]:
        """The snapshot that the site would have of it."""
        return capacity.machines(self.client.list("Node").items, self.client.list("Pod").items)

    # Recordings ------------------------------------------------------------------------------------------------------

    def refused(self, call: Callable[[], Any]) -> Object:
        """What the call was answered instead of being done."""
        try:
            call()
        except Error as error:
            return error_as_json(error)
        raise AssertionError("accepted")

    def refused_pod(self, namespace: str, made: Object) -> Object:
        return self.refused(lambda: self.client.apply(placed(made, namespace)))

    def seen(
        self, namespace: str, name: str, *, until: Callable[[Object], Any], event: str = "", about: str = ""
    ) -> Object:
        """The pod as soon as `until` is true of it, and its events; with those of `about` (a claim), one of reason `event`."""

        def pod() -> Object | None:
            try:
                found = self.client.get("Pod", name, namespace)
            except NotFound:
                return None
            return found if until(found) else None

        found = wait_for(f"the pod {name} is as expected", pod, 120)
        names = {name, about} - {""}

        def events() -> list[Object]:
            listed = self.client.list("Event", namespace).items
            mine = [item for item in listed if item["involvedObject"]["name"] in names]
            return mine if not event or any(item["reason"] == event for item in mine) else []

        said = wait_for(f"an event of {names}", events, 60) if event else events()
        return recording(found, said)


def pod(name: str, **changes: Any) -> Object:
    """A lab's pod, as the site renders it."""
    context = examples.context(**{"cpu_limit_millis": 64000, **changes})
    made: Object = manifests.render(manifests.builtin("jupyterlab"), context)[1]
    made["metadata"]["name"] = name
    for volume in made["spec"]["volumes"]:
        if "secret" in volume:
            volume["secret"]["secretName"] = name  # its own, as a cluster that is held to k8s/site/policy.yaml wants it
    return made


def placed(made: Object, namespace: str) -> Object:
    made["metadata"]["namespace"] = namespace
    return made


def error_as_json(error: Error) -> Object:
    """An error of the client; `error_of` makes it again."""
    said = {"type": type(error).__name__, "code": error.code, "reason": error.reason, "message": _stable(error.message)}
    return {"error": said | ({"kind": error.kind} if isinstance(error, Rejected) else {})}


def error_of(recorded: Object) -> Error:
    """The error of a recording."""
    said = dict(recorded["error"])
    kinds = (Rejected, NotFound, Conflict, Unavailable, NamespaceTerminating)
    kind = {one.__name__: one for one in kinds}[said.pop("type")]
    made: Error = kind(said.pop("message"), **said)
    return made


def _stable(message: str) -> str:
    message = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:8443", message)
    message = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", str(examples.UID), message)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "2026-01-01T12:00:00Z", message)


def recording(found: Object, events: list[Object]) -> Object:
    """A pod and its events without what differs from run to run; the pod was made at BEGIN."""
    made = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
    lean = copy.deepcopy(found)
    for key in ("managedFields", "resourceVersion", "uid", "selfLink"):
        lean["metadata"].pop(key, None)
    for event in events:
        event.setdefault("count", 1)
    said = [
        {
            **{key: event[key] for key in _EVENT_FIELDS if event.get(key)},
            "involvedObject": {key: event["involvedObject"][key] for key in ("kind", "name")},
            "metadata": {"creationTimestamp": event["metadata"]["creationTimestamp"]},
        }
        for event in sorted(events, key=lambda item: (item["metadata"]["creationTimestamp"], item["reason"]))
    ]
    shifted: Object = _shift({"pod": lean, "events": said}, BEGIN - made)
    return shifted


def _shift(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {key: _shift(item, by) for key, item in value.items()}
    if isinstance(value, list):
        return [_shift(item, by) for item in value]
    if isinstance(value, str) and _TIME.match(value):
        moved = datetime.fromisoformat(value) + by
        return moved.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return _stable(value) if isinstance(value, str) else value


def condition(found: Object, kind: str) -> Object:
    """One condition of a pod; empty if it has none of that type."""
    return next((item for item in found.get("status", {}).get("conditions") or [] if item["type"] == kind), {})


def unschedulable(found: Object) -> bool:
    return condition(found, "PodScheduled").get("reason") == "Unschedulable"


def is_conflict(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Conflict:
        return True
    return False
