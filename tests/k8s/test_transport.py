"""How the site signs in to an API server: no token that an editor has damaged gets through, and none gets into an error."""

from __future__ import annotations

import base64
import datetime
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from k8s import kubeconfig
from k8s.checkup import Expected, examine
from k8s.client import Client
from k8s.errors import Error, Unavailable
from tests.k8s.scripted import Answer, Request, serving, status

TOKEN = "t0ken-of-the-site"
DAMAGED = {
    "zero width": f"{TOKEN[:4]}\u200b{TOKEN[4:]}", "byte order mark": f"{TOKEN[:4]}\ufeff", "ellipsis": f"{TOKEN[:4]}…",
    "control": f"{TOKEN}\x00", "joiner": f"{TOKEN}\u2060", "umlaut": f"{TOKEN}ä",
}  # fmt: skip
BLANKS = {
    "line break": f"{TOKEN}\n",
    "windows": f"{TOKEN}\r\n",
    "wrapped": f"{TOKEN[:4]}\n  {TOKEN[4:]}",
    "no-break": f"\u00a0{TOKEN}",
}


def config(address: str = "https://127.0.0.1:1", **user: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }


def certificate(subject: str = "site") -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return key, made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def coded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


@pytest.mark.parametrize("token", BLANKS.values(), ids=BLANKS)
def test_blanks_that_an_editor_put_into_a_token_are_cut(token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(token.encode())
    with serving(lambda request: Answer(body={"gitVersion": "v1"})) as server:
        for user, folder in (({"token": token}, None), ({"tokenFile": "token"}, tmp_path)):
            Client.from_kubeconfig(config(server.address, **user), folder=folder).version()
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("token", DAMAGED.values(), ids=DAMAGED)
def test_a_token_that_no_header_can_hold_is_refused_unquoted(token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(token.encode())
    with serving(lambda request: Answer(body={"gitVersion": "v1"})) as server:
        for user, folder in (({"token": token}, None), ({"tokenFile": "token"}, tmp_path)):
            with pytest.raises(Unavailable, match=r"contains the character U\+") as caught:
                Client.from_kubeconfig(config(server.address, **user), folder=folder).version()
            assert TOKEN[:4] not in str(caught.value)
    with pytest.raises(kubeconfig.Unusable, match=r"contains the character U\+"):
        kubeconfig.read(json.dumps(config(token=token)))


def test_certificates_and_keys_that_cannot_be_used_are_refused_unquoted() -> None:
    (key, pem), (other, _) = certificate(), certificate()
    plain, locked = (
        one.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        for one, how in ((key, NoEncryption()), (key, BestAvailableEncryption(b"password")))
    )
    foreign = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both = {"client-certificate-data": coded(pem), "client-key-data": coded(plain)}
    kubeconfig.read(json.dumps(config(**both)))
    for wrong, why in (
        ({"client-key-data": plain.decode()}, "is not base64"),
        ({"client-certificate-data": pem.decode()}, "is not base64"),
        ({"client-key-data": coded(plain[:60])}, "is damaged"),
        ({"client-key-data": coded(locked)}, "protected by a password"),
        ({"client-key-data": coded(foreign)}, "do not match"),
    ):
        with pytest.raises(kubeconfig.Unusable, match=why) as caught:
            kubeconfig.read(json.dumps(config(**both | wrong)))
        assert "PRIVATE" not in str(caught.value)
        with pytest.raises(Unavailable, match=why):
            Client.from_kubeconfig(config(**both | wrong))
    wrong_authority = config()
    wrong_authority["clusters"][0]["cluster"]["certificate-authority-data"] = pem.decode()
    with pytest.raises(kubeconfig.Unusable, match="certificate-authority-data is not base64"):
        kubeconfig.read(json.dumps(wrong_authority))


@pytest.mark.parametrize(
    "problem",
    [ValueError, KeyError, RuntimeError, AssertionError, lambda text: UnicodeEncodeError("latin-1", text, 0, 1, text), OSError],
)  # fmt: skip
def test_whatever_the_library_raises_is_ours_and_quotes_nothing(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise problem(f"Invalid header value b'Bearer {TOKEN}\\n'")

    client = Client.from_kubeconfig(config(), retries=0)
    monkeypatch.setattr(client._transport._api.rest_client, "request", fail)
    for call in (client.version, client.greet, lambda: client.list("Pod"), lambda: client.get("Pod", "p", "n")):
        with pytest.raises(Unavailable) as caught:
            call()
        assert TOKEN not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "body", ["[]", "null", "7", "[" * 50_000, '{"items": [null]}', '{"items": 7, "metadata": 5}', '{"spec": 1}']
)
def test_answers_of_another_form_end_a_test_of_the_connection_in_words(body: str) -> None:
    def answer(request: Request) -> Answer:
        well = request.path == "/version" and body.startswith("{")
        return Answer(body={"gitVersion": "v1"} if well else body, headers={"Date": "yesterday"})

    with serving(answer) as server:
        expected = Expected(
            ingress_class="nginx", cluster_issuer="x", storage_classes=["fast"], gpu_models=[{"name": "a"}]
        )
        found = examine(server.client(retries=0), expected, now=datetime.datetime.now(datetime.UTC))
    assert "bad" in {finding.tone for finding in found}


def test_a_renewed_token_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    (tmp_path / "kubeconfig").write_text("")
    with serving(lambda request: Answer(body={"gitVersion": "v1"})) as server:
        (tmp_path / "kubeconfig").write_text(json.dumps(config(server.address, tokenFile="token", token="older")))
        client = Client.from_kubeconfig(tmp_path / "kubeconfig")
        client.version()
        file.write_text("second\n")
        client.version()
        file.unlink()
        with pytest.raises(Unavailable, match="token file cannot be read: No such file"):
            client.version()
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]


#: How a server or a proxy quotes a request: as a Status, as a line of text, in a stream, as what was asked for.
ECHOES: dict[str, Callable[[str], Answer]] = {
    "status": lambda sent: status(401, f"Unknown {sent}", f"invalid token: {sent}"),
    "secret": lambda sent: status(422, "Invalid", "no", causes=[{"field": sent}]),
    "line": lambda sent: Answer(502, f"{'proxy: ' * 24}{sent}"),
    "stream": lambda sent: Answer(lines=[json.dumps({"type": "ERROR", "object": {"code": 500, "message": sent}})]),
    "good": lambda sent: Answer(body={"gitVersion": sent}),
}
JWT = f"{'h' * 30}.{'p' * 300}.{'s' * 40}"
SIGNED_IN = {
    "token": ({"token": TOKEN}, [TOKEN]),
    "jwt": ({"token": JWT}, JWT.split(".")),
    "basic": ({"username": "site", "password": "s3cret-word"}, [base64.b64encode(b"site:s3cret-word").decode(), "s3cret-word"]),
}  # fmt: skip


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("way", SIGNED_IN)
def test_a_server_that_quotes_what_it_was_sent_gets_it_into_no_error(way: str, echo: str) -> None:
    user, secrets = SIGNED_IN[way]

    def answer(request: Request) -> Answer:
        sent = request.headers["authorization"]
        return ECHOES[echo](f"{sent}, or {secrets[-1]}")

    def heard(client: Client) -> str:
        try:
            if echo == "stream":
                return str(list(client.watch("Pod", resource_version="1", timeout_seconds=5)))
            if echo == "secret":
                return str(
                    client.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "n"}})
                )
            return client.version() + client.greet().version + client.logs("p", "n")
        except Error as problem:
            return f"{problem} {problem!r} {problem.message} {problem.reason}"

    with serving(answer) as server:
        text = heard(Client.from_kubeconfig(config(server.address, **user), retries=0))
    assert "(credential of the site)" in text
    assert not [secret for secret in secrets if secret[:12] in text]


