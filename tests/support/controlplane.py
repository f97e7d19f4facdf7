"""A real control plane of a test's own: started, broken, set back, and given nodes and an ingress by the embedded cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from k8s.errors import Error
from tests.controlplane import programs
from tests.controlplane.arguments import ENVIRONMENT, commands
from tests.controlplane.identity import Identity
from tests.controlplane.processes import Processes
from tests.support.cluster import Cluster, is_ready, wait_for

_ROOT = Path(__file__).resolve().parents[2]
_DEADLINE = 60.0  # seconds


class ControlPlane(Cluster):
    """Use as a context manager, or stop it. Its state lies in one folder, from which it can be started again."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.identity = Identity(self.folder)
        self.processes = Processes(self.folder)
        self._commands = dict(commands(self.folder, self.identity))

    @classmethod
    def start(cls, folder: Path | str) -> Self:
        """A control plane that is ready (about 8 s from nothing). Raises programs.NotBuilt."""
        if why := programs.missing():
            raise programs.NotBuilt(why)
        plane = cls(folder)
        try:
            plane.start_all()
        except BaseException:
            plane.stop()
            raise
        return plane

    def start_all(self) -> None:
        """Start what does not run, and wait until all of it is ready."""
        for name in programs.PROGRAMS:
            self.restart(name)
        # Pods cannot be made before the controller of service accounts has come this far.
        wait_for("the account of the namespace default", lambda: self._is_there("ServiceAccount", "default"), _DEADLINE)

    def restart(self, name: str) -> None:
        """Start one of the programs again on its state and port, and wait until it answers. One that runs is left alone."""
        self.processes.start(name, [programs.folder() / name, *self._commands[name]], env=ENVIRONMENT)
        if name == "kube-apiserver":
            wait_for("the API server is ready", self._answers, _DEADLINE)
        elif name in ("kube-controller-manager", "kube-scheduler"):
            self._require(name)

    def kill(self, name: str) -> None:
        """End one of the programs, or of what is attached, as a crash does (SIGKILL), and wait."""
        self.processes.end(name, signal.SIGKILL)

    def stop_one(self, name: str) -> None:
        """End one in order (SIGTERM), and wait."""
        self.processes.end(name)

    def stop(self) -> None:
        """End all, the attached first; the state stays."""
        names = self.processes.names()
        order = [name for name in names if name not in programs.PROGRAMS] + list(reversed(programs.PROGRAMS))
        for name in order:
            self.processes.end(name)

    def snapshot(self, folder: Path) -> Path:
        """Stop the server for a moment and copy its state to `folder`, which must not exist. What is attached goes on."""
        with self._stopped():
            shutil.copytree(self.folder / "etcd", folder)
        return folder

    def restore(self, folder: Path) -> None:
        """Set the cluster back to a snapshot, as an operator does after a loss."""
        with self._stopped():
            shutil.rmtree(self.folder / "etcd")
            shutil.copytree(folder, self.folder / "etcd")

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        """All four: a controller that remembers a later state would act on it."""
        for name in reversed(programs.PROGRAMS):
            self.processes.end(name)
        try:
            yield
        finally:
            self.start_all()

    def wipe(self) -> None:
        """Stop, and forget the state."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def kubeconfig(self) -> Path:
        return self.identity.kubeconfig("admin")

    def audit(self, user: str = "") -> list[dict[str, Any]]:
        """Every answered call since the first start, as audit.k8s.io Events; those of one user if named."""
        return audit_of(self.folder, user)

    def attach_kubelet(
        self,
        name: str = "node-1",
        *,
        hollow: bool = False,
        capacity: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        """Give the cluster a node, ready for pods. `hollow`: pods become ready without running processes.

        `options`: more of the command line, such as ("--labels", "gpu=a100"). It is a program by the name of the node,
        for `kill`, `stop_one` and `detach`; attaching a name again starts it again on its folder.
        """
        arguments = ["kubelet", "--node-name", name, *options]
        if hollow:
            arguments.append("--hollow")
        if capacity:
            arguments += ["--capacity", ",".join(f"{key}={amount}" for key, amount in capacity.items())]
        self._attach(name, arguments)
        self._wait_attached(name, "takes pods", lambda: self._is_node_ready(name))

    def attach_ingress(self, name: str = "ingress", port: int = 0) -> int:
        """Give the cluster an ingress at `<host>:<port>` on loopback; the port, which stays the same from start to start."""
        self._attach(name, ["ingress", "--ingress-port", str(port)])
        self._wait_attached(name, "listens", lambda: self._listens(name))
        return self.ingress_port(name)

    def ingress_port(self, name: str = "ingress") -> int:
        """Where an attached ingress listens."""
        return int((self.folder / name / "ingress-port").read_text())

    def detach(self, name: str) -> None:
        """End a node or an ingress for good. The node's object and its pods go too, as if the machine had been taken away."""
        self.processes.end(name)
        client = self.client()
        if client.delete("Node", name):
            for pod in client.list("Pod", fields=f"spec.nodeName={name}").items:
                meta = pod["metadata"]
                client.delete("Pod", meta["name"], meta["namespace"], uid=meta["uid"], grace_seconds=0)

    def _attach(self, name: str, arguments: list[str]) -> None:
        images = os.environ.get("DEVCLUSTER_IMAGES", str(_ROOT / ".run" / "images"))
        kubeconfig = self.identity.kubeconfig("kubelet")
        common = ["--kubeconfig", kubeconfig, "--dir", self.folder / name, "--images-dir", images]
        self.processes.start(name, [sys.executable, "-m", "k8s.devcluster", *arguments, *common], cwd=_ROOT)

    def _wait_attached(self, name: str, what: str, condition: Any) -> None:
        def check() -> bool:
            self._require(name)
            return bool(condition())

        wait_for(f"{name} {what} ({self.processes.log(name)})", check)

    def _require(self, name: str) -> None:
        assert self.processes.find(name), f"{name} has ended: {self.processes.tail(name)}"

    def _answers(self) -> bool:
        for name in ("etcd", "kube-apiserver"):
            self._require(name)
        with contextlib.suppress(OSError):  # refused, not yet certified, and 5xx
            return str(self.request("GET", "/readyz")) == "ok"
        return False

    def _listens(self, name: str) -> bool:
        with contextlib.suppress(OSError):  # no port known yet, or nobody at it
            socket.create_connection(("127.0.0.1", self.ingress_port(name)), 1).close()
            return True
        return False

    def _is_there(self, kind: str, name: str, namespace: str = "default") -> bool:
        with contextlib.suppress(Error):
            return bool(self.client().get(kind, name, namespace))
        return False

    def _is_node_ready(self, name: str) -> bool:
        with contextlib.suppress(Error):
            return is_ready(self.client().get("Node", name))
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def audit_of(folder: Path, user: str = "") -> list[dict[str, Any]]:
    """The same by the folder of a control plane, which may have been started by another process, or be stopped."""
    path = folder / "log" / "audit.jsonl"
    if not path.exists():
        return []
    complete = path.read_text().rpartition("\n")[0]
    calls = [json.loads(line) for line in complete.splitlines()]
    return [call for call in calls if not user or call["user"].get("username") == user]
