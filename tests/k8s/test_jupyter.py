import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8s.jupyter import hash_password, lab_config
from tests.k8s.support_ports import free_port

IMAGE = Path(__file__).parents[2] / ".run" / "images" / "jupyterlab"
needs_jupyter = pytest.mark.skipif(
    not (IMAGE / "bin" / "jupyter").exists(), reason="JupyterLab is not there (make run)"
)
TOKEN = "t0ken-that-is-never-printed"


def test_a_lab_is_never_open_to_everybody() -> None:
    with pytest.raises(ValueError, match="password or a token"):
        lab_config("", "", "my-lab.example.org")


def test_password_is_not_in_its_hash() -> None:
    assert "sesame" not in hash_password("open sesame")
    assert hash_password("open sesame") != hash_password("open sesame")


@needs_jupyter
def test_jupyter_accepts_the_hash_of_a_password() -> None:
    check = "import sys, json; from jupyter_server.auth import passwd_check; print([passwd_check(*p) for p in json.load(sys.stdin)])"
    made = hash_password("öpen sesame")
    done = subprocess.run(
        [str(IMAGE / "bin" / "python"), "-c", check],
        input=json.dumps([[made, "öpen sesame"], [made, "open sesame"]]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[True, False]"


@contextmanager
def lab(folder: Path, config: dict[str, object]) -> Iterator[tuple[str, Path]]:
    port = free_port()
    (folder / "config.json").write_text(json.dumps(config))
    home = folder / "home"
    home.mkdir()
    log = folder / "log"
    environment = {
        "HOME": str(home),
        "PATH": f"{IMAGE}/bin:{os.environ['PATH']}",
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
    }
    command = [
        str(IMAGE / "bin" / "jupyter"), "lab", f"--config={folder}/config.json", "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}", f"--ServerApp.root_dir={home}", "--allow-root",
    ]  # fmt: skip
    with (
        log.open("w") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=home) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    urllib.request.urlopen(f"{address}/api", timeout=2).read()
                    break
                except OSError:
                    time.sleep(0.1)
            yield address, log
        finally:
            process.terminate()
            process.wait(20)


def ask(address: str, **headers: str) -> int:
    try:
        return int(urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20).status)
    except urllib.error.HTTPError as error:
        return error.code


@needs_jupyter
@pytest.mark.slow
def test_jupyter_asks_for_the_token_and_never_prints_it(tmp_path: Path) -> None:
    with lab(tmp_path, lab_config("", TOKEN, "my-lab.example.org")) as (address, log):
        assert ask(f"{address}/api", Host="10.0.0.7:8888") == 200  # as the readiness probe comes
        assert ask(f"{address}/api/contents") == 403
        assert ask(f"{address}/api/contents", Authorization="token wrong") == 403
        assert ask(f"{address}/api/contents", Authorization=f"token {TOKEN}", Host="my-lab.example.org") == 200
        assert ask(f"{address}/lab?token={TOKEN}") == 200
        assert ask(f"{address}/nothing?token={TOKEN}") == 404  # a line in the log
        assert ask(f"{address}/lab/api/news", Authorization=f"token {TOKEN}") == 200
        text = log.read_text()
    assert "/nothing" in text
    assert TOKEN not in text
    assert "Extension Manager is 'readonly'" in text
    for word in ("Unrecognized", "deprecated", "Error", "Traceback"):
        assert word not in text, text


@needs_jupyter
@pytest.mark.slow
def test_jupyter_asks_for_the_password_and_marks_its_cookie(tmp_path: Path) -> None:
    with lab(tmp_path, lab_config(hash_password("open sesame"), "", "my-lab.example.org")) as (address, log):
        assert ask(f"{address}/api/contents") == 403
        assert sign_in(address, "wrong") == ""
        cookie = sign_in(address, "open sesame").lower()
        text = log.read_text()
    for word in ("httponly", "samesite=lax", "secure"):
        assert word in cookie
    assert "sesame" not in text


def sign_in(address: str, password: str) -> str:
    """The cookies that the sign-in form gives for a password, asked for as by an ingress with TLS; "" if it does not."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object) -> None:
            return None

    opener = urllib.request.build_opener(Stay)
    first = opener.open(f"{address}/login", timeout=20)
    xsrf = next(part for part in first.headers.get_all("Set-Cookie") if part.startswith("_xsrf=")).split(";")[0]
    data = urllib.parse.urlencode({"_xsrf": xsrf.removeprefix("_xsrf="), "password": password}).encode()
    request = urllib.request.Request(f"{address}/login", data, {"Cookie": xsrf, "X-Forwarded-Proto": "https"})
    try:
        opener.open(request, timeout=20)
    except urllib.error.HTTPError as answer:
        if answer.code == 302:
            return "; ".join(answer.headers.get_all("Set-Cookie") or [])
    return ""
