"""The watcher against a server that misbehaves. Against one that lives and dies: test_live.py."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from k8s import client as client_module
from k8s import watch as watch_module
from k8s.repeats import Repeats
from k8s.watch import Watcher
from tests.k8s.scripted import Answer, Request, Server, serving, status

QUICK: dict[str, Any] = {"first_delay": 0.01, "longest_delay": 0.05}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_DELAY", 0.001)


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def listing(*names: str, version: int = 1) -> Answer:
    return Answer(200, {"metadata": {"resourceVersion": str(version)}, "items": [pod(name, version) for name in names]})


def change(kind: str, name: str, version: int) -> str:
    return json.dumps({"type": kind, "object": pod(name, version)}) + "\n"


def gone() -> str:
    return (
        json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}})
        + "\n"
    )


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


class Heard:
    """What a watcher told."""

    def __init__(self) -> None:
        self.syncs: list[list[str]] = []
        self.events: list[tuple[str, str]] = []

    def on_sync(self, items: list[dict[str, Any]]) -> None:
        self.syncs.append([item["metadata"]["name"] for item in items])

    def on_event(self, kind: str, obj: dict[str, Any]) -> None:
        self.events.append((kind, obj["metadata"]["name"]))


@contextmanager
def watching(server: Server, heard: Any, **options: Any) -> Iterator[Watcher]:
    client = server.client(retries=0, timeout=options.pop("timeout", 5.0))
    watcher = Watcher(
        client,
        "Pod",
        namespace="n",
        labels="a=b",
        on_sync=heard.on_sync,
        on_event=heard.on_event,
        **{**QUICK, **options},
    )
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        yield watcher
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


class Script:
    """Answers lists and watches each from its own list; when a list is used up, its last answer comes again."""

    def __init__(self, lists: list[Answer], watches: list[Answer]) -> None:
        self.lists, self.watches = lists, watches
        self.listed: list[Request] = []
        self.watched: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        seen, answers = (self.watched, self.watches) if "watch=true" in request.path else (self.listed, self.lists)
        seen.append(request)
        return answers[min(len(seen), len(answers)) - 1]


@pytest.fixture
def quiet() -> Iterator[Answer]:
    """A watch in which nothing happens until the end of the test."""
    release = threading.Event()
    yield Answer(lines=[], hold=release)
    release.set()


def test_all_that_there_is_comes_first_and_then_every_change() -> None:
    script = Script([listing("a")], [Answer(lines=[change("ADDED", "b", 2), change("DELETED", "a", 3)])])
    heard = Heard()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: len(heard.events) >= 2)
    assert heard.syncs[0] == ["a"]
    assert heard.events[:2] == [("ADDED", "b"), ("DELETED", "a")]
    assert "labelSelector=a%3Db" in script.listed[0].path
    assert "resourceVersion=1" in script.watched[0].path


def test_watch_goes_on_where_it_ended_without_a_new_list() -> None:
    script = Script(
        [listing()],
        [Answer(lines=[change("ADDED", "a", 5)]), Answer(lines=[change("ADDED", "b", 9)]), status(500, "", "")],
    )
    heard = Heard()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: len(script.watched) >= 3)
    assert ["resourceVersion=5" in script.watched[1].path, "resourceVersion=9" in script.watched[2].path] == [
        True,
        True,
    ]


def test_bookmark_moves_the_version_and_is_not_told() -> None:
    script = Script([listing()], [Answer(lines=[change("BOOKMARK", "", 40)]), status(500, "", "")])
    heard = Heard()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: len(script.watched) >= 2)
    assert "resourceVersion=40" in script.watched[1].path
    assert heard.events == []


@pytest.mark.parametrize("answer", [Answer(lines=[gone()]), status(410, "Expired", "too old")])
def test_version_that_is_too_old_brings_a_new_list(answer: Answer) -> None:
    script = Script([listing("a"), listing("b", version=50)], [answer])
    heard = Heard()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: len(script.watched) >= 2)
    assert heard.syncs[:2] == [["a"], ["b"]]
    assert "resourceVersion=50" in script.watched[1].path


@pytest.mark.parametrize("now", [300, 900], ids=["to before the last version", "and is past that version again"])
def test_after_a_fault_all_is_listed_anew_for_the_cluster_may_have_been_set_back(now: int) -> None:
    dropped = Answer(lines=[change("ADDED", "a", 500), '{"type": "ADD'], cut=True)
    script = Script([listing(version=400), listing("old", version=now)], [dropped])
    heard = Heard()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: len(heard.syncs) >= 2 and len(script.watched) >= 2)
    assert heard.syncs[:2] == [[], ["old"]]
    assert heard.events[0] == ("ADDED", "a")
    assert f"resourceVersion={now}" in script.watched[1].path


def test_long_list_comes_in_pages_and_only_what_is_wanted_of_it_is_kept() -> None:
    first, last = listing("a", "foreign", version=7), listing("b", version=7)
    first.body["metadata"]["continue"] = "there"
    first.body["items"][0]["metadata"]["managedFields"] = [{"manager": "mlsite"}]
    told: list[list[dict[str, Any]]] = []
    heard = Heard()
    heard.on_sync = told.append  # type: ignore[assignment]
    script = Script([first, last], [Answer(lines=[change("ADDED", "foreign", 8), change("ADDED", "c", 9)])])
    with serving(script) as server, watching(server, heard, keep=lambda obj: obj["metadata"]["name"] != "foreign"):
        wait_for(lambda: bool(heard.events))
    assert [item["metadata"] for item in told[0]] == [pod("a", 7)["metadata"], pod("b", 7)["metadata"]]
    assert heard.events[0] == ("ADDED", "c")
    assert [("continue=there" in request.path) for request in script.listed[:2]] == [False, True]
    assert "resourceVersion=7" in script.watched[0].path


def test_page_that_came_too_late_brings_a_new_list() -> None:
    first = listing("a", version=7)
    first.body["metadata"]["continue"] = "there"
    script = Script([first, status(410, "Expired", "too old"), listing("b", version=50)], [status(500, "", "")])
    heard = Heard()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: bool(heard.syncs))
    assert heard.syncs[0] == ["b"]
    assert "continue" not in script.listed[2].path


def test_change_that_a_callback_did_not_take_is_made_good_by_a_list_soon(
    quiet: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(Heard):
        def on_event(self, kind: str, obj: dict[str, Any]) -> None:
            raise RuntimeError("the data base is away")

    monkeypatch.setattr(watch_module, "FIRST_MISHAP", 0.2)
    script = Script([listing("a"), listing("a", "b")], [Answer(lines=[change("ADDED", "b", 2)]), quiet])
    heard = Forgetful()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: len(heard.syncs) >= 2)
    assert heard.syncs[1] == ["a", "b"]


def test_server_that_refuses_every_watch_is_not_asked_in_a_tight_loop() -> None:
    for answer in (status(503, "", "no"), Answer(lines=[]), Answer(lines=[], cut=True), Answer(lines=[gone()])):
        script = Script([listing()], [answer])
        heard = Heard()
        with serving(script) as server, watching(server, heard, first_delay=0.2, longest_delay=5) as watcher:
            wait_for(lambda script=script: len(script.watched) >= 2)  # type: ignore[misc]
            began, before = time.monotonic(), len(script.watched)
            wait_for(lambda script=script, before=before: len(script.watched) > before)  # type: ignore[misc]
            assert time.monotonic() - began > 0.1
        assert watcher.last_contact is not None


def test_silent_watch_is_given_up_after_its_time(quiet: Answer) -> None:
    script = Script([listing("a")], [quiet])
    heard = Heard()
    with serving(script) as server, watching(server, heard, watch_seconds=1, timeout=0.1):
        wait_for(lambda: len(script.watched) >= 2)


def test_list_is_asked_for_again_after_its_time() -> None:
    script = Script([listing("a"), listing("b")], [Answer(lines=[change("MODIFIED", "a", 2)])])
    heard = Heard()
    with serving(script) as server, watching(server, heard, relist_seconds=0.0):
        wait_for(lambda: len(heard.syncs) >= 2)
    assert heard.syncs[:2] == [["a"], ["b"]]


def test_exception_in_a_callback_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(Heard):
        def on_sync(self, items: list[dict[str, Any]]) -> None:
            super().on_sync(items)
            raise RuntimeError("clumsy sync")

        def on_event(self, kind: str, obj: dict[str, Any]) -> None:
            super().on_event(kind, obj)
            raise RuntimeError("clumsy event")

    caplog.set_level(logging.ERROR)
    script = Script([listing("a")], [Answer(lines=[change("ADDED", "b", 2), change("ADDED", "c", 3)])])
    heard = Clumsy()
    with serving(script) as server, watching(server, heard):
        wait_for(lambda: len(heard.events) >= 2)
    assert heard.events[:2] == [("ADDED", "b"), ("ADDED", "c")]
    assert "clumsy sync" in caplog.text
    assert "clumsy event" in caplog.text


def test_fault_is_told_and_forgotten_when_all_is_well(quiet: Answer) -> None:
    script = Script([status(503, "", "down for a while"), status(503, "", "down for a while"), listing("a")],
                    [Answer(lines=[change("ADDED", "b", 2)]), quiet])  # fmt: skip
    heard = Heard()
    problems: set[str] = set()
    with serving(script) as server, watching(server, heard) as watcher:

        def seen() -> bool:
            problems.add(watcher.problem)
            return bool(heard.events)

        wait_for(seen)
        wait_for(lambda: watcher.problem == "")
        assert watcher.last_contact is not None
        assert time.monotonic() - watcher.last_contact < 10
    assert "down for a while" in problems


def test_stop_ends_a_waiting_watcher_at_once(quiet: Answer) -> None:
    script = Script([listing()], [quiet])
    with serving(script) as server:
        with watching(server, Heard()):
            wait_for(lambda: bool(script.watched))
            began = time.monotonic()
        assert time.monotonic() - began < 1


def test_a_cluster_that_stays_silent_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    client, stop = Server(address, [], set()).client(retries=0), threading.Event()
    watcher = Watcher(
        client, "Pod", on_sync=print, on_event=print, first_delay=0.01, longest_delay=0.01, where="campus"
    )
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    wait_for(lambda: watcher._failures > 8)
    stop.set()
    thread.join(5)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["watch of Pod on campus: The cluster is not responding (new connection)."]


def test_trouble_is_told_again_when_it_is_another_one_or_was_over(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Repeats(logging.getLogger("trouble"))
    for text in ("a", "a", "b", "b"):
        trouble.warn(text)
    trouble.over()
    trouble.warn("b")
    Repeats(logging.getLogger("trouble"), again=0).warn("b")
    assert [record.getMessage() for record in caplog.records] == ["a", "b", "b", "b"]
