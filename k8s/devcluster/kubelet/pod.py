"""One pod on this node, from its binding to its removal."""

import asyncio
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

from ..kubeapi import STRATEGIC, ApiError, backoff, path_of
from . import status
from .container import STOPPED, Container
from .context import Context
from .process import Process, end
from .spec import ConfigError, now, quantity, seconds
from .volumes import Volumes

log = logging.getLogger(__name__)

Object = dict[str, Any]
#: Seconds that a container has when the kubelet itself is stopped.
_STOP_GRACE = 5.0
_SETTLE = 0.03


class Pod:
    """A pod's folder, address and tasks."""

    def __init__(self, context: Context, obj: Object) -> None:
        self._context, self.obj = context, obj
        self.uid: str = obj["metadata"]["uid"]
        self.folder = context.folder / "pods" / self.uid
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = json.loads(path.read_text()) if (path := self.folder / "pod.json").exists() else {}
        self.ip = context.addresses.claim(self.uid, kept.get("ip"))
        self._started = obj.get("status", {}).get("startTime") or kept.get("started") or now()
        meta = obj["metadata"]
        path.write_text(
            json.dumps({"ip": self.ip, "started": self._started, "name": meta["name"], "namespace": meta["namespace"]})
        )
        self.volumes = Volumes(context.api, obj, self.folder / "volumes", context.folder / "volumes", self.ip)
        spec = obj["spec"]
        self.init = [self._container(one, init=True) for one in spec.get("initContainers") or []]
        self.main = [self._container(one, init=False) for one in spec["containers"]]
        was = obj.get("status", {})
        self._final = was.get("phase") in (
            "Succeeded",
            "Failed",
        )  # it ended under a kubelet before us: only its log is left
        self._ending: Object | None = None
        self._dirty = asyncio.Event()
        self._terminating: asyncio.Task[None] | None = None
        self._runner = asyncio.create_task(asyncio.sleep(0) if self._final else self._run())
        self._writer = asyncio.create_task(self._write())

    def _container(self, spec: Object, *, init: bool) -> Container:
        return Container(self._context, self, spec, self.folder / "containers" / spec["name"], init=init)

    @property
    def containers(self) -> list[Container]:
        """Init containers, then the others."""
        return [*self.init, *self.main]

    @property
    def terminating(self) -> bool:
        """Whether the pod's end has begun."""
        return self._terminating is not None

    def changed(self) -> None:
        """The status is to be written."""
        if not self._final:
            self._dirty.set()

    def observe(self, obj: Object) -> None:
        """Take in what the API server says of the pod now."""
        self.obj = obj
        if obj["metadata"].get("deletionTimestamp") and not self._terminating:
            self._terminating = asyncio.create_task(self._terminate())
        elif not status.contains(obj.get("status"), self._status()):
            self.changed()

    def gone(self) -> None:
        """The API server no longer has the pod: nothing of it may stay here."""
        self.obj["metadata"]["deletionGracePeriodSeconds"] = 1
        if not self._terminating:
            self._terminating = asyncio.create_task(self._terminate(report=False))

    async def finished(self) -> None:
        """Wait for the pod's end, once it has begun."""
        if self._terminating:
            await self._terminating

    async def _run(self) -> None:
        deadline = self.obj["spec"].get("activeDeadlineSeconds")
        if not deadline:
            return await self._work()
        left = seconds(self._started) + deadline - time.time()
        try:
            await asyncio.wait_for(self._work(), max(0.0, left))
        except TimeoutError:
            text = "Pod was active on the node longer than the specified deadline"
            self._context.events.pod(self.obj, "Normal", "DeadlineExceeded", text)
            await self._fail("DeadlineExceeded", text)
        return None

    async def _work(self) -> None:
        self.changed()
        await self._prepare()
        never = self.obj["spec"].get("restartPolicy") == "Never"
        for container in self.init:
            if await container.run() != 0 and never:
                return
            self.changed()
        for container in self.main:
            if self.init and container.attempt < 0:
                container.state = {"waiting": {"reason": "PodInitializing"}}
        await asyncio.gather(*(container.run() for container in self.main))

    async def _prepare(self) -> None:
        attempt = 0
        while True:
            try:
                return await self.volumes.prepare()
            except ConfigError as error:
                self._context.events.pod(self.obj, "Warning", "FailedMount", str(error))
                await asyncio.sleep(min(0.5 * 2**attempt, 10.0))
            except ApiError as error:
                if not error.transient:
                    self._context.events.pod(self.obj, "Warning", "FailedMount", str(error))
                await asyncio.sleep(backoff(attempt))
            attempt += 1

    async def evict(self, message: str) -> None:
        """End the pod because it used more storage than it may."""
        self._context.events.pod(self.obj, "Warning", "Evicted", message)
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)
        await self._fail("Evicted", message)

    async def _fail(self, reason: str, message: str) -> None:
        self._ending = {"phase": "Failed", "reason": reason, "message": message}
        await self._stop_containers(0.0 if reason == "Evicted" else self._grace())
        self.changed()

    @property
    def over(self) -> bool:
        """Whether the pod has Succeeded or Failed."""
        return self._final or self._status()["phase"] in ("Succeeded", "Failed")

    def _status(self) -> Object:
        return status.build(self.obj, self.init, self.main, ip=self.ip, started=self._started, ending=self._ending)

    async def _write(self) -> None:
        failures = 0
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_SETTLE)
            self._dirty.clear()
            try:
                if await self._write_once():
                    failures = 0
            except ApiError as error:
                if error.code in (404, 409, 422):
                    log.debug("status of %s: %s", self.obj["metadata"]["name"], error)
                    continue
                await asyncio.sleep(backoff(failures))
                failures += 1
                self._dirty.set()

    async def _write_once(self) -> bool:
        wanted, meta = self._status(), self.obj["metadata"]
        if self._final or status.contains(self.obj.get("status"), wanted):
            return False
        body = {"metadata": {"uid": self.uid}, "status": wanted}
        path = path_of("pods", meta["namespace"], meta["name"], "status")
        answer = await self._context.api.call("PATCH", path, body, content_type=STRATEGIC)
        newer = int(answer["metadata"]["resourceVersion"]) >= int(self.obj["metadata"].get("resourceVersion") or 0)
        if newer and answer["metadata"]["uid"] == self.uid:
            self.obj = answer
        return True

    def _grace(self) -> float:
        meta, spec = self.obj["metadata"], self.obj["spec"]
        value = meta.get("deletionGracePeriodSeconds")
        return float(spec.get("terminationGracePeriodSeconds", 30) if value is None else value)

    async def _stop_containers(self, grace: float, mark: str = "") -> None:
        running: list[Process] = []
        for container in self.containers:
            process = await container.settle()
            if process and process.alive():
                running.append(process)
                if mark:
                    process.mark(mark)
                else:
                    container.event("Normal", "Killing", f"Stopping container {container.name}")
        ending = asyncio.create_task(end(running, grace))
        began = time.monotonic()
        while not ending.done():
            await asyncio.wait([ending], timeout=0.2)
            if not mark and not self._ending and time.monotonic() - began > self._grace():
                for process in running:  # a second deletion asked for less patience
                    process.kill()
        await ending
        if not mark:
            for container in self.containers:
                container.ended()

    async def _terminate(self, *, report: bool = True) -> None:
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)
        await self._stop_containers(self._grace())
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        if report:
            try:
                await self._write_once()
            except ApiError as error:
                log.debug("last status of %s: %s", self.obj["metadata"]["name"], error)
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        self._context.addresses.release(self.ip)
        if report:
            await finish_deletion(self._context, self.obj)

    async def stop(self) -> None:
        """End the processes with the kubelet; the pod stays in the API and is started again by the next kubelet."""
        self._runner.cancel()
        self._writer.cancel()
        await asyncio.gather(self._runner, self._writer, return_exceptions=True)
        if self._terminating:
            self._terminating.cancel()
            await asyncio.gather(self._terminating, return_exceptions=True)
        await self._stop_containers(min(_STOP_GRACE, self._grace()), mark=STOPPED)

    def storage(self) -> str:
        """Why the pod is to be evicted for the storage that it uses, in a kubelet's words; nothing when it is not."""
        for name, limit in self.volumes.limits().items():
            if _usage(self.volumes.path(name)) > quantity(limit):
                return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
        limits = [
            one["resources"]["limits"]["ephemeral-storage"]
            for one in self.obj["spec"]["containers"]
            if one.get("resources", {}).get("limits", {}).get("ephemeral-storage")
        ]
        if limits and len(limits) == len(self.main) and _usage(self.folder) > sum(map(quantity, limits)):
            total = limits[0] if len(limits) == 1 else str(int(sum(map(quantity, limits))))
            return f"Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
        return ""


def _usage(folder: Path) -> int:
    """Bytes on disk below a folder, not following links."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total


async def finish_deletion(context: Context, obj: Object) -> None:
    """Take a pod that has ended out of the API; one of the same name that came after it is left alone."""
    meta = obj["metadata"]
    body = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
    try:
        await context.api.persist("DELETE", path_of("pods", meta["namespace"], meta["name"]), body)
    except ApiError as error:
        if error.code not in (404, 409):
            log.warning("pod %s/%s cannot be removed: %s", meta["namespace"], meta["name"], error)
