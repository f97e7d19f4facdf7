"""The kubelet of the embedded cluster: a client of any API server that runs the pods of its node as local processes."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..kubeapi import Api
from . import monitor
from .agent import Agent
from .context import Addresses, Context, pod_network
from .events import Events
from .hollow import Hollow
from .images import Images
from .logs import Server
from .node import Node, capacity
from .process import shim

log = logging.getLogger(__name__)

_SITE = Path(__file__).resolve().parents[3]


async def run(options: Any) -> None:
    """Be the node `options.node_name` of the cluster of `options.kubeconfig`, until cancelled.

    Options: kubeconfig, dir (state), node_name, capacity (quantities by resource, or None for those of the machine), hollow,
    images_dir; and where given hollow_delay (seconds), labels (of the node), backoff (seconds of the first back-off),
    pod_network (in which pods have their addresses, such as "198.18.0.0/15"), namespaces (False: translate paths even where
    the machine allows mount namespaces). When cancelled it ends all processes of pods and leaves the pods in the API, to be
    started again; killed outright, it leaves them running, to be adopted. Raises SystemExit(2) after one line on stderr when
    pods cannot have such addresses.
    """
    folder = Path(options.dir).absolute()
    (folder / "pods").mkdir(parents=True, exist_ok=True, mode=0o700)
    while not Path(options.kubeconfig).exists():
        await asyncio.sleep(0.05)
    async with Api.from_kubeconfig(options.kubeconfig, user_agent="devcluster-kubelet") as api:
        resources = capacity(options.capacity)
        context = Context(
            api=api,
            events=Events(api, options.node_name),
            images=Images(Path(options.images_dir)),
            folder=folder,
            node=options.node_name,
            allocatable=resources,
            hidden=[path for path in (folder, _SITE, Path.home()) if path != Path("/")],
            namespaces=await _namespaces(options),
            backoff=float(getattr(options, "backoff", None) or 10.0),
            addresses=_addresses(options),
        )
        if options.hollow:
            node = Node(api, options.node_name, resources, 0, getattr(options, "labels", None) or {})
            delay = getattr(options, "hollow_delay", None)
            await _together(node.run(), Hollow(context, 2.0 if delay is None else float(delay)).run())
        else:
            await _serve(context, resources, getattr(options, "labels", None) or {})


def _addresses(options: Any) -> Addresses:
    wanted = getattr(options, "pod_network", None)
    try:
        return Addresses(pod_network(wanted)) if wanted else Addresses()
    except (OSError, ValueError) as problem:
        sys.stderr.write(f"kubelet: {problem}\n")
        raise SystemExit(2) from None


async def _serve(context: Context, resources: dict[str, str], labels: dict[str, str]) -> None:
    agent = Agent(context)
    server = Server(agent.find)
    await server.start()
    node = Node(context.api, context.node, resources, server.port, labels)
    log.info("node %s: logs on port %s, mount namespaces: %s", context.node, server.port, context.namespaces)
    try:
        await _together(
            node.run(), agent.run(), context.events.run(), monitor.memory(agent.pods), monitor.storage(agent.pods)
        )
    finally:
        closing = asyncio.create_task(_close(agent, server))
        while not closing.done():  # a second cancellation must not leave processes behind
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(closing)
        agent.kill()


async def _close(agent: Agent, server: Server) -> None:
    await agent.stop()
    await server.stop()


async def _together(*work: Any) -> None:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _namespaces(options: Any) -> bool:
    """Whether containers can have a root folder of their own here: tried once, in a process of its own."""
    if options.hollow or getattr(options, "namespaces", None) is False:
        return False
    with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(subprocess.TimeoutExpired):
        tried = await asyncio.to_thread(
            subprocess.run, shim("probe", scratch), env={}, capture_output=True, timeout=10, check=False
        )
        return tried.returncode == 0
    return False
