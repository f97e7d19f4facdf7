"""The pods of this node: which are to run, and which folders are left over."""

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Any

from .container import STOPPED
from .context import Context
from .pod import Pod, finish_deletion
from .process import Process, end

log = logging.getLogger(__name__)

Object = dict[str, Any]


class Agent:
    """Follows the pods that are bound to the node."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods: dict[str, Pod] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def pods(self) -> list[Pod]:
        """The pods that are here."""
        return list(self._pods.values())

    async def run(self) -> None:
        """Follow the pods of the node, for ever."""
        swept = False
        async for kind, item in self._context.api.follow("pods", fields=f"spec.nodeName={self._context.node}"):
            if kind == "SYNC":
                present = {pod["metadata"]["uid"] for pod in item}
                for uid in set(self._pods) - present:
                    self._gone(uid)
                if not swept:
                    swept = True
                    await self._sweep(present)
            for pod in item if kind == "SYNC" else [item]:
                self._see(kind, pod)

    def _see(self, kind: str, obj: Object) -> None:
        uid = obj["metadata"]["uid"]
        folder = self._context.folder / "pods" / uid
        if kind == "DELETED":
            self._gone(uid)
        elif uid in self._pods:
            self._pods[uid].observe(obj)
        elif obj["metadata"].get("deletionTimestamp") and not folder.exists():
            self._spawn(finish_deletion(self._context, obj))
        elif obj.get("status", {}).get("phase") not in ("Succeeded", "Failed") or folder.exists():
            pod = self._pods[uid] = Pod(self._context, obj)
            if obj["metadata"].get("deletionTimestamp"):
                pod.observe(obj)
        if uid in self._pods and self._pods[uid].terminating:
            self._spawn(self._forget(uid))

    def _gone(self, uid: str) -> None:
        if uid in self._pods:
            self._pods[uid].gone()
            self._spawn(self._forget(uid))

    async def _forget(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod:
            await pod.finished()
            self._pods.pop(uid, None)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sweep(self, present: set[str]) -> None:
        """Remove folders, and kill processes, of pods that went away while no kubelet was running."""
        for folder in (self._context.folder / "pods").glob("*"):
            if folder.name not in present:
                log.info("removing what is left of pod %s", folder.name)
                await end([Process(run) for run in runs(folder)], 1.0)
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def find(self, namespace: str, name: str, container: str, previous: bool) -> Process:
        """The run whose log is asked for. Raises LookupError, or ValueError when there is no such run (yet)."""
        for pod in self._pods.values():
            meta = pod.obj["metadata"]
            if (meta["namespace"], meta["name"]) != (namespace, name):
                continue
            for one in pod.containers:
                if one.name == container:
                    process = one.run_number(one.attempt - (1 if previous else 0))
                    if process:
                        return process
                    if previous:
                        raise ValueError(f'previous terminated container "{container}" in pod "{name}" not found')
                    why = one.state.get("waiting", {}).get("reason", "ContainerCreating")
                    raise ValueError(f'container "{container}" in pod "{name}" is waiting to start: {why}')
            raise LookupError(f"container {container} is not valid for pod {name}")
        raise LookupError(f'pod "{name}" not found')

    async def stop(self) -> None:
        """End all processes; the pods stay in the API."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(pod.stop() for pod in self._pods.values()))

    def kill(self) -> None:
        """Kill at once what is still running, for a stop that was itself cut short."""
        for folder in (self._context.folder / "pods").glob("*"):
            for process in map(Process, runs(folder)):
                if process.alive():
                    process.mark(STOPPED)
                    process.kill()


def runs(folder: Path) -> list[Path]:
    """The folders of all runs of all containers of a pod."""
    return [path for path in folder.glob("containers/*/*") if path.is_dir()]