def test_a_watch_that_hears_of_an_older_token_conceals_it_too(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-of-all")
    (tmp_path / "kubeconfig").write_text("")
    with serving(lambda request: status(500, "", "first-of-all, second-of-all")) as server:
        (tmp_path / "kubeconfig").write_text(json.dumps(config(server.address, tokenFile="token")))
        client = Client.from_kubeconfig(tmp_path / "kubeconfig", retries=0)
        for text in ("first-of-all", "second-of-all"):
            file.write_text(text)
            with pytest.raises(Unavailable) as caught:
                client.version()
    assert str(caught.value) == "(credential of the site), (credential of the site)"


def test_a_program_that_is_missing_or_gives_nothing_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-aws"}
    with pytest.raises(Unavailable, match="program “no-such-aws”, which is not installed"):
        Client.from_kubeconfig(config(exec=plugin), folder=tmp_path)
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(Unavailable, match="program “false” of the kubeconfig did not return a token"),
    ):
        Client.from_kubeconfig(config(exec={**plugin, "command": "false"}), folder=tmp_path)


def test_our_errors_are_the_only_ones_of_a_kubeconfig(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    for text in (
        "users: &a [*a]",
        "{" * 5000,
        "a: !!python/object:os.system {}",
        "\x00",
        "current-context: [1]",
        "date: 2024-99-99",
    ):
        file.write_text(text)
        with pytest.raises(Error):
            Client.from_kubeconfig(file)
