"""Environments follow their lock files, and a half-made one is made again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.checks import Problem
from tools.venvs import UNFINISHED, Venv, for_uv, install_uv, locked

UV = Path(sys.executable).parent / "uv"
LOCK = """# made by
uv==1.2.3 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via -r requirements-dev.in
uvloop==1.0 \\
    --hash=sha256:cc
"""


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    lock = tmp_path / "lock.txt"
    lock.write_text("# nothing\n")
    return Venv(tmp_path / "venv", (lock,), tmp_path / "log" / "install.log")


def test_it_is_current_once_it_is_filled(venv: Venv) -> None:
    assert not venv.is_current()
    venv.begin()
    assert not venv.is_current()
    venv.fill(UV)
    assert venv.is_current()


def test_it_is_made_again_after_an_interrupted_installation(venv: Venv) -> None:
    venv.begin()
    half = venv.folder / "half-a-package"
    half.touch()
    assert venv.stamp.read_text() == UNFINISHED
    venv.begin()
    assert not half.exists()


def test_it_is_filled_again_but_not_made_again_when_the_lock_changes(venv: Venv) -> None:
    venv.begin()
    venv.fill(UV)
    kept = venv.folder / "kept"
    kept.touch()
    venv.locks[0].write_text("# something else\n")
    assert not venv.is_current()
    venv.begin()
    venv.fill(UV)
    assert venv.is_current()
    assert kept.exists()


def test_it_is_made_again_when_the_checkout_has_moved(venv: Venv, tmp_path: Path) -> None:
    venv.begin()
    venv.fill(UV)
    moved = Venv(tmp_path / "elsewhere" / "venv", venv.locks, venv.log)
    moved.folder.parent.mkdir()
    venv.folder.rename(moved.folder)
    assert not moved.is_current()


def test_it_is_made_again_when_its_python_does_not_work(venv: Venv) -> None:
    venv.begin()
    venv.fill(UV)
    venv.python.unlink()
    venv.python.symlink_to("/nowhere/python3")
    assert not venv.is_current()
    venv.begin()
    venv.fill(UV)
    assert venv.is_current()


def test_a_failure_is_one_line_and_leaves_it_unfinished(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    venv.locks[0].write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    venv.begin()
    with pytest.raises(Problem, match="Could not create venv: ") as problem:
        venv.fill(UV)
    assert "\n" not in str(problem.value)
    assert str(venv.log) in str(problem.value)
    assert venv.stamp.read_text() == UNFINISHED


def test_uv_is_left_alone_where_it_is_installed(venv: Venv) -> None:
    venv.begin()
    uv = venv.folder / "bin" / "uv"
    uv.touch()
    assert install_uv(venv, venv.locks[0]) == uv


def test_a_package_is_cut_out_of_the_lock_with_its_hashes() -> None:
    text = locked(LOCK, "uv")
    assert text.startswith("uv==1.2.3")
    assert text.count("--hash") == 2
    assert "uvloop" not in text


def test_a_package_that_is_not_locked_is_refused() -> None:
    with pytest.raises(Problem, match="make lock"):
        locked(LOCK, "pip")


def test_what_pip_was_told_uv_is_told_too() -> None:
    told = for_uv(
        {"PIP_INDEX_URL": "https://mirror.example/simple", "PIP_CERT": "/ca.pem", "SSL_CERT_FILE": "/own.pem"}
    )
    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["SSL_CERT_FILE"] == "/own.pem"


@pytest.mark.parametrize(
    "said",
    [
        "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('<pip...>: Failed to establish a new "
        "connection: [Errno 111] Connection refused')': /simple/uv/",
        "  ├─▶ Failed to fetch: `https://mirror.example/simple/django/`\n  ╰─▶ dns error: failed to lookup address information",
    ],
)
def test_a_registry_that_cannot_be_reached_is_called_so(venv: Venv, said: str) -> None:
    venv.begin()
    last = "ERROR: No matching distribution found for uv==1.2.3"
    with pytest.raises(Problem, match="the package registry cannot be reached") as problem:
        venv.run([sys.executable, "-c", f"print({said!r}); print({last!r}); raise SystemExit(1)"])
    assert "No matching distribution" not in str(problem.value)


def test_a_package_that_is_really_missing_is_called_so(venv: Venv) -> None:
    venv.begin()
    last = "ERROR: No matching distribution found for uv==1.2.3"
    with pytest.raises(Problem, match="No matching distribution"):
        venv.run([sys.executable, "-c", f"print({last!r}); raise SystemExit(1)"])
