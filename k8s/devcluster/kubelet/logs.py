"""Logs of containers: reading the files of the shims, and the small HTTPS server that API servers ask."""

import asyncio
import datetime
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .process import Process
from .spec import now, seconds

_POLL = 0.1
#: (namespace, pod, container, previous) -> the run whose log is asked for. Raises LookupError with the answer's text.
Finder = Callable[[str, str, str, bool], Process]


@dataclass(frozen=True)
class Wanted:
    """What part of a log is asked for, and how."""

    tail: int | None = None
    limit: int | None = None
    since: float = 0.0
    stamps: bool = False
    follow: bool = False


def wanted(query: dict[str, str]) -> Wanted:
    """The options of a request as kubelets name them. Raises ValueError."""
    since = 0.0
    if query.get("sinceSeconds"):
        since = time.time() - int(query["sinceSeconds"])
    elif query.get("sinceTime"):
        since = seconds(query["sinceTime"])
    return Wanted(
        tail=int(query["tailLines"]) if query.get("tailLines") else None,
        limit=int(query["limitBytes"]) if query.get("limitBytes") else None,
        since=since,
        stamps=query.get("timestamps") in ("true", "1"),
        follow=query.get("follow") in ("true", "1"),
    )


def _show(line: bytes, options: Wanted) -> bytes:
    stamp, _, rest = line.partition(b" ")
    flag, _, text = rest.partition(b" ")
    if options.since and seconds(stamp.decode()) < options.since:
        return b""
    text = text.rstrip(b"\n") + (b"\n" if flag == b"F" else b"")
    return stamp + b" " + text if options.stamps else text


def _stored(path: Path) -> Iterator[bytes]:
    for part in (path.with_name(path.name + ".1"), path):
        if part.exists():
            with part.open("rb") as file:
                yield from file


async def read(process: Process, options: Wanted) -> AsyncIterator[bytes]:
    """The log in pieces; with `follow`, until the container has ended."""
    left = options.limit if options.limit is not None else -1
    position = process.log.stat().st_size if process.log.exists() else 0
    inode = process.log.stat().st_ino if process.log.exists() else 0
    shown = [text for line in _stored(process.log) if line.endswith(b"\n") and (text := _show(line, options))]
    for text in shown if options.tail is None else shown[len(shown) - min(options.tail, len(shown)) :]:
        piece = text if left < 0 else text[:left]
        left -= len(piece) if left >= 0 else 0
        yield piece
        if left == 0:
            return
    while options.follow:
        over = process.result() is not None
        fresh, position, inode = _fresh(process.log, position, inode)
        for line in fresh:
            yield _show(line, options)
        if over and not fresh:
            return
        if not fresh:
            await asyncio.sleep(_POLL)


def _fresh(path: Path, position: int, inode: int) -> tuple[list[bytes], int, int]:
    if not path.exists():
        return [], 0, 0
    data = b""
    current = path.stat().st_ino
    if inode and current != inode:  # rotated: first the rest of what is now the older file
        older = path.with_name(path.name + ".1")
        if older.exists():
            data, position = older.read_bytes()[position:], 0
    with path.open("rb") as file:
        file.seek(position)
        new = file.read()
    end = new.rfind(b"\n") + 1
    return (data + new[:end]).splitlines(keepends=True), position + end, current


class Server:
    """GET /containerLogs/<namespace>/<pod>/<container>, on loopback with a certificate made at the start."""

    def __init__(self, find: Finder) -> None:
        self._find = find
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port (`port` then says which)."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        app.router.add_get("/healthz", lambda _: _text("ok"))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=await asyncio.to_thread(_certificate))
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; logs that are followed end."""
        if self._runner:
            await self._runner.cleanup()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        info, query = request.match_info, dict(request.query)
        try:
            options = wanted(query)
            previous = query.get("previous") in ("true", "1")
            process = self._find(info["namespace"], info["pod"], info["container"], previous)
        except LookupError as error:
            return web.Response(status=404, text=str(error.args[0]))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for piece in read(process, options):
            await response.write(piece)
        await response.write_eof()
        return response


async def _text(text: str) -> web.Response:
    return web.Response(text=text)


def _certificate() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "devcluster-kubelet")])
    day = datetime.timedelta(days=1)
    today = datetime.datetime.fromtimestamp(seconds(now()), datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - day)
        .not_valid_after(today + 3650 * day)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + built.public_bytes(pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        context.load_cert_chain(file.name)
    return context
