"""A small SMTP server with failures."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any


class FakeSmtp(socketserver.ThreadingTCPServer):
    """`refuse`: addresses, each with the answer that it gets. `drops`: how many mails are taken and the connection then cut."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refuse: dict[str, str] = {}
        self.drops = 0
        self.accepted: list[EmailMessage] = []
        self.connections = 0

    @property
    def settings(self) -> dict[str, Any]:
        backend = "django.core.mail.backends.smtp.EmailBackend"
        return {"EMAIL_BACKEND": backend, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": self.server_address[1]}


class _Handler(socketserver.StreamRequestHandler):
    server: FakeSmtp

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.server.connections += 1
        self.say("220 tests")
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                self.say(self.server.refuse.get(address, "250 yes"))
            elif word == "DATA":
                self.say("354 go on")
                if not self._take():
                    return
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 yes")

    def _take(self) -> bool:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.server.accepted.append(email.message_from_bytes(b"".join(lines), policy=email.policy.default))  # type: ignore[arg-type]
        if self.server.drops:
            self.server.drops -= 1
            return False
        self.say("250 taken")
        return True


@contextmanager
def smtp() -> Iterator[FakeSmtp]:
    """A server of its own."""
    server = FakeSmtp()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
