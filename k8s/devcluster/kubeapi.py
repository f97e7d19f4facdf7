"""A small asyncio client of any Kubernetes API server, for the kubelet and the ingress: dicts in, dicts out."""

import asyncio
import base64
import contextlib
import json
import logging
import random
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import yaml

log = logging.getLogger(__name__)

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
#: Seconds that one watch request lasts at most before it is opened again; the read time-out is a little longer.
WATCH_SECONDS = 300
_MAX_BACKOFF = 10.0


class ApiError(Exception):
    """The API server said no (`code` is the HTTP status) or could not be reached (`code` 0)."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self.code == 0 or self.code == 429 or self.code >= 500


def path_of(resource: str, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
    """The path of `pods`, `nodes`, `networking.k8s.io/v1/ingresses` ... below the server's address."""
    group, _, plural = resource.rpartition("/")
    parts = [f"/apis/{group}" if group else "/api/v1"]
    parts += [f"namespaces/{namespace}"] if namespace else []
    return "/".join(parts + [part for part in (plural, name, sub) if part])


class Api:
    """Calls to one API server. Use as an asynchronous context manager."""

    def __init__(self, server: str, headers: dict[str, str], tls: ssl.SSLContext | None, *, timeout: float) -> None:
        self._server = server.rstrip("/")
        self._headers = headers
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: str | Path, *, user_agent: str, timeout: float = 15.0) -> "Api":
        """A client from the current context of a kubeconfig: bearer token, client certificate or neither; http or https.

        `timeout` is in seconds, for every call but a watch. Raises OSError or KeyError when the file cannot be read.
        """
        config = yaml.safe_load(Path(path).read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config.get("users") or [], context.get("user"))["user"] or {}
        headers = {"User-Agent": user_agent, "Accept": "application/json"}
        token = user.get("token") or (Path(user["tokenFile"]).read_text().strip() if "tokenFile" in user else None)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        tls = _tls(cluster, user, Path(path).parent) if cluster["server"].startswith("https") else None
        return cls(cluster["server"], headers, tls, timeout=timeout)

    async def __aenter__(self) -> "Api":
        connector = aiohttp.TCPConnector(limit=64)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        params: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; the decoded answer. Raises ApiError."""
        assert self._session, "use `async with`"  # noqa: S101
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data else None
        try:
            async with self._session.request(
                method, self._server + path, data=data, params=params, headers=headers, ssl=self._tls or True
            ) as response:
                answer = _decode(await response.read())
                if response.status >= 400:
                    reason = answer.get("reason") or response.reason or ""
                    raise ApiError(response.status, reason, answer.get("message", ""))
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, type(error).__name__, str(error)) from error

    async def persist(self, method: str, path: str, body: Object | None = None, **options: Any) -> Object:
        """`call`, repeated with a growing pause for as long as the failure is one that passes. Raises ApiError for others."""
        for attempt in range(1_000_000):
            try:
                return await self.call(method, path, body, **options)
            except ApiError as error:
                if not error.transient:
                    raise
                await asyncio.sleep(backoff(attempt))
        raise AssertionError("unreachable")

    async def follow(self, resource: str, *, fields: str = "", labels: str = "") -> AsyncIterator[tuple[str, Any]]:
        """Everything that happens to a kind, for ever: ("SYNC", [objects]) after each list, then (type, object) per change.

        Lost connections and expired resource versions (410) lead to a new list; it never raises for the server's failures.
        """
        selectors = {key: value for key, value in (("fieldSelector", fields), ("labelSelector", labels)) if value}
        failures = 0
        while True:
            try:
                listing = await self.call("GET", path_of(resource), params=selectors)
                yield "SYNC", listing["items"] or []
                version = listing["metadata"]["resourceVersion"]
                failures = 0
                # A watch that simply ends is opened again where it was; only a failure asks for a new list.
                while True:
                    async for kind, item in self._watch(path_of(resource), version, selectors):
                        version = item["metadata"]["resourceVersion"]
                        if kind != "BOOKMARK":
                            yield kind, item
                    await asyncio.sleep(0.05)
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.debug("watch of %s: %s", resource, error)
                await asyncio.sleep(backoff(failures))
                failures += 1

    async def _watch(self, path: str, version: str, selectors: dict[str, str]) -> AsyncIterator[tuple[str, Object]]:
        assert self._session, "use `async with`"  # noqa: S101
        params = {
            **selectors,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=WATCH_SECONDS + 30)
        async with self._session.get(
            self._server + path, params=params, timeout=timeout, ssl=self._tls or True
        ) as response:
            if response.status >= 400:
                raise ApiError(response.status, response.reason or "", "watch refused")
            async for line in _lines(response.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 410), "Expired", event["object"].get("message", ""))
                yield event["type"], event["object"]


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # readline() has a limit on the length of a line; an object can be longer.
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line


def backoff(attempt: int) -> float:
    """Seconds to wait after the failure number `attempt` (from 0): growing, capped, with jitter."""
    return float(min(_MAX_BACKOFF, 0.1 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0))  # noqa: S311


def _decode(data: bytes) -> Object:
    with contextlib.suppress(ValueError):
        answer = json.loads(data)
        return answer if isinstance(answer, dict) else {"value": answer}
    return {"message": data.decode(errors="replace")}


def _named(entries: list[Object], name: str | None) -> Object:
    return next((entry for entry in entries if entry["name"] == name), {"user": {}})


def _tls(cluster: Object, user: Object, base: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    elif "certificate-authority" in cluster:
        context.load_verify_locations(base / cluster["certificate-authority"])
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as scratch:  # ssl takes certificates from files only
        certificate = _file(user, "client-certificate", base, Path(scratch))
        if certificate:
            context.load_cert_chain(certificate, _file(user, "client-key", base, Path(scratch)))
    return context


def _file(user: Object, key: str, base: Path, scratch: Path) -> Path | None:
    if f"{key}-data" in user:
        (scratch / key).write_bytes(base64.b64decode(user[f"{key}-data"]))
        return scratch / key
    return base / user[key] if key in user else None
