"""Watches."""

import asyncio
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientConnectionResetError, web
from aiohttp.test_utils import make_mocked_request

from k8s.devcluster.apiserver.resources import BY_PLURAL
from k8s.devcluster.apiserver.target import Target
from k8s.devcluster.apiserver.watching import Watch

from .apiserver_support import MERGE, ROOT, Space, config_map

Change = tuple[str, dict[str, Any]]


@contextmanager
def watch(space: Space, query: str, seconds: int = 20) -> Iterator[Iterator[Change]]:
    """The changes of ConfigMaps of the namespace, as they come."""
    connection = http.client.HTTPSConnection(
        urlsplit(space.cluster.api_url).netloc, timeout=10, context=space.cluster.tls()
    )
    path = f"/api/v1/namespaces/{space.name}/configmaps?watch=true&timeoutSeconds={seconds}&{query}"
    connection.request("GET", path, headers={"Authorization": f"Bearer {space.cluster.token}"})
    response = connection.getresponse()
    assert response.status == 200, response.read()

    def changes() -> Iterator[Change]:
        while line := response.readline():
            change = json.loads(line)
            yield change["type"], change["object"]

    try:
        yield changes()
    finally:
        connection.close()


def _brief(change: Change) -> tuple[str, str]:
    return change[0], change[1]["metadata"]["name"]


def test_a_watch_goes_on_from_a_list(space: Space) -> None:
    space.make("configmaps", config_map("before"))
    version = space.get("configmaps")["metadata"]["resourceVersion"]
    space.make("configmaps", config_map("a"))
    with watch(space, f"resourceVersion={version}") as changes:
        assert _brief(next(changes)) == ("ADDED", "a")
        space.call("PATCH", "configmaps/a", {"data": {"x": "1"}}, content=MERGE)
        assert _brief(next(changes)) == ("MODIFIED", "a")
        space.call("DELETE", "configmaps/a")
        kind, last = next(changes)
        assert (kind, last["data"]) == ("DELETED", {"x": "1"})
        assert int(last["metadata"]["resourceVersion"]) == int(space.get("configmaps")["metadata"]["resourceVersion"])


def test_a_watch_without_a_version_begins_with_what_there_is(space: Space) -> None:
    space.make("configmaps", config_map("a"))
    with watch(space, "") as changes:
        assert _brief(next(changes)) == ("ADDED", "a")


def test_an_object_that_leaves_the_selection_is_deleted_from_it(space: Space) -> None:
    space.make("configmaps", config_map("a", labels={"x": "1"}))
    version = space.get("configmaps")["metadata"]["resourceVersion"]
    with watch(space, f"resourceVersion={version}&labelSelector=x%3D1") as changes:
        space.make("configmaps", config_map("other"))
        space.call("PATCH", "configmaps/a", {"metadata": {"labels": {"x": "2"}}}, content=MERGE)
        kind, last = next(changes)
        assert (kind, last["metadata"]["labels"]) == ("DELETED", {"x": "1"})
        space.call("PATCH", "configmaps/a", {"metadata": {"labels": {"x": "1"}}}, content=MERGE)
        assert _brief(next(changes)) == ("ADDED", "a")


def test_a_watch_ends_in_time_with_a_bookmark(space: Space) -> None:
    with watch(space, "resourceVersion=0&allowWatchBookmarks=true", seconds=1) as changes:
        kinds = [kind for kind, obj in changes if obj["metadata"].get("name") != ROOT]
    assert kinds == ["BOOKMARK"]


def test_initial_events_end_with_a_bookmark(space: Space) -> None:
    space.make("configmaps", config_map("a"))
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    with watch(space, query) as changes:
        assert {_brief(next(changes)), _brief(next(changes))} == {("ADDED", "a"), ("ADDED", ROOT)}
        kind, mark = next(changes)
        assert (kind, mark["metadata"]["annotations"]) == ("BOOKMARK", {"k8s.io/initial-events-end": "true"})


def test_who_has_gone_from_a_watch_is_no_fault_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to be had at will from outside: the connection is closing, and its end is not known of yet."""

    async def gone(*_: object) -> None:
        raise ClientConnectionResetError("Cannot write to closing transport")

    async def run() -> web.StreamResponse:
        monkeypatch.setattr(web.StreamResponse, "prepare", gone)
        store: Any = SimpleNamespace(watch=lambda *_: lambda: None, version=1, each=lambda *_: ())
        target = Target(BY_PLURAL["configmaps"], namespace="a", name="", subresource="")
        watched = Watch(make_mocked_request("GET", "/?timeoutSeconds=5"), target, store)
        faults: Any = SimpleNamespace(drop_after=lambda _: None)
        return await watched.run(faults, asyncio.Event())

    assert asyncio.run(run()).status == 200
