"""A server that plays Mailgun's API, with its failures: takes messages, lists what it has accepted, remembers what it was asked."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DOMAIN = "mail.example.org"
KEY = "key-of-the-tests"
QUEUED = "Queued. Thank you."


class FakeMailgun(ThreadingHTTPServer):
    """`plan`: how the next messages are answered, one word each; then all are taken.

    ok, 500, 503, 429, 400, 401: as it says, nothing is taken. taken-500: it is taken, and the answer is a failure.
    taken-hang, hang: taken or not, there is no answer until `release` is called. gibberish: taken, and the answer is no JSON.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plan: deque[str] = deque()
        self.accepted: list[dict[str, str]] = []
        self.asked: list[dict[str, str]] = []
        self.events_are_down = False
        #: Whether the list of events knows already what was accepted.
        self.events_are_late = False
        self.connections: set[tuple[str, int]] = set()
        self.arrived = threading.Semaphore(0)
        self._released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v3"

    @property
    def settings(self) -> dict[str, Any]:
        """Django's settings for it."""
        return {
            "EMAIL_BACKEND": "anymail.backends.mailgun.EmailBackend",
            "DEFAULT_FROM_EMAIL": f"Labs <labs@{DOMAIN}>",
            "ANYMAIL": {
                "MAILGUN_API_KEY": KEY,
                "MAILGUN_SENDER_DOMAIN": DOMAIN,
                "MAILGUN_API_URL": self.url,
                "MAILGUN_SEND_DEFAULTS": {"track_clicks": False, "track_opens": False},
                "REQUESTS_TIMEOUT": (5, 15),
            },
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same, for programs of their own."""
        return {
            "MAILGUN_API_KEY": KEY,
            "MAILGUN_SENDER_DOMAIN": DOMAIN,
            "MAILGUN_API_URL": self.url,
            "DEFAULT_FROM_EMAIL": f"labs@{DOMAIN}",
        }

    def recipients(self) -> list[str]:
        return sorted(message["to"] for message in self.accepted)

    def release(self) -> None:
        self._released.set()

    def wait(self) -> None:
        self._released.wait(60)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeMailgun

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode(), keep_blank_values=True)
        message = {name: values[-1] for name, values in fields.items()}
        assert urlsplit(self.path).path == f"/v3/{DOMAIN}/messages", self.path
        self.server.connections.add(self.client_address)
        step = self.server.plan.popleft() if self.server.plan else "ok"
        if step.startswith(("ok", "taken", "gibberish")):
            self.server.accepted.append(message)
        self.server.arrived.release()
        if step.endswith("hang"):
            self.server.wait()
            self.close_connection = True
            return
        if step == "gibberish":
            self._answer(200, b"<html>", {})
            return
        status = int(step.removeprefix("taken-")) if step != "ok" else 200
        said = (
            QUEUED
            if status == 200
            else {400: "to parameter is not a valid address. please check documentation"}.get(status, "no")
        )
        message_id = message.get("h:Message-Id") or f"<{uuid.uuid4().hex}@{DOMAIN}>"
        more = {"Retry-After": "900"} if status == 429 else {}
        self._answer(status, json.dumps({"id": message_id, "message": said}).encode(), more)

    def do_GET(self) -> None:
        query = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        assert urlsplit(self.path).path == f"/v3/{DOMAIN}/events", self.path
        self.server.asked.append(query)
        if self.server.events_are_down:
            self._answer(500, b"{}", {})
            return
        known = [] if self.server.events_are_late else self.server.accepted
        items = [_event(message) for message in known if _address(message) == query["recipient"]]
        self._answer(200, json.dumps({"items": items, "paging": {}}).encode(), {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _address(message: dict[str, str]) -> str:
    return message["to"].rpartition("<")[2].rstrip(">")


def _event(message: dict[str, str]) -> dict[str, Any]:
    """As in Mailgun's documentation of "accepted"."""
    return {
        "event": "accepted",
        "recipient": _address(message),
        "message": {"headers": {"message-id": message.get("h:Message-Id", "").strip("<>"), "to": message["to"]}},
        "user-variables": {name.removeprefix("v:"): value for name, value in message.items() if name.startswith("v:")},
    }


@contextmanager
def mailgun() -> Iterator[FakeMailgun]:
    """A server of its own."""
    server = FakeMailgun()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release()
        server.shutdown()
        server.server_close()
        thread.join()
