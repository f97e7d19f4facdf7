"""The whole site as on a laptop, each program a process of its own: cluster, web, worker, watcher."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from k8s.client import Client
from tests.support.controlplane import ControlPlane
from tests.support.databases import lead_demo_to
from tests.support.devcluster import DevCluster
from tests.support.postgres import free_port
from tests.support.prompt import Prompt
from tests.support.site import ROOT, environment, manage

#: What a real control plane is given: programs to `kill`, `stop_one` and attach again.
NODE, INGRESS = "site-node", "site-ingress"
#: A port at which nobody listens (discard).
NOBODY = 9
IMAGES = Path(os.environ.get("DEVCLUSTER_IMAGES") or ROOT / ".run" / "images")
#: Why a test that runs real labs cannot run here; empty when it can.
NO_IMAGES = (
    "" if (IMAGES / "jupyterlab" / "bin" / "jupyter").exists() else "the lab image is not installed (make setup)"
)


def until(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.2) -> Any:
    """The condition's first true answer. Fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(every)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class Stack:
    """Started by `start`; `kill(name)` is SIGKILL, `start_one(name)` brings it back. Logs lie in the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        hollow: bool = False,
        capacity: dict[str, str] | None = None,
        plane: ControlPlane | None = None,
        account: Path | None = None,
        is_debug: bool = True,
        node_options: tuple[str, ...] = (),
    ) -> None:
        """`database_url`: of a database with the demo in it, such as `Databases` makes. `plane`: a real control plane in the
        place of the embedded API server. `account`: the kubeconfig by which the site comes to the cluster, in the place of
        the administrator's. `is_debug` off: as in production. `node_options`: as `attach_kubelet` takes them."""
        self.folder, self.plane, self.account, self.node_options = folder, plane, account, node_options
        folder.mkdir(parents=True, exist_ok=True)
        self.web_port = free_port()
        self.url = f"http://127.0.0.1:{self.web_port}"
        self.env = environment(
            database_url,
            SITE_URL=self.url,
            LOG_LEVEL="INFO",
            STATIC_ROOT=str(folder / "static"),
            RATE_LIMITS="launch=0,extend=0,stop=0",  # one person of the demo does what a class does
        )
        self.is_debug = is_debug
        self.hollow, self.capacity = hollow, capacity or {"cpu": "16", "memory": "32Gi"}
        python = sys.executable
        self.commands: dict[str, list[str]] = {
            "web": [
                python,
                "-m",
                "gunicorn",
                "--config",
                "python:mlsite.server",
                "mlsite.wsgi",
                "-b",
                f"127.0.0.1:{self.web_port}",
                "--threads",
                "8",
                "--no-control-socket",
            ],
            "worker": [python, "manage.py", "qcluster"],
            "watcher": [python, "manage.py", "watch"],
        }
        self.cluster: DevCluster | None = None
        self._prompt: Prompt | None = None
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """All of it, ready to be used."""
        if self.plane:
            self.plane.attach_kubelet(NODE, hollow=self.hollow, capacity=self.capacity, options=self.node_options)
            if not self.hollow:
                self.plane.attach_ingress(INGRESS)
        else:
            self.cluster = DevCluster.start(
                self.folder / "cluster", ("up",), self.hollow, self.capacity, ["--ingress-port", "0"]
            )
        lead_demo_to(self.env, self.account or self.kubeconfig, self.ingress_port)
        if not self.is_debug:
            self.env["DEBUG"] = ""
            manage("collectstatic", "--noinput", "-v0", env=self.env)
        for name in ("web", "worker", "watcher"):
            self.start_one(name)

    @property
    def _cluster(self) -> DevCluster:
        assert self.cluster, "the stack has not been started"
        return self.cluster

    @property
    def kubeconfig(self) -> Path:
        """An administrator's."""
        return (self.plane or self._cluster).kubeconfig

    @property
    def node_folder(self) -> str:
        """Where the node keeps what its pods need."""
        return str(self.plane.folder / NODE if self.plane else self._cluster.dir)

    @property
    def ingress_port(self) -> int:
        """Where labs are reached. On a real control plane nobody is there when pods only pretend: there is nothing to reach."""
        if self.plane:
            return NOBODY if self.hollow else self.plane.ingress_port(INGRESS)
        return self._cluster.ingress_port

    def start_one(self, name: str) -> None:
        """One program (again): "web", "worker", "watcher" or "cluster"; "watcher-2" is another one of the kind."""
        if name == "cluster":
            self._cluster.restart()
            return
        log = (self.folder / f"{name}.log").open("ab")
        self.running[name] = subprocess.Popen(
            self.commands[name.partition("-")[0]],
            env=self.env,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if name == "web":
            until(self._web_answers, 30, "the site answers")

    def kill(self, name: str) -> None:
        """SIGKILL, to the program and to the processes that it made; not to what runs in pods."""
        if name == "cluster":
            self._cluster.kill()  # what runs in its pods goes on
            return
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop_one(self, name: str) -> None:
        """The orderly end of one program (SIGTERM)."""
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """The orderly end of all, the cluster last."""
        if self._prompt:
            self._prompt.close()
        for name in reversed(list(self.running)):
            self.stop_one(name)
        if self.cluster:
            self.cluster.stop()
        if self.plane:
            self.plane.detach(NODE)
            if not self.hollow:
                self.plane.detach(INGRESS)

    def client(self) -> Client:
        """An administrator's."""
        return (self.plane or self._cluster).client()

    def shell(self, code: str) -> str:
        """Run a line of Python inside the site; returns what it printed."""
        if self._prompt is None:
            self._prompt = Prompt({**self.env, "LOG_LEVEL": "ERROR"})
        return self._prompt.run(code)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _web_answers(self) -> bool:
        self._alive("web")
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _alive(self, name: str) -> None:
        if self.running[name].poll() is not None:
            raise AssertionError(f"{name} ended at once: {self.log(name)[-2000:]}")
