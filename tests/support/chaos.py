"""A site on a real control plane that is broken under it, and what must be true of rows and cluster afterwards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

from k8s import labels
from k8s.client import Client
from k8s.errors import NotFound
from labs.services.rendering import WORKLOAD_KINDS
from tests.support.cluster import wait_for
from tests.support.controlplane import ControlPlane
from tests.support.faulty import FaultyProxy
from tests.support.stack import Stack

NAMESPACE = "ml-physics-250"
ROOM = """
from labs.models import Quota
for quota in Quota.objects.filter(instance__slug="physics-250"):
    quota.cpu_millis = quota.memory_mib = quota.running = None
    quota.save()
"""
LAUNCH = """
from django.utils import timezone
from accounts.models import User
from labs.errors import Refusal
from labs.models import Instance
from labs.services.launch import launch
instance = Instance.objects.get(slug="physics-250")
actor, template = User.objects.get(email="member@example.org"), instance.services.get()
for name in "{names}".split():
    try:
        launch(actor=actor, instance=instance, template=template, now=timezone.now(),
            values={{"name": name, "cpu": "0.25", "memory": "512", "lifetime": "60"}})
    except Refusal as refusal:
        assert refusal.code == "cluster-silent", refusal
    else:
        print(name)
"""
STOP = """
from django.utils import timezone
from accounts.models import User
from labs.models import Workload
from labs.services.stopping import stop
for row in Workload.objects.live().filter(name__in="{names}".split()).select_related("instance", "owner"):
    stop(row, actor=User.objects.get(email="member@example.org"), now=timezone.now())
"""


class Row(NamedTuple):
    name: str
    state: str
    is_ready: bool
    owner_uid: str


class Site:
    """The stack, its control plane, and the proxy between the two."""

    def __init__(self, stack: Stack, plane: ControlPlane, proxy: FaultyProxy, database_url: str) -> None:
        self.stack, self.plane, self.proxy, self._url = stack, plane, proxy, database_url

    @property
    def admin(self) -> Client:
        return self.plane.client()

    def make_room(self) -> None:
        """No limits any more, neither in the rows nor on the cluster."""
        self.stack.shell(ROOM)
        quota = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas"
        wait_for("the limits are gone", lambda: not any(
            "count/pods" in item["spec"].get("hard", {}) for item in self.plane.request("GET", quota)["items"]))  # fmt: skip

    def launch(self, names: list[str]) -> None:
        """All of them. Who is told that the cluster is not responding tries again, for it may have been away a moment ago."""
        left = list(names)

        def all_taken() -> bool:
            taken = self.try_to_launch(left)
            left[:] = [name for name in left if name not in taken]
            return not left

        wait_for("all launches are taken", all_taken)

    def try_to_launch(self, names: list[str]) -> list[str]:
        """Those that were taken; the others were told that the cluster is not responding."""
        return self.stack.shell(LAUNCH.format(names=" ".join(names))).split()

    def stop(self, names: list[str]) -> None:
        self.stack.shell(STOP.format(names=" ".join(names)))

    def rows(self) -> dict[str, Row]:
        """Every workload, by its id."""
        connection = psycopg2.connect(self._url)
        try:
            with connection.cursor() as cursor:
                cursor.execute("select id, name, state, is_ready, owner_uid from labs_workload")
                found = cursor.fetchall()
        finally:
            connection.close()
        return {str(pk): Row(*rest) for pk, *rest in found}

    def pod_uids(self) -> dict[str, str]:
        """Of the workloads that have a pod: its uid, by the name of the workload."""
        rows = self.rows()
        return {rows[pk].name: pod["metadata"]["uid"] for pk, pod in self._ours("Pod") if pk in rows}

    def _ours(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        found = self.admin.list(kind, labels=labels.WORKLOAD, fields=f"metadata.namespace={NAMESPACE}").items
        return [(item["metadata"]["labels"][labels.WORKLOAD], item) for item in found]

    def untrue(self, running: list[str]) -> list[str]:
        """What rows and cluster say that is not so when these workloads run and all others have ended. Empty: all is true."""
        rows = self.rows()
        wrong = [f"{row.name} is {row.state}, ready: {row.is_ready}" for row in rows.values()
                 if (row.state, row.is_ready) != (("running", True) if row.name in running else ("ended", False))]  # fmt: skip
        wrong += [f"no row of {name}" for name in set(running) - {row.name for row in rows.values()}]
        for kind in WORKLOAD_KINDS:
            ours = self._ours(kind)
            count = Counter(rows[pk].name if pk in rows else f"unknown {pk}" for pk, _ in ours)
            wrong += [f"{count[name]} {kind} of {name}" for name in running if count[name] != 1]
            wrong += [f"{kind} of {name} is left" for name in count if name not in running]
            wrong += [f"{kind} of {rows[pk].name} is of another Secret" for pk, item in ours
                      if pk in rows and rows[pk].owner_uid != _owner(item)]  # fmt: skip
        return wrong


def _owner(item: dict[str, Any]) -> str:
    owners = item["metadata"].get("ownerReferences")
    return str(owners[0]["uid"] if owners else item["metadata"]["uid"])


class Foreign:
    """Objects that are not the site's, some of them beside its own and much like them."""

    def __init__(self, client: Client) -> None:
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "foreign"}})
        marks = {labels.MANAGED_BY: labels.MANAGER, labels.SITE: "another-site", labels.WORKLOAD: "of-theirs"}
        objects = [
            _secret("foreign", "theirs", {}),
            _secret("foreign", "like-ours", marks),
            _secret(NAMESPACE, "by-hand", {}),
            _pod("foreign", "theirs", {}),
            _pod("foreign", "like-ours", marks),
        ]
        self._made = [client.apply(one) for one in objects]

    def touched(self, client: Client) -> list[str]:
        """Those that are gone, or not the same any more."""
        return [one["metadata"]["name"] for one in self._made if not _same(client, one)]


def _same(client: Client, made: dict[str, Any]) -> bool:
    metadata = made["metadata"]
    try:
        found = client.get(made["kind"], metadata["name"], metadata["namespace"])
    except NotFound:
        return False
    is_there = found["metadata"]["uid"] == metadata["uid"] and "deletionTimestamp" not in found["metadata"]
    return is_there and _content(found) == _content(made)


def _content(obj: dict[str, Any]) -> dict[str, Any]:
    """What somebody has asked for; the scheduler adds the node."""
    content = obj.get("data") or obj.get("spec") or {}
    return {key: value for key, value in content.items() if key != "nodeName"}


def _secret(namespace: str, name: str, marks: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": marks}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": "b"}}


def _pod(namespace: str, name: str, marks: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": marks}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"containers": [{"name": "main", "image": "example/theirs:1"}]}}  # fmt: skip


def folder_of(path: Path, name: str) -> Path:
    """A folder of this name, made."""
    folder = path / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
