"""The ingress of the embedded cluster: a reverse proxy by host name, a client of any API server. Binds to loopback only."""

import asyncio
import contextlib
import errno
import html
import logging
import sys
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from .kubeapi import MERGE, Api, ApiError, path_of
from .routes import NoRoute, NotReady, Table

log = logging.getLogger(__name__)

_INGRESSES = "networking.k8s.io/v1/ingresses"
_RESOURCES = {
    "ingresses": _INGRESSES,
    # Where a cluster has no Gateway API, this is asked for in vain, ever more seldom.
    "httproutes": "gateway.networking.k8s.io/v1/httproutes",
    "services": "services",
    "pods": "pods",
}
#: Headers that speak of one connection only (RFC 9110, 7.6.1) or that the HTTP library writes itself.
_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
}
_WEBSOCKET = {
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "sec-websocket-accept",
}
_LINE = 64 * 1024  # the longest header or request line, in bytes
_PIECE = 64 * 1024
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font-family:sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}</style></head>
<body><h1>{title}</h1><p>{text}</p></body></html>"""


async def run(options: Any) -> None:
    """Proxy http://<host>:<port> on 127.0.0.1 to the ready pods behind the Ingress for that host, until cancelled.

    Options: kubeconfig, dir (the port is remembered in <dir>/ingress-port), ingress_port (0 or None: the one remembered, or
    a free one). Raises SystemExit(2) after one line on stderr when the port cannot be had.
    """
    while not Path(options.kubeconfig).exists():
        await asyncio.sleep(0.05)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    session = aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_LINE,
        max_field_size=_LINE,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
    )
    async with Api.from_kubeconfig(options.kubeconfig, user_agent="devcluster-ingress") as api, session:
        table = Table()
        runner = await _listen(Proxy(table, session), Path(options.dir), options.ingress_port)
        try:
            await asyncio.gather(*(_follow(api, table, kind) for kind in _RESOURCES))
        finally:
            await runner.cleanup()


async def _listen(proxy: "Proxy", folder: Path, wanted: int | None) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, max_line_size=_LINE, max_field_size=_LINE, shutdown_timeout=1.0
    )
    await runner.setup()
    memory = folder / "ingress-port"
    known = int(memory.read_text()) if memory.exists() and memory.read_text().strip().isdigit() else 0
    for port in [wanted] if wanted else [known, 0]:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            break
        except OSError as error:
            if wanted:
                text = (
                    "is in use by another program"
                    if error.errno == errno.EADDRINUSE
                    else f"cannot be had: {error.strerror}"
                )
                sys.stderr.write(f"ingress: port {port} on 127.0.0.1 {text}\n")
                await runner.cleanup()
                raise SystemExit(2) from None
    folder.mkdir(parents=True, exist_ok=True)
    fresh = memory.with_name("ingress-port.new")
    fresh.write_text(str(runner.addresses[0][1]))
    fresh.replace(memory)  # whoever waits for the file finds the port in it
    log.info("ingress on http://127.0.0.1:%s", runner.addresses[0][1])
    return runner


async def _follow(api: Api, table: Table, kind: str) -> None:
    async for event, item in api.follow(_RESOURCES[kind]):
        if event == "SYNC":
            table.replace(kind, item)
        else:
            table.change(kind, event, item)
        if kind == "ingresses" and event != "DELETED":
            for ingress in item if event == "SYNC" else [item]:
                await _announce(api, ingress)


async def _announce(api: Api, ingress: dict[str, Any]) -> None:
    """Write our address into the status of an Ingress, once; without it all works too."""
    meta = ingress["metadata"]
    if not (ingress.get("status", {}).get("loadBalancer") or {}).get("ingress"):
        body = {"status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}}
        path = path_of(_INGRESSES, meta["namespace"], meta["name"], "status")
        with contextlib.suppress(ApiError):
            await api.call("PATCH", path, body, content_type=MERGE)


class Proxy:
    """Passes requests on, bodies and web sockets as they come."""

    def __init__(self, table: Table, session: aiohttp.ClientSession) -> None:
        self._table, self._session = table, session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request: the pod's answer, or a page of our own that says why there is none."""
        host = _host(request.headers.get("Host", ""))
        try:
            address, port = self._table.find(host, request.path)
        except NoRoute:
            return _page(
                404,
                "Nothing here",
                f"No service has the address {host}. It may have ended, or the name may be misspelt.",
            )
        except NotReady:
            return _page(503, "Not ready yet", f"{host} is starting or has just stopped. Try again in a few seconds.")
        path = request.raw_path if request.raw_path.startswith("/") else request.rel_url.raw_path_qs
        url = URL(f"http://{address}:{port}{path}", encoded=True)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(request, url)
            return await self._plain(request, url)
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, TimeoutError):
            return _page(502, "No response", f"{host} is not responding at the moment. Try again in a few seconds.")

    async def _plain(self, request: web.Request, url: URL) -> web.StreamResponse:
        body = request.content.iter_chunked(_PIECE) if request.can_read_body else None
        async with self._session.request(
            request.method,
            url,
            headers=_forwarded(request),
            data=body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=_end_to_end(answer.headers)
            )
            if "Content-Length" not in answer.headers and request.version >= (1, 1) and answer.status not in (204, 304):
                response.enable_chunked_encoding()
            await response.prepare(request)
            if request.method != "HEAD":
                async for piece in answer.content.iter_any():
                    await response.write(piece)
            await response.write_eof()
            return response

    async def _websocket(self, request: web.Request, url: URL) -> web.StreamResponse:
        headers = CIMultiDict(
            (name, value) for name, value in _forwarded(request).items() if name.lower() not in _WEBSOCKET
        )
        protocols = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one.strip()]
        try:
            upstream = await self._session.ws_connect(
                url, headers=headers, protocols=protocols, max_msg_size=0, autoping=False, autoclose=False
            )
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status if error.status >= 400 else 502, text=error.message)
        async with upstream:
            chosen = (upstream.protocol,) if upstream.protocol else ()
            downstream = web.WebSocketResponse(
                protocols=chosen, max_msg_size=0, autoping=False, autoclose=False, compress=False
            )
            await downstream.prepare(request)
            await _relay(downstream, upstream)
            return downstream


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _relay(one: Socket, other: Socket) -> None:
    """Pass messages both ways until one side closes; then close the other with the same code."""
    ways = {asyncio.create_task(_pump(one, other)), asyncio.create_task(_pump(other, one))}
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pump(source: Socket, target: Socket) -> None:
    while True:
        message = await source.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                await target.send_str(message.data)
            case aiohttp.WSMsgType.BINARY:
                await target.send_bytes(message.data)
            case aiohttp.WSMsgType.PING:
                await target.ping(message.data)
            case aiohttp.WSMsgType.PONG:
                await target.pong(message.data)
            case _:
                code = source.close_code or aiohttp.WSCloseCode.GOING_AWAY
                text = message.extra if message.type is aiohttp.WSMsgType.CLOSE and message.extra else ""
                # 1005 and 1006 stand for "no code" and must not be sent (RFC 6455, 7.4.1).
                sent = code if code not in (1005, 1006) else aiohttp.WSCloseCode.GOING_AWAY
                with contextlib.suppress(ConnectionError):
                    await target.close(code=sent, message=text.encode())
                    await source.close()
                return


def _host(header: str) -> str:
    return header.rpartition(":")[0] if ":" in header and not header.endswith("]") else header


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers)
    peer = request.remote or "127.0.0.1"
    before = request.headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = f"{before}, {peer}" if before else peer
    headers["X-Forwarded-Proto"] = "http"
    headers["X-Forwarded-Host"] = request.headers.get("Host", "")
    return headers


def _end_to_end(headers: Any) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP | named)


def _page(status: int, title: str, text: str) -> web.Response:
    page = _PAGE.format(title=html.escape(title), text=html.escape(text))
    return web.Response(status=status, text=page, content_type="text/html", headers={"Cache-Control": "no-store"})
