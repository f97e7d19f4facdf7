"""The client against answers that a healthy server does not give. Against a real one: test_client_live.py."""

import json
import logging
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from k8s import client as module
from k8s.client import Client, Conflict, Error, Gone, NotFound, Rejected, Unavailable
from k8s.errors import NamespaceTerminating, from_status
from k8s.kinds import path
from tests.k8s.examples import GOLDEN
from tests.k8s.scripted import Answer, Request, serving, status

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "namespace": "n"},
    "stringData": {"password": "hunter2-hunter2"},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.001)
    monkeypatch.setattr(module, "_LONGEST_DELAY", 0.01)


def echo(request: Request) -> Answer:
    return Answer(200, json.loads(request.body) if request.body else {"kind": "Pod", "metadata": {}})


def test_apply_is_one_server_side_apply_call() -> None:
    with serving(echo) as server:
        client = server.client()
        applied = client.apply(SECRET)
    assert applied == SECRET
    assert client.calls == {"apply": 1}
    (request,) = server.requests
    assert request.method == "PATCH"
    assert request.path == "/api/v1/namespaces/n/secrets/s?fieldManager=mlsite&force=true"
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["User-Agent"] == "mlsite"
    assert request.headers["authorization"] == "Bearer t0ken-of-the-site"


def test_apply_without_force_says_so() -> None:
    with serving(echo) as server:
        server.client().apply(SECRET, manager="other", force=False)
    assert server.requests[0].path.endswith("?fieldManager=other&force=false")


def test_a_merge_says_only_what_it_changes() -> None:
    change = {"kind": "Pod", "metadata": {"name": "p", "namespace": "n", "labels": {"a": "b"}}}
    with serving(echo) as server:
        assert server.client().merge(change) == change
    (request,) = server.requests
    assert (request.method, request.path) == ("PATCH", "/api/v1/namespaces/n/pods/p")
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(request.body) == change


def test_connection_is_reused_from_call_to_call() -> None:
    with serving(echo) as server:
        client = server.client()
        for _ in range(5):
            client.get("Pod", "p", "n")
            with pytest.raises(KeyError):
                client.get("Nonsense", "p", "n")
    assert len(server.connections) == 1


