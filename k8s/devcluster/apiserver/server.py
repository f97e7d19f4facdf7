"""The API server as an HTTP server: who may ask, what is answered when something goes wrong, where it listens."""

import asyncio
import base64
import errno
import hmac
import json
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from . import certificate, discovery, listing, openapi
from .controllers import Controllers
from .errors import ApiError
from .faults import Faults
from .handlers import Handlers
from .registry import Registry
from .store import Store
from .target import body_of, parse_path

log = logging.getLogger(__name__)

_LARGEST_BODY = 3 * 1024 * 1024
_HEALTH = ("/healthz", "/readyz", "/livez")


class Server:
    """The API server of one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.token = _token(folder / "token")
        self._tls, self._authority = certificate.ensure(folder)
        self.store = Store(folder / "journal.jsonl")
        self.registry = Registry(self.store)
        self.faults = Faults()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._handlers: Handlers | None = None
        self.controllers = Controllers(self.registry, self._authority)

    async def start(self, port: int | None) -> int:
        """Listen; the answer is the port. `port` 0 or None: the one of last time, or a free one. Raises OSError."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._session = aiohttp.ClientSession(timeout=timeout)
        self._handlers = Handlers(self.registry, self.faults, self._session, self._closing)
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5, keepalive_timeout=75
        )
        await self._runner.setup()
        memory = self.folder / "port"
        known = int(memory.read_text()) if memory.exists() and memory.read_text().strip().isdigit() else 0
        chosen = await self._listen([port] if port else [known, 0])
        memory.write_text(str(chosen))
        self._write_kubeconfig(chosen)
        self.controllers.start()
        return chosen

    async def _listen(self, ports: list[int]) -> int:
        assert self._runner  # noqa: S101
        for at, port in enumerate(ports):
            site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True, ssl_context=self._tls)
            try:
                await site.start()
            except OSError as problem:
                await site.stop()
                if at == len(ports) - 1 or problem.errno != errno.EADDRINUSE:
                    raise
                continue
            return int(self._runner.addresses[0][1])
        raise AssertionError("unreachable")

    async def stop(self) -> None:
        """End all watches and let go of everything."""
        self._closing.set()
        await self.controllers.stop()
        if self._runner:
            await self._runner.cleanup()
        if self._session:
            await self._session.close()
        self.store.close()

    def _write_kubeconfig(self, port: int) -> None:
        authority = base64.b64encode(self._authority.encode()).decode()
        cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "devcluster",
            "clusters": [{"name": "devcluster", "cluster": cluster}],
            "users": [{"name": "devcluster", "user": {"token": self.token}}],
            "contexts": [{"name": "devcluster", "context": {"cluster": "devcluster", "user": "devcluster"}}],
        }
        _write_secret(self.folder / "kubeconfig", json.dumps(config, indent=2) + "\n")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._route(request)
        except ApiError as problem:
            response = listing.answer(problem.status(), problem.code)
            if problem.code in (429, 503):
                response.headers["Retry-After"] = "1"
            return response
        except web.HTTPException as problem:
            return listing.answer(ApiError(problem.status, "", problem.reason).status(), problem.status)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return listing.answer(
                ApiError(500, "InternalError", "an error of the embedded cluster; see its log").status(), 500
            )

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path in _HEALTH:
            return web.Response(text="ok")
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise ApiError(401, "Unauthorized", "Unauthorized")
        if path.startswith("/devcluster/"):
            return await self._own(request)
        await self.faults.strike(request)
        target = parse_path(path)
        if target is not None:
            assert self._handlers  # noqa: S101
            return await self._handlers.handle(request, target)
        document = openapi.answer(path)
        if document is not None:
            return listing.raw(document)
        found = discovery.answer(path)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        return listing.answer(found)

    async def _own(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/devcluster/faults":
            if request.method == "PUT":
                self.faults.set(await body_of(request))
            return listing.answer(self.faults.settings())
        if request.path == "/devcluster/calls":
            if request.method == "DELETE":
                self.faults.calls.clear()
            counted: dict[str, Any] = {"calls": self.faults.counted()}
            return listing.answer(counted)
        if request.path == "/devcluster/compact" and request.method == "POST":
            self.store.compact()
            return listing.answer({})
        return web.Response(status=404, text="404 page not found\n")


def _token(path: Path) -> str:
    if not path.exists():
        _write_secret(path, secrets.token_urlsafe(32))
    return path.read_text().strip()


def _write_secret(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


async def run(options: Any) -> None:
    """Serve until cancelled.

    Options: dir, port, started (an event: set when it can be asked). Raises SystemExit(2) after one line on stderr when the
    port cannot be had.
    """
    server = Server(Path(options.dir))
    try:
        try:
            port = await server.start(options.port)
        except OSError as problem:
            text = (
                "is in use by another program"
                if problem.errno == errno.EADDRINUSE
                else f"cannot be had: {problem.strerror}"
            )
            sys.stderr.write(f"apiserver: port {options.port} on 127.0.0.1 {text}\n")
            raise SystemExit(2) from None
        log.info("serving on https://127.0.0.1:%s", port)
        options.started.set()
        await asyncio.Event().wait()
    finally:
        await asyncio.shield(asyncio.create_task(server.stop()))
