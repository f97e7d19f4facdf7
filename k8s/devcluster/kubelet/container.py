"""One container of a pod: image, start, probes, end, and again as the restart policy says."""

import asyncio
import hashlib
import shutil
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..kubeapi import ApiError, backoff
from . import launch, probes
from .context import Context
from .images import Image, missing
from .process import Process, StartError, end
from .spec import ConfigError
from .volumes import Volumes

Object = dict[str, Any]
STOPPED = "stopped"
OOM_KILLED = "OOMKilled"


class Owner(Protocol):
    """What a container needs of its pod."""

    obj: Object
    ip: str
    volumes: Volumes

    def changed(self) -> None:
        """The status is to be written."""


class Container:
    """State as the API shows it, and the task that moves it on."""

    def __init__(self, context: Context, owner: Owner, spec: Object, folder: Path, *, init: bool) -> None:
        self._context, self._owner = context, owner
        self.spec, self.folder, self.init = spec, folder, init
        self.name: str = spec["name"]
        self.state: Object = {
            "waiting": {"reason": "PodInitializing" if not init and self._has_init() else "ContainerCreating"}
        }
        self.last: Object = {}
        self.ready = self.started = False
        self.attempt = max(self._attempts(), default=-1)
        self._starting: asyncio.Task[None] | None = None
        self._pauses: dict[str, float] = {}
        before = self.run_number(self.attempt - 1)
        result = before.result() if before and before.started else None
        if before and result:
            self.last = {"terminated": self.terminated(before, result)}

    def _has_init(self) -> bool:
        return bool(self._owner.obj["spec"].get("initContainers"))

    @property
    def process(self) -> Process | None:
        """The newest run."""
        return self.run_number(self.attempt)

    def run_number(self, attempt: int) -> Process | None:
        """A run that is still kept: the newest or the one before it."""
        folder = self.folder / str(attempt)
        return Process(folder) if folder.is_dir() else None

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.attempt)

    def _attempts(self) -> list[int]:
        return [int(entry.name) for entry in self.folder.iterdir()] if self.folder.is_dir() else []

    def event(self, kind: str, reason: str, message: str) -> None:
        """Record an event about this container."""
        self._context.events.pod(self._owner.obj, kind, reason, message, self.name, init=self.init)

    async def run(self) -> int:
        """Run to its final end; the exit code. Never returns for a container that is always started again."""
        process = self.process
        while True:
            if process is None or (process.reason == STOPPED and not process.alive()):
                process = await self._start(await self._image())
            failure = process.start_failure
            terminated = await self._not_started(failure) if failure else await self._running(process)
            if process.reason != STOPPED:
                self.ready, self.started = self.init and terminated["exitCode"] == 0, False
                self._set({"terminated": terminated})
                if not self._again(terminated["exitCode"]):
                    return int(terminated["exitCode"])
                await self._pause(terminated)
            self.last = {"terminated": terminated}
            process = None

    def _set(self, state: Object) -> None:
        self.state = state
        self._owner.changed()

    def _again(self, code: int) -> bool:
        policy = self._owner.obj["spec"].get("restartPolicy") or "Always"
        if policy == "Never":
            return False
        return code != 0 or (policy == "Always" and not self.init)

    def _next_pause(self, kind: str) -> float:
        """Seconds to wait: the first back-off, then double, at most 30 times the first."""
        base = self._context.backoff
        self._pauses[kind] = min(30 * base, 2 * self._pauses.get(kind, base / 2))
        return self._pauses[kind]

    async def _pause(self, terminated: Object) -> None:
        if "restart" not in self._pauses:  # as a kubelet: at once the first time, then with a growing pause
            self._pauses["restart"] = self._context.backoff / 2
            return
        pause, pod = self._next_pause("restart"), self._owner.obj["metadata"]
        where = f"{pod['name']}_{pod['namespace']}({pod['uid']})"
        text = f"back-off {_duration(pause)} restarting failed container={self.name} pod={where}"
        self.last = {"terminated": terminated}
        self._set({"waiting": {"reason": "CrashLoopBackOff", "message": text}})
        self.event("Warning", "BackOff", f"Back-off restarting failed container {self.name} in pod {where}")
        await asyncio.sleep(pause)

    async def _image(self) -> Image:
        name = self.spec["image"]
        image = self._context.images.find(name)
        while image is None:
            error = missing(name)
            self.event("Normal", "Pulling", f'Pulling image "{name}"')
            self.event("Warning", "Failed", f'Failed to pull image "{name}": {error}')
            self.event("Warning", "Failed", "Error: ErrImagePull")
            self._set({"waiting": {"reason": "ErrImagePull", "message": error}})
            pause = self._next_pause("pull")
            await asyncio.sleep(pause * 0.2)
            self.event("Normal", "BackOff", f'Back-off pulling image "{name}"')
            self.event("Warning", "Failed", "Error: ImagePullBackOff")
            text = f'Back-off pulling image "{name}": ErrImagePull: {error}'
            self._set({"waiting": {"reason": "ImagePullBackOff", "message": text}})
            await asyncio.sleep(pause * 0.8)
            image = self._context.images.find(name)
        return image

    async def _start(self, image: Image) -> Process:
        spec = await self._describe(image)
        self.event("Normal", "Pulled", f'Container image "{self.spec["image"]}" already present on machine')
        self.attempt = max(self._attempts(), default=-1) + 1
        process = Process(self.folder / str(self.attempt))
        for old in self._attempts():
            if old < self.attempt - 1:
                shutil.rmtree(self.folder / str(old), ignore_errors=True)
        self.event("Normal", "Created", "Container created")
        # Whoever cancels us must be able to wait until there is something that can be killed.
        self._starting = asyncio.create_task(process.start(spec))
        with suppress(StartError):
            await asyncio.shield(self._starting)
            self.event("Normal", "Started", "Container started")
        return process

    async def _describe(self, image: Image) -> Object:
        attempt = 0
        while True:
            try:
                return await launch.describe(
                    self._context, self._owner.obj, self.spec, image, volumes=self._owner.volumes, ip=self._owner.ip
                )
            except ConfigError as error:
                self._set({"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}})
                self.event("Warning", "Failed", f"Error: {error}")
                await asyncio.sleep(min(self._context.backoff, 2.0))
            except ApiError:
                await asyncio.sleep(backoff(attempt))
                attempt += 1

    async def _not_started(self, failure: Object) -> Object:
        message = failure["message"]
        terminated = {
            "exitCode": 128,
            "reason": "StartError",
            "message": message,
            "startedAt": "1970-01-01T00:00:00Z",
            "finishedAt": _seconds(failure["finishedAt"]),
            "containerID": self.container_id,
        }
        self.last = {"terminated": terminated}
        self.event("Warning", "Failed", f"Error: {message}")
        self._set({"waiting": {"reason": "RunContainerError", "message": message}})
        await asyncio.sleep(min(self._context.backoff / 5, 2.0))
        return terminated

    async def _running(self, process: Process) -> Object:
        if process.started:
            self._set({"running": {"startedAt": _seconds(process.started["startedAt"])}})
        began = time.monotonic()
        guard = asyncio.create_task(self._guard(process))
        try:
            result = await process.wait()
        finally:
            guard.cancel()
            await asyncio.gather(guard, return_exceptions=True)
        if time.monotonic() - began > 60 * self._context.backoff:
            self._pauses.clear()
        return self.terminated(process, result)

    async def _guard(self, process: Process) -> None:
        """The container's probes, for as long as it runs."""
        if self.init:
            return
        target = probes.Target(process, self.spec, self._owner.ip)
        if "startupProbe" in self.spec:
            await probes.watch(self.spec["startupProbe"], target, partial(self._probed, process, "Startup"))
        self.started, self.ready = True, "readinessProbe" not in self.spec
        self._owner.changed()
        await asyncio.gather(
            *(
                probes.watch(self.spec[key], target, partial(self._probed, process, kind))
                for kind, key in (("Readiness", "readinessProbe"), ("Liveness", "livenessProbe"))
                if key in self.spec
            )
        )

    async def _probed(self, process: Process, kind: str, verdict: bool | None, text: str) -> bool:
        """Take in a probe's verdict; whether the probing is over."""
        if text:
            self.event("Warning", "Unhealthy", f"{kind} probe failed: {text}")
        if kind == "Readiness" and verdict is not None and verdict != self.ready:
            self.ready = verdict
            self._owner.changed()
        if kind != "Readiness" and verdict is False:
            self.event("Normal", "Killing", f"Container {self.name} failed {kind.lower()} probe, will be restarted")
            await end([process], float(self._owner.obj["spec"].get("terminationGracePeriodSeconds") or 30))
        return kind == "Startup" and verdict is True

    async def settle(self) -> Process | None:
        """The newest run, once its start is over; the task of `run` must have been cancelled before."""
        if self._starting:
            await asyncio.gather(self._starting, return_exceptions=True)
        return self.process

    def ended(self) -> None:
        """Show the newest run as it ended, after a stop."""
        process = self.process
        result = process.result() if process and not process.start_failure else None
        self.ready = self.started = False
        if process and result and process.started:
            self._set({"terminated": self.terminated(process, result)})

    @property
    def container_id(self) -> str:
        """An id of the newest run."""
        digest = hashlib.sha256(f"{self.folder}/{self.attempt}".encode()).hexdigest()
        return f"devcluster://{digest}" if self.attempt >= 0 else ""

    def terminated(self, process: Process, result: Object) -> Object:
        """The `terminated` state of a run that is over."""
        started = process.started or {"startedAt": result["finishedAt"]}
        state = {
            "exitCode": result["exitCode"],
            "reason": "Completed" if result["exitCode"] == 0 else "Error",
            "startedAt": _seconds(started["startedAt"]),
            "finishedAt": _seconds(result["finishedAt"]),
            "containerID": self.container_id,
        }
        if result.get("unknown"):
            state["reason"] = "ContainerStatusUnknown"
            state["message"] = "The container could not be located when the pod was terminated"
        if process.reason == OOM_KILLED:
            state["reason"] = OOM_KILLED
        return state


def _seconds(stamp: str) -> str:
    return stamp[:19] + "Z"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
