"""A wrong setting ends every program with one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlsite import env

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WHOLE = {"SECRET_KEY": "x" * 50, "SITE_URL": "https://labs.example.org", "DATABASE_URL": "sqlite:///:memory:"}


def started(program: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program], cwd=ROOT, env={"PATH": os.environ["PATH"], **settings}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"SECRET_KEY": None}, "SECRET_KEY is not set"),
        ({"SITE_URL": None}, "SITE_URL is not set"),
        ({"DATABASE_URL": None}, "DATABASE_URL is not set"),
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        ({"SECRET_KEY_FILE": "/dev/null"}, "SECRET_KEY is not set"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY_FILE cannot be read"),
        ({"SITE_URL": "labs.example.org"}, "SITE_URL must be http"),
        ({"SITE_URL": "https://straße.example"}, "SITE_URL: write the host in its ASCII form"),
        ({"SITE_URL": "https://labs_1.example.org"}, "SITE_URL must be http"),
        ({"SITE_URL": "https://labs.example.org:https"}, "SITE_URL must be http"),
        ({"SITE_URL": "https://someone@labs.example.org"}, "SITE_URL must be http"),
        ({"SITE_URL": "https://[::1"}, "SITE_URL must be http"),
        ({"DATABASE_URL": "postgres://site:secret@h1:x,h2/name"}, "DATABASE_URL: write several servers as host:port"),
        ({"DATABASE_URL": "oracle://site:secret@host/name"}, "DATABASE_URL must be postgres://"),
        ({"DATABASE_URL": "postgres://site:se[cret@host/name"}, "DATABASE_URL cannot be parsed"),
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE must be"),
        ({"DEBUG": "perhaps"}, "DEBUG must be on or off"),
        ({"KUBECONFIG_FILES": "campus:etc/campus.yaml"}, "KUBECONFIG_FILES must be name:/path"),
        ({"KUBECONFIG_FILES": "a:/x:trusted,a:/y"}, "KUBECONFIG_FILES has two files named 'a'"),
        ({"WORKERS": "many"}, "WORKERS must be a whole number"),
    ],
)
def test_a_wrong_setting_is_one_line(wrong: dict[str, str | None], said: str) -> None:
    settings = {name: value for name, value in {**WHOLE, **wrong}.items() if value is not None}
    done = started(["manage.py", "check"], **settings)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "cret@" not in done.stderr


def test_the_web_server_says_it_too_and_does_not_try_for_ever() -> None:
    settings = {**WHOLE, "SECRET_KEY": ""}
    done = started(["-m", "gunicorn", "mlsite.wsgi", "--bind", "127.0.0.1:0", "--no-control-socket"], **settings)
    assert done.returncode == 3
    assert done.stderr.count("mlsite: ") == 1
    assert "SECRET_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_files_are_named_with_their_paths_whatever_these_are_called() -> None:
    told = "campus:/etc/a,b/c:d.yaml, cloud:/etc/cloud.yaml:trusted ,x:/y"
    assert env.files(told, "KUBECONFIG_FILES") == {
        "campus": (Path("/etc/a,b/c:d.yaml"), False), "cloud": (Path("/etc/cloud.yaml"), True), "x": (Path("/y"), False),
    }  # fmt: skip
    assert env.files(" ", "KUBECONFIG_FILES") == {}


@pytest.mark.parametrize(
    ("told", "address", "host"),
    [
        ("https://[::1]:8443", "https://[::1]:8443", "[::1]"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]", "[::1]"),
        ("https://bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://Labs.Example.org:443/", "https://labs.example.org", "labs.example.org"),
        ("http://localhost:8000", "http://localhost:8000", "localhost"),
    ],
)
def test_the_site_answers_at_its_own_address_as_browsers_write_it(told: str, address: str, host: str) -> None:
    assert env.address(told, "SITE_URL") == address
    assert env.host_of(address) == host
    code = (
        "import django; django.setup()\n"
        "from django.conf import settings; from django.test import Client\n"
        f"print(Client().get('/healthz', headers={{'host': {address.partition('//')[2]!r}}}).status_code, settings.SITE_URL)"
    )
    done = started(["-c", code], **WHOLE | {"SITE_URL": told, "DJANGO_SETTINGS_MODULE": "mlsite.settings"})
    assert done.stdout.strip() == f"200 {address}", done.stderr


@pytest.mark.parametrize(
    ("told", "hosts", "ports"),
    [
        ("postgres://u:p@h1,h2/name", "h1,h2", "5432,5432"),
        ("postgres://u:p@h1:5433,[fd00::2]:5434/name?target_session_attrs=read-write", "h1,fd00::2", "5433,5434"),
        ("postgresql://h1,h2:5433/name", "h1,h2", "5432,5433"),
    ],
)
def test_a_database_may_be_on_several_servers(told: str, hosts: str, ports: str) -> None:
    found = env.database(told, "DATABASE_URL")
    assert (found["HOST"], found["PORT"], found["NAME"]) == (hosts, ports, "name")
    assert found.get("OPTIONS", {}) == ({"target_session_attrs": "read-write"} if "?" in told else {})


def test_one_server_is_read_as_before() -> None:
    for password in ("p%2C", "p,"):
        found = env.database(f"postgres://u:{password}@h1:5433/name", "DATABASE_URL")
        assert (found["HOST"], found["PORT"], found["PASSWORD"]) == ("h1", 5433, "p,")
