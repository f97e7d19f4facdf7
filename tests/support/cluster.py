"""What tests ask of any cluster that they know by a kubeconfig with a token: the embedded one and the control plane alike."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from k8s.client import Client

DEADLINE = 30.0  # seconds


def wait_for(what: str, condition: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """The first true answer of `condition`. Raises AssertionError, with `what`, when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def is_ready(node: dict[str, Any]) -> bool:
    """Whether a node takes pods."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


class Cluster:
    """An API server, by its kubeconfig."""

    @property
    def kubeconfig(self) -> Path:
        """The file by which an administrator finds the cluster."""
        raise NotImplementedError

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.kubeconfig.read_text())
        return config

    @property
    def api_url(self) -> str:
        """The address of the API server."""
        return str(self._config()["clusters"][0]["cluster"]["server"])

    def tls(self) -> ssl.SSLContext:
        """By which a client trusts the API server."""
        authority = self._config()["clusters"][0]["cluster"]["certificate-authority-data"]
        return ssl.create_default_context(cadata=base64.b64decode(authority).decode())

    @property
    def token(self) -> str:
        """The administrator's bearer token."""
        return str(self._config()["users"][0]["user"]["token"])

    def client(self) -> Client:
        """A client of the site's own kind."""
        return Client.from_kubeconfig(self.kubeconfig)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One call outside the site's client; the decoded answer. Raises urllib.error.HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "User-Agent": "tests"}
        call = urllib.request.Request(self.api_url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(call, timeout=10, context=self.tls()) as response:
            content = response.read()
        try:
            return json.loads(content)
        except ValueError:
            return content.decode()
