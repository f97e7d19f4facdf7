"""A proxy between the site and an API server that fails as networks and load balancers do."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

from k8s.devcluster.apiserver import certificate
from tests.support.cluster import Cluster

#: What a call that fails comes to, each as often: refused, the connection cut before the server has it, or after.
WAYS = ("status", "cut before", "cut after")
_PLURAL = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+(?=/))?/([^/]+)")


@dataclass
class Faults:
    """`error_rate`: of all calls, from 0 to 1. `latency_seconds`: at most, for each. `watch_seconds`: then each watch is cut."""

    error_rate: float = 0.0
    latency_seconds: float = 0.0
    watch_seconds: float | None = None


@dataclass
class Seen:
    """What came through, by (method, plural of the kind, "watch" or ""); and what was made to fail, by way."""

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class FaultyProxy:
    """Passes everything on, TLS on both sides, and fails when told to. Use as a context manager."""

    def __init__(self, folder: Path, upstream: Path, trusted: Cluster, seed: int = 7) -> None:
        """`upstream`: the kubeconfig that the site would otherwise use. `trusted`: its cluster."""
        self.faults, self.seen = Faults(), Seen()
        self.kubeconfig = folder / "proxied.kubeconfig"
        self._upstream, self._trusted, self._folder = upstream, trusted, folder
        self._chance = random.Random(seed)
        self._open: set[Any] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Every connection that is open now."""
        self._loop.call_soon_threadsafe(lambda: [transport.abort() for transport in list(self._open)])

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trusted.tls(), limit=0), auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        )  # fmt: skip
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        tls, authority = certificate.ensure(self._folder)
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        config = yaml.safe_load(self._upstream.read_text())
        data = base64.b64encode(authority.encode()).decode()
        server = f"https://127.0.0.1:{self._runner.addresses[0][1]}"
        config["clusters"][0]["cluster"] = {"server": server, "certificate-authority-data": data}
        self.kubeconfig.write_text(json.dumps(config))

    async def _stop(self) -> None:
        for transport in list(self._open):
            transport.abort()
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        is_watch = "watch" in request.query
        plural = found[1] if (found := _PLURAL.match(request.path)) else ""
        self.seen.calls[request.method, plural, "watch" if is_watch else ""] += 1
        self._open = {one for one in (*self._open, request.transport) if one and not one.is_closing()}
        await asyncio.sleep(self._chance.random() * self.faults.latency_seconds)
        way = self._chance.choice(WAYS) if self._chance.random() < self.faults.error_rate else ""
        if way:
            self.seen.failed[way] += 1
        if way == "status":
            code = self._chance.choice((500, 503, 429))
            return web.json_response(_failure(code), status=code)
        if way == "cut before":
            return self._cut(request)
        try:
            return await self._pass_on(request, is_watch, lose_answer=way == "cut after")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return self._cut(request)

    async def _pass_on(self, request: web.Request, is_watch: bool, *, lose_answer: bool) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key.lower() not in ("host", "connection")}
        async with self._session.request(
            request.method, self._trusted.api_url + request.raw_path, headers=headers, data=await request.read() or None,
            skip_auto_headers=("Content-Type",),
        ) as upstream:  # fmt: skip
            if lose_answer:  # its head has come: the server has done what it was asked
                return self._cut(request)
            if not is_watch:
                kept = {
                    key: upstream.headers[key]
                    for key in ("Content-Type", "Content-Encoding")
                    if key in upstream.headers
                }
                return web.Response(status=upstream.status, body=await upstream.read(), headers=kept)
            answer = web.StreamResponse(status=upstream.status, headers={"Content-Type": "application/json"})
            await answer.prepare(request)
            try:
                async with asyncio.timeout(self.faults.watch_seconds):
                    async for chunk in upstream.content.iter_any():
                        await answer.write(chunk)
            except TimeoutError:
                return self._cut(request)
            await answer.write_eof()
            return answer

    def _cut(self, request: web.Request) -> web.StreamResponse:
        if request.transport:
            request.transport.abort()  # type: ignore[attr-defined]
        return web.Response()  # to nobody


def _failure(code: int) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "made to fail"}
