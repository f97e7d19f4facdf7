"""The reverse proxy in front of a server of the test's own, which stands for a pod."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from k8s.devcluster.kubeapi import STRATEGIC, path_of
from tests.devcluster.kubelet_cluster import Cluster, Program, api_server, until

pytestmark = pytest.mark.slow
MEGABYTE = 2**20
GO = web.AppKey("go", asyncio.Event)


async def _echo(request: web.Request) -> web.Response:
    return web.json_response({"path": request.raw_path, "method": request.method, "headers": dict(request.headers)})


async def _count(request: web.Request) -> web.Response:
    total = 0
    async for piece in request.content.iter_any():
        total += len(piece)
    return web.Response(text=str(total))


async def _drip(request: web.Request) -> web.StreamResponse:
    """One piece, then nothing until the client has told that it has it."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first")
    await request.app[GO].wait()
    await response.write(b"second")
    return response


async def _go(request: web.Request) -> web.Response:
    request.app[GO].set()
    return web.Response()


async def _cookies(_: web.Request) -> web.Response:
    response = web.Response(status=302, headers={"Location": "/next"})
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def _socket(request: web.Request) -> web.WebSocketResponse:
    server = web.WebSocketResponse(protocols=("v1.kernel.websocket.jupyter.org",), max_msg_size=0)
    await server.prepare(request)
    async for message in server:
        if message.type is web.WSMsgType.TEXT and message.data == "close":
            await server.close(code=4001, message=b"over")
        elif message.type is web.WSMsgType.TEXT:
            await server.send_str(f"{server.ws_protocol} {message.data}")
        else:
            await server.send_bytes(message.data)
    return server


def _upstream() -> web.Application:
    app = web.Application(client_max_size=0)
    app[GO] = asyncio.Event()
    app.router.add_post("/count", _count)
    app.router.add_get("/drip", _drip)
    app.router.add_get("/go", _go)
    app.router.add_get("/cookies", _cookies)
    app.router.add_get("/socket", _socket)
    app.router.add_route("*", "/{path:.*}", _echo)
    return app


@pytest.fixture(scope="module")
def upstream() -> Iterator[int]:
    """The port of a server that stands for a lab."""
    loop = asyncio.new_event_loop()

    async def start() -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(_upstream(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    runner, port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield port
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def _pod(cluster: Cluster, name: str, port: int, *, ready: bool) -> None:
    spec = {
        "nodeName": "of-the-test",
        "automountServiceAccountToken": False,
        "containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": port}]}],
    }
    meta = {"name": name, "labels": {"app": name}}
    cluster.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": conditions}
    path = path_of("pods", cluster.namespace, name, "status")
    cluster.call("PATCH", path, {"status": status}, content_type=STRATEGIC)
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": ports},
    }
    cluster.create("services", body)
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    rule = {"host": f"{name}.localhost", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"rules": [rule]},
    }
    cluster.create("networking.k8s.io/v1/ingresses", body)


