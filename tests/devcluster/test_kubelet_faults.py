"""A kubelet behind a connection that fails often."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from k8s.devcluster.kubeapi import path_of
from tests.devcluster.kubelet_cluster import IMAGES, Cluster, Program, api_server, ready, until

pytestmark = pytest.mark.slow


class Flaky:
    """Passes calls on to an API server; fails two of five (one before it is done, one after), and cuts watches short."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._turn = itertools.count()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        turn = next(self._turn)
        if turn % 5 == 1:
            return web.json_response({"kind": "Status", "code": 500, "reason": "InternalError"}, status=500)
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, self._server + request.path_qs, headers=headers, data=await request.read(), ssl=tls
            ) as answer,
        ):
            if turn % 5 == 3 and "watch" not in request.query:
                request.transport.close()  # type: ignore[union-attr]
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
            await response.prepare(request)
            try:
                async with asyncio.timeout(1.0):
                    async for piece in answer.content.iter_any():
                        await response.write(piece)
            except TimeoutError:
                request.transport.close()  # type: ignore[union-attr]
            return response


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The kubeconfig of an API server, and that of the bad way to it."""
    server = api_server(tmp_path / "apiserver")
    kubeconfig = next(server)
    config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", Flaky(config["clusters"][0]["cluster"]["server"]).handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    (tmp_path / "flaky").write_text(yaml.safe_dump(config))
    yield kubeconfig, tmp_path / "flaky"

    async def stop() -> None:
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()  # type: ignore[union-attr]
        await asyncio.gather(*left, return_exceptions=True)  # type: ignore[arg-type]

    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()


def test_pods_start_and_end_though_calls_fail_and_watches_break(flaky: tuple[Path, Path], tmp_path: Path) -> None:
    good, bad = flaky
    cluster = Cluster(good)
    node = f"node-{cluster.namespace}"
    kubelet = Program(
        "kubelet",
        kubeconfig=bad,
        dir=tmp_path / "state",
        node_name=node,
        capacity=None,
        hollow=False,
        images_dir=IMAGES,
    )
    cluster.secret("s", k="v")
    volumes = [{"name": "s", "secret": {"secretName": "s"}}]
    container = {"command": ["sh", "-c", "exec sleep 300"], "volumeMounts": [{"name": "s", "mountPath": "/s"}]}
    names = [cluster.pod(node, container, volumes=volumes) for _ in range(8)]
    for name in names:
        cluster.pod_when(name, ready, "ready", seconds=40)
    for name in names:
        cluster.delete("pods", name)
    for name in names:
        until(lambda name=name: cluster.get("pods", name) is None, "gone", seconds=40)  # type: ignore[misc]
    assert not list((tmp_path / "state" / "pods").iterdir())
    assert kubelet.process.poll() is None
    kubelet.stop()
    cluster.call("DELETE", path_of("nodes", None, node))