def test_many_threads_share_a_client() -> None:
    with serving(echo) as server:
        client = server.client()
        threads = [threading.Thread(target=lambda: [client.apply(SECRET) for _ in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert client.calls["apply"] == len(server.requests) == 160
    assert len(server.connections) <= 8


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_fault_is_tried_again(code: int) -> None:
    answers = [status(code, "", "wait"), status(code, "", "wait"), Answer(200, {"metadata": {}})]
    with serving(lambda request: answers[len(server.requests) - 1]) as server:
        client = server.client(retries=3)
        client.get("Pod", "p", "n")
    assert client.calls["get"] == 3


def test_fault_that_stays_is_unavailable_after_the_last_try() -> None:
    with serving(lambda request: status(503, "ServiceUnavailable", "down")) as server:
        client = server.client(retries=2)
        with pytest.raises(Unavailable) as caught:
            client.apply(SECRET)
    assert (client.calls["apply"], caught.value.code) == (3, 503)


def test_wrong_credentials_are_unavailable_at_once() -> None:
    with serving(lambda request: status(401, "Unauthorized", "Unauthorized")) as server:
        client = server.client()
        with pytest.raises(Unavailable):
            client.get("Pod", "p", "n")
    assert client.calls["get"] == 1


def test_refused_connection_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = _config(f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable, match="is not responding"):
        Client.from_kubeconfig(config, retries=1).version()


def test_silent_server_is_unavailable_within_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client.from_kubeconfig(_config(f"http://127.0.0.1:{silent.getsockname()[1]}"), timeout=0.2, retries=0)
        with pytest.raises(Unavailable, match="read timeout"):
            client.version()


def test_answer_cut_off_is_tried_again() -> None:
    answers = [Answer(200, {"a": "b"}, cut=True), Answer(200, {"metadata": {}})]
    with serving(lambda request: answers[len(server.requests) - 1]) as server:
        assert server.client().get("Pod", "p", "n") == {"metadata": {}}


def test_page_that_is_not_json_is_unavailable() -> None:
    with (
        serving(lambda request: Answer(200, "<html>", {"Content-Type": "text/html"})) as server,
        pytest.raises(Unavailable),
    ):
        server.client().version()


@pytest.mark.parametrize(
    ("answer", "error", "kind"),
    [
        (status(404, "NotFound", 'pods "p" not found'), NotFound, None),
        (status(409, "AlreadyExists", 'pods "p" already exists'), Conflict, None),
        (status(409, "Conflict", "object has been modified", kind="resourcequotas"), Unavailable, None),
        (status(403, "Forbidden", "pods is forbidden: status unknown for quota: q, resources: pods"), Unavailable, None),
        (status(403, "Forbidden", 'pods "p" is forbidden: error looking up service account n/lab'), Unavailable, None),
        (status(410, "Expired", "too old resource version"), Gone, None),
        (status(403, "Forbidden", 'pods is forbidden: User "u" cannot create resource "pods"'), Rejected, "forbidden"),
        (status(403, "Forbidden", "unable to create in namespace n because it is being terminated"), NamespaceTerminating, None),
        (status(400, "BadRequest", 'admission webhook "w" denied the request: no'), Rejected, "policy"),
        (status(422, "Invalid", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"), Rejected, "policy"),
        (status(400, "BadRequest", "the body is malformed"), Rejected, "validation"),
        (status(500, "", "failed to create typed patch object (n/p; /v1, Kind=Pod): .spec.x: wrong"), Rejected, "validation"),
        (status(415, "UnsupportedMediaType", "no"), Rejected, "validation"),
    ],
)  # fmt: skip
def test_answers_are_sorted_by_what_they_mean(answer: Answer, error: type[Error], kind: str | None) -> None:
    with serving(lambda request: answer) as server, pytest.raises(error) as caught:
        server.client(retries=0).apply(SECRET | {"kind": "Pod"})
    assert type(caught.value) is error
    assert getattr(caught.value, "kind", None) == kind
    assert caught.value.code == answer.code


ANSWERS = {
    name: case["error"]
    for file in (GOLDEN / "causes").glob("*.json")
    for name, case in json.loads(file.read_text()).items()
    if "error" in case and case["error"]["code"]
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_answer_of_a_real_server_keeps_its_meaning_and_words(name: str) -> None:
    real = ANSWERS[name]
    with (
        serving(lambda request: status(real["code"], real["reason"], real["message"])) as server,
        pytest.raises(Error) as caught,
    ):
        server.client(retries=0).apply(SECRET | {"kind": "Pod"})
    said = {"type": type(caught.value).__name__, "message": caught.value.message}
    if isinstance(caught.value, Rejected):
        said["kind"] = caught.value.kind
    assert said == {key: real[key] for key in said}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"404 page not found\n", "404 page not found"), (b"<html>no</html>", "HTTP 404"), (b'{"odd": 1}', "HTTP 404")],
)
def test_an_answer_that_is_no_status_is_kept_unless_it_is_a_page(content: bytes, message: str) -> None:
    assert from_status(404, content, "").message == message


def test_content_of_a_secret_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quoted = 'failed to create typed patch object (n/s; /v1, Kind=Secret): got "hunter2-hunter2"'
    for answer in (
        status(500, "", quoted),
        status(422, "Invalid", quoted),
        status(503, "", quoted),
        status(400, "", quoted),
    ):
        with serving(lambda request, answer=answer: answer) as server, pytest.raises(Error) as caught:  # type: ignore[misc]
            server.client(retries=1).apply(SECRET)
        chain = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.message}"
        assert "hunter2" not in chain
        assert "t0ken" not in chain
    assert "hunter2" not in caplog.text
    assert "t0ken" not in caplog.text


def test_error_of_transport_does_not_carry_the_query() -> None:
    config = _config("http://127.0.0.1:1")
    with pytest.raises(Unavailable) as caught:
        Client.from_kubeconfig(config, retries=0).list("Pod", labels="mlsite/site=site-1")
    assert "site-1" not in str(caught.value)


def test_delete_of_what_is_not_there_is_false() -> None:
    with serving(lambda request: status(404, "NotFound", "no")) as server:
        assert server.client().delete("Pod", "p", "n") is False


def test_delete_sends_uid_grace_and_propagation() -> None:
    with serving(echo) as server:
        assert server.client().delete("Pod", "p", "n", uid="u", grace_seconds=0, propagation="Foreground") is True
    sent = json.loads(server.requests[0].body)
    assert sent["preconditions"] == {"uid": "u"}
    assert sent["gracePeriodSeconds"] == 0
    assert sent["propagationPolicy"] == "Foreground"


def test_delete_leaves_another_object_of_the_name_alone() -> None:
    words = 'Operation cannot be fulfilled on Secret "s": the UID in the precondition (1) does not match the UID in record (2).'
    with serving(lambda request: status(409, "Conflict", words)) as server:
        assert server.client().delete("Secret", "s", "n", uid="1") is False


def test_list_gives_items_their_kind_and_its_version() -> None:
    body = {"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "p"}}]}
    with serving(lambda request: Answer(200, body)) as server:
        listing = server.client().list("Pod", labels="a=b", fields="x=y")
    assert listing.resource_version == "7"
    assert listing.items == [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}]
    assert server.requests[0].path == "/api/v1/pods?labelSelector=a%3Db&fieldSelector=x%3Dy"


def test_list_of_metadata_asks_for_no_more() -> None:
    with serving(lambda request: Answer(200, {"items": None, "metadata": {}})) as server:
        assert server.client().list("Pod", "n", metadata_only=True).items == []
    assert server.requests[0].headers["Accept"].startswith("application/json;as=PartialObjectMetadataList")


def test_watch_yields_changes_and_puts_lines_together() -> None:
    first, second = (json.dumps({"type": "ADDED", "object": {"metadata": {"name": name}}}) for name in "ab")
    text = f"{first}\n{second}\n"
    with serving(lambda request: Answer(lines=[text[:30], text[30:90], text[90:]])) as server:
        changes = list(server.client().watch("Pod", namespace="n", resource_version="1", timeout_seconds=5))
    assert [(kind, obj["metadata"]["name"]) for kind, obj in changes] == [("ADDED", "a"), ("ADDED", "b")]
    assert "resourceVersion=1" in server.requests[0].path
    assert "timeoutSeconds=5" in server.requests[0].path


def test_watch_that_is_too_old_is_gone() -> None:
    error = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
    with serving(lambda request: Answer(lines=[error + "\n"])) as server, pytest.raises(Gone):
        list(server.client().watch("Pod", resource_version="1", timeout_seconds=5))


@pytest.mark.parametrize("lines", [['{"type": "ADDED", "obj'], ['{"type": "ADDED", "object": {}}\n', '{"type"']])
def test_watch_that_breaks_off_is_unavailable(lines: list[str]) -> None:
    with (
        serving(lambda request: Answer(lines=lines, cut=True)) as server,
        pytest.raises(Unavailable, match="broke off"),
    ):
        list(server.client().watch("Pod", resource_version="1", timeout_seconds=5))


def test_watch_that_hangs_is_unavailable_after_its_time() -> None:
    release = threading.Event()

    def hang(request: Request) -> Answer:
        release.wait(10)
        return Answer(lines=[])

    with serving(hang) as server:
        with pytest.raises(Unavailable):
            list(server.client(timeout=0.1).watch("Pod", resource_version="1", timeout_seconds=0))
        release.set()


def test_path_escapes_names() -> None:
    assert path("Pod", "n", "../secrets/s") == "/api/v1/namespaces/n/pods/..%2Fsecrets%2Fs"
    assert path("Ingress", "n") == "/apis/networking.k8s.io/v1/namespaces/n/ingresses"
    assert path("Namespace", None, "n") == "/api/v1/namespaces/n"


def test_namespaced_object_needs_its_namespace() -> None:
    with pytest.raises(ValueError, match="which namespace"):
        path("Pod", None, "p")


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch"}},
        {"tokenFile": "/etc/hostname"},
        {"auth-provider": {"name": "gcp"}},
        {"client-certificate": "/etc/hostname"},
    ],
)
def test_stored_kubeconfig_names_no_program_and_no_file(user: dict[str, Any]) -> None:
    config = _config("http://127.0.0.1:1")
    config["users"] = [{"name": "u", "user": user}]
    with pytest.raises(Unavailable, match="cannot be used"):
        Client.from_kubeconfig(config)


@pytest.mark.parametrize("content", ["", "{}", "a: [", "token: t0ken-of-the-site"])
def test_kubeconfig_that_cannot_be_used_is_unavailable(content: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content)
    with pytest.raises(Unavailable) as caught:
        Client.from_kubeconfig(file)
    assert "t0ken" not in str(caught.value)


def test_outside_of_a_pod_there_is_no_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Unavailable):
        Client.from_in_cluster()


def test_proxy_of_the_environment_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(echo) as server:
        server.client(retries=0).get("Pod", "p", "n")


def test_package_imports_no_django_and_no_model_classes() -> None:
    check = (
        "import sys, k8s.client, k8s.policy, k8s.diagnosis, k8s.watch, k8s.jupyter, k8s.instance_objects\n"
        "print([n for n in sys.modules if n.split('.')[0] == 'django'])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_transport_imports_the_client_library() -> None:
    package = Path(module.__file__).parent
    importers = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if re.search(r"^\s*(from|import) kubernetes\b", file.read_text(), re.M)
    ]
    assert importers == ["transport.py"]


def _config(address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "t0ken-of-the-site"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
