"""Clients that send half a request and wait: more of them than there are threads, and the site still answers everybody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
THREADS = 2
APP = """
def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    said = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(body)}".encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The server as it is documented and shipped, with a page that says what it was asked."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "app.py").write_text(APP)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        found = listener.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "--config", "python:mlsite.server", "app", "--threads", str(THREADS), "--bind",
        f"127.0.0.1:{found}", "--pythonpath", str(folder), "--no-control-socket",
    ]  # fmt: skip
    started = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                ask(found, b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                break
            except OSError:
                assert started.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield found
    finally:
        started.terminate()
        started.wait(30)


def ask(port: int, request: bytes, *, seconds: float = 60) -> str:
    """All that the server says until it closes the connection."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=seconds)) as client:
        client.sendall(request)
        said = b""
        while data := client.recv(65536):
            said += data
        return said.decode()


GET = b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HALVES = {
    "half a head": b"GET /half HTTP/1.1\r\nHost: x\r\nX-Half: ",
    "a head without its body": b"POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
    "a large body that does not come": b"POST /half HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\nhalf",
    "nothing": b"",
    "a whole request and half of the next": b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHos",
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())
def test_half_requests_hold_no_thread(port: int, half: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(THREADS * 4):
            client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            client.sendall(half)
        time.sleep(0.5)
        assert ask(port, GET).endswith("GET /page 0")


def test_a_half_head_is_sent_away_in_time(port: int) -> None:
    began = time.monotonic()
    assert "408 Request Timeout" in ask(port, HALVES["half a head"])
    assert time.monotonic() - began < 40


def test_a_request_that_comes_in_pieces_is_one_request_and_the_connection_is_kept(port: int) -> None:
    body = os.urandom(300_000)
    head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client:
        for _ in range(2):
            for piece in (head[:10], head[10:-2], head[-2:] + body[:100], body[100:]):
                client.sendall(piece)
                time.sleep(0.05)
            assert answer_of(client).endswith("POST /upload 300000")


def answer_of(client: socket.socket) -> str:
    said = b""
    while not said.endswith(b" 300000"):
        data = client.recv(65536)
        assert data, said
        said += data
    return said.decode()


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", "411 Length Required"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "413 Content Too Large"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 1_200_000 + b"\r\n\r\n", "431 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: " + b"x" * 700_000 + b"\r\n\r\n", "200 OK"),
    ],
    ids=["chunked", "too large", "no number", "a head too large", "all cookies that a browser keeps"],
)
def test_what_cannot_be_gathered_is_answered_at_once(port: int, request_: bytes, says: str) -> None:
    assert says in ask(port, request_).partition("\r\n")[0]


def test_expect_is_answered_before_the_body_comes(port: int) -> None:
    head = b"POST /e HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client:
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"hello")
        said: Any = b""
        while data := client.recv(65536):
            said += data
    assert said.endswith(b"POST /e 5")