@pytest.fixture(scope="module")
def proxy(upstream: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An ingress with one host that is ready and one that is not."""
    folder = tmp_path_factory.mktemp("ingress")
    server = api_server(tmp_path_factory.mktemp("apiserver"))
    kubeconfig = next(server)
    cluster = Cluster(kubeconfig)
    ready, starting = f"{cluster.namespace}-ready", f"{cluster.namespace}-starting"
    _pod(cluster, ready, upstream, ready=True)
    _pod(cluster, starting, upstream, ready=False)
    program = Program("ingress", kubeconfig=kubeconfig, dir=folder, ingress_port=0)
    until(lambda: (folder / "ingress-port").exists(), "ingress listens")
    port = int((folder / "ingress-port").read_text())
    found = SimpleNamespace(
        port=port,
        ready=f"{ready}.localhost:{port}",
        starting=f"{starting}.localhost",
        kubeconfig=kubeconfig,
        folder=folder,
        cluster=cluster,
    )
    until(lambda: get(found, "/").status == 200, "routes known")
    yield found
    program.stop()
    for name in (ready, starting):
        cluster.delete("pods", name, gracePeriodSeconds=0)
    server.close()


def get(proxy: Any, path: str, *, host: str = "", method: str = "GET", headers: Any = None, data: Any = None) -> Any:
    async def one() -> Any:
        url = aiohttp.client.URL(f"http://127.0.0.1:{proxy.port}{path}", encoded=True)
        sent = {**(headers or {}), "Host": host or proxy.ready}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=sent, data=data, allow_redirects=False) as answer,
        ):
            text = await answer.text()
            return SimpleNamespace(status=answer.status, headers=answer.headers, text=text, type=answer.content_type)

    return asyncio.run(one())


def test_path_query_and_host_arrive_as_they_were_sent(proxy: Any) -> None:
    answer = get(proxy, "/a%20b/%2Fc?q=%26x", headers={"X-Forwarded-For": "10.0.0.1", "X-Own": "1"})
    import json

    seen = json.loads(answer.text)
    assert seen["path"] == "/a%20b/%2Fc?q=%26x"
    assert seen["headers"]["Host"] == proxy.ready
    assert seen["headers"]["X-Forwarded-Host"] == proxy.ready
    assert seen["headers"]["X-Forwarded-Proto"] == "http"
    assert seen["headers"]["X-Forwarded-For"] == "10.0.0.1, 127.0.0.1"
    assert seen["headers"]["X-Own"] == "1"


def test_an_unknown_host_gets_a_page_that_says_so_without_markup_of_the_asker(proxy: Any) -> None:
    answer = get(proxy, "/", host="<b>no.localhost")
    assert (answer.status, answer.type) == (404, "text/html")
    assert "<b>" not in answer.text


def test_a_host_without_a_ready_pod_gets_a_page_that_says_so(proxy: Any) -> None:
    answer = get(proxy, "/", host=proxy.starting)
    assert (answer.status, answer.type) == (503, "text/html")
    assert "starting" in answer.text


def test_redirects_and_all_cookies_reach_the_browser(proxy: Any) -> None:
    answer = get(proxy, "/cookies")
    assert (answer.status, answer.headers["Location"]) == (302, "/next")
    assert len(answer.headers.getall("Set-Cookie")) == 2


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "PATCH"])
def test_methods_pass_through(proxy: Any, method: str) -> None:
    answer = get(proxy, "/x", method=method)
    assert answer.status == 200
    assert method == "HEAD" or f'"method": "{method}"' in answer.text


def test_a_large_upload_passes_through(proxy: Any) -> None:
    async def pieces() -> Any:
        for _ in range(64):
            yield b"x" * MEGABYTE

    assert get(proxy, "/count", method="POST", data=pieces()).text == str(64 * MEGABYTE)
    assert get(proxy, "/count", method="POST", data=b"y" * MEGABYTE).text == str(MEGABYTE)
    assert get(proxy, "/count", method="POST", data=b"y" * MEGABYTE, headers={"Expect": "100-continue"}).status == 200


def test_an_answer_is_passed_on_piece_by_piece(proxy: Any) -> None:
    async def work() -> None:
        base, headers = f"http://127.0.0.1:{proxy.port}", {"Host": proxy.ready}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{base}/drip") as answer:
            assert await asyncio.wait_for(answer.content.readexactly(5), 10) == b"first"
            async with session.get(f"{base}/go"):
                pass
            assert await asyncio.wait_for(answer.content.read(), 10) == b"second"

    asyncio.run(work())


def test_web_sockets_pass_text_bytes_protocol_and_the_close_code(proxy: Any) -> None:
    async def work() -> None:
        protocol = "v1.kernel.websocket.jupyter.org"
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{proxy.port}/socket"
            async with session.ws_connect(
                url, headers={"Host": proxy.ready}, protocols=(protocol,), max_msg_size=0
            ) as client:
                assert client.protocol == protocol
                await client.send_str("hello")
                assert await client.receive_str(timeout=10) == f"{protocol} hello"
                await client.send_bytes(b"z" * 8 * MEGABYTE)
                assert len(await client.receive_bytes(timeout=10)) == 8 * MEGABYTE
                await client.send_str("close")
                message = await client.receive(timeout=10)
                assert (message.type, client.close_code) == (aiohttp.WSMsgType.CLOSE, 4001)

    asyncio.run(work())


def test_a_web_socket_that_the_server_refuses_is_refused_with_its_status(proxy: Any) -> None:
    async def work() -> int:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(f"http://127.0.0.1:{proxy.port}/echo", headers={"Host": proxy.ready})
            return caught.value.status

    assert asyncio.run(work()) >= 400


def test_the_ingress_says_its_address_in_the_status(proxy: Any) -> None:
    def told() -> bool:
        name = proxy.ready.partition(".")[0]
        found = proxy.cluster.get("networking.k8s.io/v1/ingresses", name)
        return bool(found["status"]["loadBalancer"].get("ingress") == [{"ip": "127.0.0.1"}])

    until(told, "address in the status")


def test_a_port_in_use_is_one_clear_line_and_exit_code_2(proxy: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = Program("ingress", kubeconfig=proxy.kubeconfig, dir=tmp_path, ingress_port=port)
        _, errors = program.process.communicate(timeout=20)
    assert program.process.returncode == 2
    assert errors == f"ingress: port {port} on 127.0.0.1 is in use by another program\n"


def test_the_port_is_remembered(proxy: Any, tmp_path: Path) -> None:
    ports = []
    for _ in range(2):
        (tmp_path / "ingress-port").touch()
        before = (tmp_path / "ingress-port").stat().st_mtime_ns
        program = Program("ingress", kubeconfig=proxy.kubeconfig, dir=tmp_path, ingress_port=None)
        until(lambda before=before: (tmp_path / "ingress-port").stat().st_mtime_ns > before, "listens")  # type: ignore[misc]
        program.stop()
        ports.append((tmp_path / "ingress-port").read_text())
    assert ports[0] == ports[1]
