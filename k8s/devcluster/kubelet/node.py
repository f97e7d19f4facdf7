"""The Node object: registration, heartbeat, capacity."""

import asyncio
import logging
import os
import platform
from typing import Any

import psutil

from ..kubeapi import MERGE, Api, ApiError, path_of
from .spec import now

log = logging.getLogger(__name__)

Object = dict[str, Any]
HEARTBEAT = 10.0  # seconds
_NOT_READY = "node.kubernetes.io/not-ready"


def capacity(given: dict[str, str] | None) -> dict[str, str]:
    """What the node has: the machine's CPUs, memory and disk, or what was given, and room for pods."""
    machine = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "ephemeral-storage": f"{psutil.disk_usage('/').total // 1024}Ki",
        "pods": "110",
    }
    return machine | (given or {})


class Node:
    """This node as the API server shows it."""

    def __init__(self, api: Api, name: str, resources: dict[str, str], port: int, labels: dict[str, str]) -> None:
        self._api, self._name, self._resources, self._port = api, name, resources, port
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        system = platform.system().lower()
        self._labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": system,
            "kubernetes.io/arch": machine,
            **labels,
        }
        self._info = {
            "operatingSystem": system,
            "architecture": machine,
            "kernelVersion": platform.release(),
            "osImage": platform.platform(),
            "kubeletVersion": "v1.36.0-devcluster",
            "kubeProxyVersion": "",
            "containerRuntimeVersion": "devcluster://1",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        }
        self._since = now()

    async def run(self) -> None:
        """Register, then keep the heartbeat, for ever."""
        while True:
            try:
                await self.beat()
            except ApiError as error:
                log.warning("node %s: %s", self._name, error)
                await asyncio.sleep(0.5)
                continue
            await asyncio.sleep(HEARTBEAT)

    async def beat(self) -> None:
        """Make the Node object say what is so. Raises ApiError."""
        meta = {"name": self._name, "labels": self._labels}
        path = path_of("nodes", None, self._name)
        try:
            node = await self._api.call("GET", path)
        except ApiError as error:
            if error.code != 404:
                raise
            body = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}}
            node = await self._api.call("POST", path_of("nodes"), body)
        taints = node.get("spec", {}).get("taints") or []
        kept = [taint for taint in taints if taint["key"] != _NOT_READY]
        labelled = node["metadata"].get("labels", {}).items() >= self._labels.items()
        if len(kept) != len(taints) or not labelled:
            change: Object = {"metadata": meta, "spec": {"taints": kept or None}}
            await self._api.call("PATCH", path, change, content_type=MERGE)
        await self._api.call("PATCH", f"{path}/status", {"status": self._status()}, content_type=MERGE)

    def _status(self) -> Object:
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now(),
            "lastTransitionTime": self._since,
        }
        calm = [
            {
                "type": name,
                "status": "False",
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now(),
                "lastTransitionTime": self._since,
            }
            for name, reason, message in (
                ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            )
        ]
        return {
            "capacity": self._resources,
            "allocatable": self._resources,
            "conditions": [*calm, ready],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": self._name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "nodeInfo": self._info,
        }
