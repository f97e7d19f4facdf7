"""Waiting until something answers.

As a program, `python -m tools.ready FILE KUBECONFIG COMMAND ...` becomes the command once the file is there and the cluster's
API server answers.
"""

import http.client
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

POLL = 0.1
SECONDS = 60.0


def until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Ask until it is so; False when it is not after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def answers(url: str) -> bool:
    """Whether a server answers there and does not say that it is at fault. Who it is does not matter: nothing is sent."""
    parts = urlsplit(url)
    where, port = parts.hostname or "localhost", parts.port
    connection = (
        http.client.HTTPSConnection(where, port, timeout=5, context=ssl._create_unverified_context())  # noqa: S323
        if parts.scheme == "https"
        else http.client.HTTPConnection(where, port, timeout=5)
    )
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of the loopback address."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def cluster_answers(kubeconfig: Path) -> bool:
    """Whether the kubeconfig is there and its API server answers. It is read anew each time: a restart may change it."""
    try:
        server = re.search(r'server"?:\s*"?(https?://[^\s",}]+)', kubeconfig.read_text())
    except OSError:
        return False
    return server is not None and answers(f"{server[1].rstrip('/')}/version")


def main(file: str, kubeconfig: str, *command: str) -> None:
    until(Path(file).exists, seconds=SECONDS)
    if not until(lambda: cluster_answers(Path(kubeconfig)), seconds=SECONDS):
        sys.stderr.write(f"WARNING the cluster of {kubeconfig} is not responding; continuing without it\n")
    os.execv(command[0], command)  # noqa: S606  # fixed program, no shell


if __name__ == "__main__":
    main(*sys.argv[1:])
