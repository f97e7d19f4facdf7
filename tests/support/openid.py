"""An OpenID provider on loopback, and a browser's steps between it and the site.

The provider is real (PyPI: oidc-provider-mock): it keeps people with their claims, asks for consent, gives codes, signs tokens.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import flask
import requests
from django.test import Client
from oidc_provider_mock import app as make_app
from oidc_provider_mock._server import _threaded_server

# The provider's own library insists on https otherwise; both ends are on loopback.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
SECONDS = 20


class Provider:
    """A running provider. `lies` changes what it answers: path -> the answer's JSON, to be changed in place."""

    def __init__(self, url: str, lies: dict[str, Callable[[dict[str, Any]], None]]) -> None:
        self.url = url
        self.lies = lies
        self.asked: list[str] = []

    def knows(self, sub: str, **claims: Any) -> None:
        """A person, with all that is said of them; replaces what was said before."""
        answer = requests.put(f"{self.url}/users/{sub}", json=claims, timeout=SECONDS)
        assert answer.status_code == 204, answer.text

    def consents(self, address: str, sub: str) -> str:
        """The person agrees on the provider's page; the address to which the browser is sent back."""
        return self._answers(address, {"sub": sub})

    def denies(self, address: str) -> str:
        """The person does not agree. Providers send the state back, as the specification wants; this one forgets it."""
        back = self._answers(address, {"action": "deny"})
        state = parse_qs(urlsplit(address).query)["state"][0]
        return f"{back}&{urlencode({'state': state})}"

    def _answers(self, address: str, form: dict[str, str]) -> str:
        assert requests.get(address, timeout=SECONDS).status_code == 200
        answer = requests.post(address, data=form, allow_redirects=False, timeout=SECONDS)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])


@contextmanager
def running() -> Iterator[Provider]:
    """A provider of its own, until the end of the block."""
    app = make_app()
    lies: dict[str, Callable[[dict[str, Any]], None]] = {}

    @app.after_request
    def lie(response: flask.Response) -> flask.Response:
        path = flask.request.path
        if path in lies and response.is_json:
            told = response.get_json()
            lies[path](told)
            response.set_data(json.dumps(told))
        return response

    with _threaded_server(app) as server:
        yield Provider(f"http://localhost:{server.server_port}", lies)


def onward(page: Any) -> str:
    """Where the page between us and the provider sends the browser."""
    assert page.status_code == 200, (page.status_code, page.headers.get("Location"))
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.text)
    assert found, page.text
    return html.unescape(found.group(1))


def set_out(client: Client, name: str = "campus", **form: str) -> str:
    """Press the button of a provider; the address at the provider."""
    return onward(client.post(f"/accounts/oidc/{name}/login/", {"process": "login", **form}))


def come_back(client: Client, address: str) -> Any:
    """What the site answers to whoever the provider sends back to it."""
    parts = urlsplit(address)
    return client.get(f"{parts.path}?{parts.query}")


def sign_in(client: Client, provider: Provider, sub: str, name: str = "campus", **form: str) -> Any:
    """The whole way there and back."""
    return come_back(client, provider.consents(set_out(client, name, **form), sub))
