"""What stands between `make run` and the virtual environment."""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import checks, steps, up
from tools.checks import Problem

ROOT = Path(__file__).resolve().parents[2]


def run_up(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.up", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_port_in_use_is_one_line_that_says_which_and_how_to_choose_another(tmp_path: Path, taken_port: int) -> None:
    done = run_up("run", "--port", taken_port, "--lab-port", free_port(), "--state", tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"Port {taken_port} (the site) is in use" in done.stderr
    offered = [int(port) for port in re.findall(r"PORT=(\d+)", done.stderr)]
    assert len({*offered, taken_port}) == 3
    for port in offered:
        socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("words", "said"), [(("--port", "http"), "PORT=http"), (("--lab-port", 80_000), "LAB_PORT=80000")]
)
def test_what_is_no_port_is_one_line(tmp_path: Path, words: tuple[str, object], said: str) -> None:
    done = run_up("run", "--port", free_port(), *words, "--state", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{said} is not a port: a port is a number from 1 to 65535.\n"


def test_two_ports_in_use_are_one_line_too(tmp_path: Path, taken_port: int) -> None:
    done = run_up("run", "--port", taken_port, "--lab-port", taken_port, "--state", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "(the site)" in done.stderr
    assert "(the labs)" in done.stderr


def test_the_port_of_labs_does_not_matter_on_a_cluster_of_ones_own(
    tmp_path: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_here(root: Path) -> Path:
        raise Problem("installing")

    monkeypatch.setattr(steps, "install", stop_here)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    words = ["run", "--port", free_port(), "--lab-port", taken_port, "--state", tmp_path, "--cluster", kubeconfig]
    assert steps.main([str(word) for word in words]) == 2
    assert capsys.readouterr().err == "installing\n"


def test_an_old_python_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert up.main(["run"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "Python 3.11 or newer is required" in said.err
    assert "3.9.2" in said.err


def test_an_old_python_can_read_the_file_that_refuses_it() -> None:
    for path in (ROOT / "tools" / "up.py", ROOT / "tools" / "__init__.py"):
        text = path.read_text()
        tree = ast.parse(text, feature_version=(3, 6))
        # Of what Python 3.6 reads, this is what a Python 2 does not.
        assert text.isascii()
        newer = (ast.JoinedStr, ast.AnnAssign, ast.AsyncFunctionDef, ast.Nonlocal, ast.YieldFrom, ast.Starred)
        assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.arg) and node.annotation]


def test_a_python_without_venv_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Problem, match="apt install python3-venv"):
        checks.python()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_up("run", "--state", tmp_path / "file" / "state")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"Cannot write to {tmp_path / 'file' / 'state'}" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_missing_permission_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = run_up("run", "--state", tmp_path / "state")
    assert done.returncode == 2
    assert "Permission denied" in done.stderr


def test_another_system_than_linux_is_told_to_name_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Problem, match="make run CLUSTER="):
        checks.platform(None)
    (tmp_path / "kubeconfig").touch()
    checks.platform(tmp_path / "kubeconfig")


def test_a_cluster_without_kubeconfig_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no kubeconfig"):
        checks.platform(tmp_path / "kubeconfig")


def test_a_second_start_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with checks.sole(tmp_path / "lock"):
        done = run_up("run", "--port", free_port(), "--lab-port", free_port(), "--state", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "already running in this folder" in done.stderr


def test_make_passes_the_ports_on(taken_port: int, tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "run", f"PORT={taken_port}", f"LAB_PORT={taken_port}", f"PYTHON={sys.executable}",
         f"CLUSTER={tmp_path}/nowhere"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"There is no kubeconfig at {tmp_path}/nowhere."
