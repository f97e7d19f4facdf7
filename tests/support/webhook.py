"""An admission webhook on loopback, and the certificate by which an API server trusts it."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.support.certificate import certificate_for

#: From an AdmissionReview to what is answered: a dict becomes the review's response, bytes are sent as they are.
Answer = Callable[[dict[str, Any]], dict[str, Any] | bytes]


@dataclass(frozen=True)
class Webhook:
    """One that listens."""

    port: int
    certificate: str

    def client_config(self, path: str = "/") -> dict[str, str]:
        """How a webhook configuration names it. Each path is a different answer of `serve`."""
        bundle = base64.b64encode(self.certificate.encode()).decode()
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": bundle}


def deny(message: str, code: int = 403) -> Answer:
    """Refuses whatever it is asked."""
    return lambda review: {"allowed": False, "status": {"code": code, "message": message}}


def slow(seconds: float) -> Answer:
    """Allows everything, after a while."""

    def answer(review: dict[str, Any]) -> dict[str, Any]:
        time.sleep(seconds)
        return {"allowed": True}

    return answer


@contextmanager
def serve(folder: Path, answers: dict[str, Answer]) -> Iterator[Webhook]:
    """Answers at each path in its own way until the end of the block."""
    certificate, key = certificate_for(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    file = folder / "webhook.pem"
    file.write_text(certificate + key)
    file.chmod(0o600)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = answers[self.path.partition("?")[0]](review)
            if isinstance(said, dict):
                response = {"uid": review["request"]["uid"], **said}
                body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
                said = json.dumps(body).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
            except OSError:
                return  # The API server has stopped waiting.

        def log_message(self, *args: Any) -> None:
            """Nothing is written."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A handshake that fails is what some tests want."""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Webhook(server.server_address[1], certificate)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
