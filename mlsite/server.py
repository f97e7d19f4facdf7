"""How the site is served: gunicorn's settings (`gunicorn --config python:mlsite.server mlsite.wsgi`), and its worker.

gunicorn's threads read a request from its connection themselves, so as many clients as there are threads, each of which sends half
a request and waits, silence the site. Here the worker's one loop gathers a request first, for as many connections as there are, and
a thread sees it when all of it has come. A client that takes too long is sent away. What a proxy that buffers requests does, without one.
"""

from __future__ import annotations

import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import IO, Any

from gunicorn import http
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from mlsite import env

worker_class = "mlsite.server.GatheringWorker"
#: Bytes of one header. Planted cookies may be that large, and get a page that says what to do (`mlsite.middleware.few_cookies`).
limit_request_field_size = 1 << 20

#: Seconds in which the head of a request must come, and for which a thread waits for a client that does not read its answer.
HEAD_SECONDS = 15
#: Bytes a second at which a body comes at least.
SLOWEST = 16 * 1024
#: Bytes of a head, and of a body: more than a roster may have, so that the page can say by how much it is too large.
LONGEST_HEAD = limit_request_field_size + 64 * 1024
LARGEST_BODY = 4 * env.number("ROSTER_MAX_MB", 10) << 20
#: Bytes of a request that are held in memory; the rest lies in a file.
IN_MEMORY = 64 * 1024
READ = 64 * 1024
REFUSALS = {
    408: ("Request Timeout", "The request took too long to arrive. Please try again."),
    411: ("Length Required", "The request has no Content-Length header. Send it with one."),
    413: ("Content Too Large", "The request is larger than this site accepts. Go back and choose a smaller file."),
    431: ("Request Header Fields Too Large", "Your browser sends too many cookies. Delete the cookies of this site and of its parent "
          "domain in the browser's settings, or use a private window."),
}  # fmt: skip


class HttpError(Exception):
    """The request is answered without being read to its end."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Gathering:
    """One request on its way in."""

    def __init__(self, now: float) -> None:
        self.deadline = now + HEAD_SECONDS
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # closed by who reads it
        self.head = b""
        #: Bytes that are still to come; None until the head has come.
        self.missing: int | None = None
        #: More came than this request: the connection ends after it.
        self.has_more = False
        self.wants_to_be_told = False

    def add(self, data: bytes, now: float) -> bool:
        """Take what has come; True when that is all. Raises HttpError."""
        if self.missing is None:
            searched_from = max(len(self.head) - 3, 0)
            self.head = (self.head + data).lstrip(b"\r\n")
            end = self.head.find(b"\r\n\r\n", searched_from)
            if end < 0 and len(self.head) <= LONGEST_HEAD:
                return False
            if end < 0 or end > LONGEST_HEAD:
                raise HttpError(431)
            data, self.head = self.head[end + 4 :], self.head[: end + 4]
            self.missing = self._length()
            self.deadline = now + HEAD_SECONDS + self.missing / SLOWEST
            self.file.write(self.head)
        self.has_more = len(data) > self.missing
        self.file.write(data[: self.missing])
        self.missing -= min(len(data), self.missing)
        return self.missing == 0

    def _length(self) -> int:
        """Of the body. What is no number is 0: gunicorn refuses such a head before it reads on."""
        fields = dict(self._fields())
        if b"transfer-encoding" in fields:
            raise HttpError(411)
        told = fields.get(b"content-length", b"0")
        length = int(told) if told.isdigit() and len(told) < 16 else 0
        if length > LARGEST_BODY:
            raise HttpError(413)
        self.wants_to_be_told = length > 0 and fields.get(b"expect", b"").lower() == b"100-continue"
        return length

    def _fields(self) -> Iterator[tuple[bytes, bytes]]:
        for line in self.head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            yield name.strip().lower(), value.strip()


class Gathered(SocketUnreader):
    """Gives gunicorn's parser what was gathered, and nothing from the connection before that."""

    file: IO[bytes] | None = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        data = self.file.read(max(size_hint or 0, READ)) if self.file else b""
        return data or super().chunk(size_hint)


class GatheringWorker(ThreadWorker):
    """gunicorn's threads, each with a whole request. Without TLS: that ends at a proxy."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gathering: dict[TConn, Gathering] = {}

    def accept(self, listener: Any) -> None:
        if self.cfg.is_ssl:
            super().accept(listener)
            return
        with suppress(BlockingIOError, ConnectionAbortedError):
            client, address = listener.accept()
            self.nr_conns += 1
            # The thread that answers: a client that does not read, and a head that gunicorn reads otherwise, hold it no longer.
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                client.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", HEAD_SECONDS, 0))
            self._gather(TConn(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: TConn, client: Any) -> None:
        """The next request on a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._gather(conn)

    def _gather(self, conn: TConn) -> None:
        conn.sock.setblocking(False)
        self.gathering[conn] = Gathering(time.monotonic())
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_readable, conn))

    def _on_readable(self, conn: TConn, client: Any) -> None:
        """Some more of a request; the loop must outlive whatever comes."""
        request = self.gathering[conn]
        try:
            data = client.recv(READ)
            is_whole = request.add(data, time.monotonic())
            if request.wants_to_be_told and not is_whole:
                request.wants_to_be_told = False
                client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        except BlockingIOError:
            return
        except HttpError as error:
            self._send_away(conn, error.status)
            return
        except Exception:
            self._send_away(conn)
            return
        if is_whole:
            self._hand_over(conn, request)
        elif not data:
            self._send_away(conn)

    def _hand_over(self, conn: TConn, request: Gathering) -> None:
        self._forget(conn)
        if not conn.initialized:
            conn.initialized = conn.data_ready = True
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader = Gathered(conn.sock)
        if conn.parser.unreader.file:
            conn.parser.unreader.file.close()
        request.file.seek(0)
        conn.parser.unreader.file = request.file
        conn.ends = request.has_more
        self.enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        stays = super().handle(conn)
        return stays and not getattr(conn, "ends", False)

    def murder_pending(self) -> None:
        """gunicorn's loop asks each second: send away who takes too long."""
        super().murder_pending()
        now = time.monotonic()
        # A worker that stops waits for requests that have begun, and for no others.
        late = [conn for conn, one in self.gathering.items() if one.deadline < now or not (self.alive or one.head)]
        for conn in late:
            # One that has sent nothing is a browser that keeps a connection in hand.
            self._send_away(conn, 408 if self.gathering[conn].head else None)

    def _send_away(self, conn: TConn, status: int | None = None) -> None:
        request = self._forget(conn)
        request.file.close()
        if status:
            reason, words = REFUSALS[status]
            page = (
                f"<!doctype html><html lang=en><title>{reason}</title><h1>{reason}</h1><p>{words}</p></html>".encode()
            )
            head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n"
            with suppress(OSError):
                conn.sock.send(head.encode() + b"Connection: close\r\n\r\n" + page)
                conn.sock.shutdown(socket.SHUT_WR)
                # What has come and was not read would make the system take the answer back.
                for _ in range(32):
                    conn.sock.recv(READ)
        self.nr_conns -= 1
        conn.close()

    def _forget(self, conn: TConn) -> Gathering:
        self.poller.unregister(conn.sock)
        return self.gathering.pop(conn)
