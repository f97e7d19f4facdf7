"""Somebody who works in a lab at its own address by https, as a browser does: signed in, a kernel, files."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

_PIECE = 64 * 1024


class _Here(AbstractResolver):
    """Every name leads to loopback."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found: ResolveResult = {
            "hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0,
        }  # fmt: skip
        return [found]

    async def close(self) -> None:
        """Nothing is open."""


class Visitor:
    """Use as an asynchronous context manager. Believes no certificate but those of `authority` (PEM)."""

    def __init__(self, address: str, authority: str) -> None:
        """`address`: of the lab, such as "https://answer.labs.example.org"."""
        self.address = address
        tls = ssl.create_default_context(cadata=authority)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Here(), ssl=tls),
            headers={"Origin": address, "Referer": f"{address}/lab"},
        )
        self._xsrf = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def status(self, path: str = "/") -> int:
        """What a page is answered with, without going on to another."""
        async with self._session.get(f"{self.address}{path}", allow_redirects=False) as answer:
            return answer.status

    async def sign_in(self, password: str) -> tuple[int, list[str]]:
        """By the page of the lab; its answer, and the cookies that it has set."""
        async with self._session.get(f"{self.address}/lab") as answer:  # leads to the page for signing in
            page = await answer.text()
            assert answer.url.path == "/login", answer.url
        found = re.search(r'name="_xsrf" value="([^"]+)"', page)
        assert found, page
        form = {"password": password, "_xsrf": found[1]}
        async with self._session.post(f"{self.address}/login", data=form, allow_redirects=False) as answer:
            self._xsrf = next((one.value for one in self._session.cookie_jar if one.key == "_xsrf"), "")
            return answer.status, answer.headers.getall("Set-Cookie", [])

    async def compute(self, code: str, *, silence: float = 0.0) -> str:
        """What a new kernel prints, over a web socket on which nobody says a word for so many seconds before."""
        async with self._session.post(f"{self.address}/api/kernels", json={}, headers=self._headers) as answer:
            assert answer.status == 201, await answer.text()
            kernel = (await answer.json())["id"]
        channels = f"{self.address.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels"
        async with self._session.ws_connect(channels) as web_socket:
            await asyncio.sleep(silence)
            await web_socket.send_json(_execute(code))
            while True:
                told = await web_socket.receive_json(timeout=30)
                if told["msg_type"] in ("stream", "error"):
                    return str(told["content"].get("text", told["content"]))

    async def upload(self, name: str, content: bytes, *, pause: float = 0.0) -> int:
        """A file, by the lab's own interface; the answer. `pause`: seconds of rest in the middle of sending it."""
        coded = base64.b64encode(content).decode()
        body = json.dumps({"type": "file", "format": "base64", "content": coded}).encode()
        headers = {**self._headers, "Content-Type": "application/json", "Content-Length": str(len(body))}
        where = f"{self.address}/api/contents/{name}"
        async with self._session.put(where, data=_slowly(body, pause), headers=headers) as answer:
            return answer.status

    async def digest(self, name: str) -> str:
        """SHA-256 of a file as the lab hands it out."""
        found = hashlib.sha256()
        async with self._session.get(f"{self.address}/files/{name}") as answer:
            assert answer.status == 200, await answer.text()
            async for piece in answer.content.iter_chunked(_PIECE):
                found.update(piece)
        return found.hexdigest()

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-XSRFToken": self._xsrf}


async def _slowly(body: bytes, pause: float) -> AsyncIterator[bytes]:
    half = len(body) // 2
    for start in _starts(0, half):
        yield body[start : min(start + _PIECE, half)]
    await asyncio.sleep(pause)
    for start in _starts(half, len(body)):
        yield body[start : start + _PIECE]


def _starts(start: int, end: int) -> Iterator[int]:
    yield from range(start, end, _PIECE)


def _execute(code: str) -> dict[str, Any]:
    """A message of the Jupyter protocol (https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute)."""
    header = {
        "msg_id": uuid.uuid4().hex, "username": "", "session": uuid.uuid4().hex, "msg_type": "execute_request",
        "version": "5.3", "date": "",
    }  # fmt: skip
    content = {
        "code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False,
        "stop_on_error": True,
    }  # fmt: skip
    return {
        "header": header, "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [], "content": content,
    }  # fmt: skip
