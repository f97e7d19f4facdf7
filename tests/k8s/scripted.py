"""An HTTP server that answers as a test says, for the faults that a healthy API server does not show."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from k8s.client import Client


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: str


@dataclass
class Answer:
    """`lines`: sent one by one as a stream, which then waits for `hold`, if given, and is cut off if `cut`."""

    code: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    lines: list[str] | None = None
    cut: bool = False
    hold: threading.Event | None = None


@dataclass
class Server:
    address: str
    requests: list[Request]
    connections: set[tuple[str, int]]

    def client(self, **options: Any) -> Client:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.address}}],
            "users": [{"name": "u", "user": {"token": "t0ken-of-the-site"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        return Client.from_kubeconfig(config, **options)


def status(code: int, reason: str, message: str, **details: Any) -> Answer:
    """A Status object, as the API server answers when it refuses."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return Answer(code, {**body, "details": details})


@contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[Server]:
    requests: list[Request] = []
    connections: set[tuple[str, int]] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            request = Request(self.command, self.path, dict(self.headers), self.rfile.read(size).decode())
            requests.append(request)
            connections.add(self.client_address)
            given = answer(request)
            self.send_response(given.code)
            for key, value in given.headers.items():
                self.send_header(key, value)
            if given.lines is not None:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for line in given.lines:
                    data = line.encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                if given.hold is not None:
                    given.hold.wait(20)
                self.close_connection = given.cut
                if not given.cut:
                    self.wfile.write(b"0\r\n\r\n")
                return
            data = given.body.encode() if isinstance(given.body, str) else json.dumps(given.body).encode()
            self.send_header("Content-Length", str(len(data) + (100 if given.cut else 0)))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = given.cut

        do_GET = do_PATCH = do_DELETE = handle_one

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *arguments: None  # type: ignore[method-assign]  # A client that went away is no news.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", requests, connections)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
