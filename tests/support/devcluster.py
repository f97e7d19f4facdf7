"""An embedded cluster of a test's own, in a process that can be stopped, killed and started again."""

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.cluster import DEADLINE, Cluster, is_ready, wait_for

__all__ = ["DevCluster", "wait_for"]

_ROOT = Path(__file__).resolve().parents[2]


class DevCluster(Cluster):
    """A cluster whose state is in one folder. Use as a context manager, or stop it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._arguments: list[str] = []
        self.dir = Path()

    @classmethod
    def start(
        cls,
        dir: Path | str,
        parts: Sequence[str] = ("apiserver",),
        hollow: bool = False,
        capacity: dict[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> Self:
        """A cluster of these parts ("apiserver" alone, or "up" with all), ready to be asked.

        `hollow`: pods become ready without running processes. `capacity`: of the node. `options`: more of the command line.
        """
        cluster = cls()
        cluster.dir = Path(dir).absolute()
        cluster.dir.mkdir(parents=True, exist_ok=True)
        part = parts[0] if len(parts) == 1 else "up"
        images = os.environ.get("DEVCLUSTER_IMAGES", str(_ROOT / ".run" / "images"))
        cluster._arguments = [part, "--dir", str(cluster.dir), "--images-dir", images, *options]
        if hollow:
            cluster._arguments.append("--hollow")
        if capacity:
            cluster._arguments += ["--capacity", ",".join(f"{name}={amount}" for name, amount in capacity.items())]
        try:
            cluster._launch()
        except BaseException:
            cluster.kill()
            raise
        return cluster

    def _launch(self) -> None:
        with (self.dir / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "k8s.devcluster", *self._arguments],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(f"the cluster is ready ({self.dir / 'log'})", self._ready)

    def _ready(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise AssertionError(f"the cluster ended with {self._process.returncode}: {self.log()}")
        with contextlib.suppress(OSError, ValueError, KeyError):
            with urllib.request.urlopen(f"{self.api_url}/readyz", timeout=2, context=self.tls()):
                pass
            if self._arguments[0] != "up":
                return True
            return any(map(is_ready, self.client().list("Node").items)) and (self.dir / "ingress-port").exists()
        return False

    @property
    def kubeconfig(self) -> Path:
        """The file by which clients find the cluster."""
        return self.dir / "kubeconfig"

    @property
    def ingress_port(self) -> int:
        """Where the labs' addresses lead."""
        return int((self.dir / "ingress-port").read_text())

    @property
    def pid(self) -> int:
        """Of the one process."""
        assert self._process
        return self._process.pid

    def log(self) -> str:
        """What the process has written."""
        return (self.dir / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End it as a supervisor does (SIGTERM), and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does (SIGKILL), and wait."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(sign)
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise AssertionError(f"the cluster did not end within {DEADLINE} s: {self.log()[-2000:]}") from None

    def restart(self) -> None:
        """Start it again on the same folder and port; it is stopped before if it runs."""
        self.stop()
        self._launch()

    def faults(self, **settings: Any) -> dict[str, Any]:
        """Make calls fail: error_rate, codes, latency_seconds, drop_watches_after_seconds, only, except_user_agent.

        What is not named is well again; without any, all is.
        """
        answer: dict[str, Any] = self.request("PUT", "/devcluster/faults", settings)
        return answer

    def calls(self, user_agent: str = "") -> dict[tuple[str, str], int]:
        """Requests answered since the start or since `forget_calls`, by (verb, kind), of the programs named so."""
        found: dict[tuple[str, str], int] = {}
        for one in self.request("GET", "/devcluster/calls")["calls"]:
            if one["user_agent"].startswith(user_agent):
                key = (one["verb"], one["kind"])
                found[key] = found.get(key, 0) + one["count"]
        return found

    def forget_calls(self) -> None:
        """Count from nought again."""
        self.request("DELETE", "/devcluster/calls")

    def compact(self) -> None:
        """Let the API server forget its history, so that older watches are answered with 410."""
        self.request("POST", "/devcluster/compact", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
