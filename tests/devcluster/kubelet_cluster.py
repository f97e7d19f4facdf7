"""What the tests of the kubelet and of the ingress share: an API server, programs started and stopped, waiting."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from k8s.devcluster.kubeapi import Api, ApiError, path_of

Object = dict[str, Any]
Value = TypeVar("Value")
ROOT = Path(__file__).resolve().parents[2]
IMAGES = Path(os.environ.get("DEVCLUSTER_IMAGES") or ROOT / ".run" / "images")

_PROGRAM = """
import asyncio, json, signal, sys, types
from k8s.devcluster import ingress, kubelet
async def main():
    options = types.SimpleNamespace(**json.loads(sys.argv[2]))
    work = asyncio.create_task({"kubelet": kubelet, "ingress": ingress}[sys.argv[1]].run(options))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        pass
asyncio.run(main())
"""


def until(condition: Callable[[], Value | None], what: str, *, seconds: float = 20.0) -> Value:
    """The condition's first true value. Fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Program:
    """A kubelet or an ingress in a process of its own."""

    def __init__(self, name: str, **options: Any) -> None:
        command = [sys.executable, "-c", _PROGRAM, name, json.dumps(options, default=str)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


class Cluster:
    """Calls to the API server under test, in a namespace of the test's own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = f"test-{secrets.token_hex(4)}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.call("POST", path_of("namespaces"), body)

    def call(self, method: str, path: str, body: Object | None = None, **options: Any) -> Object:
        async def one() -> Object:
            async with Api.from_kubeconfig(self.kubeconfig, user_agent="test") as api:
                return await api.persist(method, path, body, **options)

        return asyncio.run(one())

    def create(self, resource: str, body: Object) -> Object:
        # A service account appears a moment after its namespace.
        def attempt() -> Object | None:
            try:
                return self.call("POST", path_of(resource, self.namespace), body)
            except ApiError as error:
                if error.code != 403:
                    raise
                return None

        return until(attempt, f"{resource} created")

    def get(self, resource: str, name: str) -> Object | None:
        try:
            return self.call("GET", path_of(resource, self.namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def delete(self, resource: str, name: str, **options: Any) -> None:
        self.call("DELETE", path_of(resource, self.namespace, name), options or None)

    def secret(self, name: str, **data: str) -> None:
        self.create("secrets", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})

    def pod(self, node: str, *containers: Object, name: str = "", **spec: Any) -> str:
        """Create a pod bound to a node; its name."""
        name = name or f"pod-{secrets.token_hex(4)}"
        named = [{"name": f"c{number}", "image": "busybox:1", **one} for number, one in enumerate(containers)]
        base = {"nodeName": node, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 5}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}}
        self.create("pods", {**body, "spec": {**base, "containers": named, **spec}})
        return name

    def pod_when(self, name: str, condition: Callable[[Object], Any], what: str, *, seconds: float = 20.0) -> Object:
        """The pod as soon as `condition` is true of it."""
        last: Object = {}

        def check() -> Object | None:
            nonlocal last
            last = self.get("pods", name) or {}
            return last if last and condition(last) else None

        try:
            return until(check, what, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(last.get('status'))}") from None

    def events(self, name: str) -> list[Object]:
        items = self.call("GET", path_of("events", self.namespace))["items"]
        return [item for item in items if item["involvedObject"]["name"] == name]

    def event_when(self, name: str, reason: str, text: str) -> Object:
        def check() -> Object | None:
            return next((one for one in self.events(name) if one["reason"] == reason and text in one["message"]), None)

        return until(check, f"event {reason} with {text!r}")

    def log(self, name: str, **params: str) -> str:
        answer = self.call("GET", path_of("pods", self.namespace, name, "log"), params=params)
        return str(answer.get("message", answer.get("value", "")))


def state(pod: Object, index: int = 0) -> Object:
    """The `state` of a container."""
    statuses = pod.get("status", {}).get("containerStatuses") or [{}] * (index + 1)
    return statuses[index].get("state", {})


def last(pod: Object, index: int = 0) -> Object:
    """How a container's run before this one ended."""
    statuses = pod.get("status", {}).get("containerStatuses") or [{}] * (index + 1)
    return statuses[index].get("lastState", {}).get("terminated", {})


def restarts(pod: Object) -> int:
    """How often the first container was started again."""
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    return int(statuses[0].get("restartCount", 0))


def waiting(pod: Object) -> str:
    """Why the first container waits."""
    return str(state(pod).get("waiting", {}).get("reason", ""))


def ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is true."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def api_server(folder: Path) -> Iterator[Path]:
    """The kubeconfig of an embedded API server, started here."""
    command = [sys.executable, "-m", "k8s.devcluster", "apiserver", "--dir", str(folder)]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        until(lambda: (folder / "kubeconfig").exists() or server.poll() is not None, "kubeconfig written", seconds=30)
        yield folder / "kubeconfig"
    finally:
        server.terminate()
        server.wait()
