"""The parent of a container: exit codes, logs, and nothing left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from k8s.devcluster.kubelet.process import Process, StartError, end
from tests.devcluster.kubelet_cluster import until

ENV = {"PATH": "/usr/bin:/bin"}


def run(folder: Path, *argv: str, **spec: Any) -> tuple[Process, dict[str, Any]]:
    async def work() -> tuple[Process, dict[str, Any]]:
        process = Process(folder / "run")
        await process.start({"argv": list(argv), "env": ENV, "cwd": "/", **spec})
        return process, await asyncio.wait_for(process.wait(), 20)

    return asyncio.run(work())


def test_exit_code_and_output_are_kept(tmp_path: Path) -> None:
    process, result = run(tmp_path, "sh", "-c", "echo out; echo err >&2; printf end; exit 7")
    assert result["exitCode"] == 7
    lines = process.log.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["out", "err", "end"]
    assert all(line[4] == "-" and line.split(" ")[0].endswith("Z") for line in lines)


def test_death_by_a_signal_is_128_and_its_number(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "kill -9 $$")[1]["exitCode"] == 137


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nonsense", "executable file not found in $PATH"),
        ("/no/such", "stat /no/such: no such file or directory"),
        ("/etc/passwd", "permission denied"),
    ],
)
def test_a_command_that_cannot_run_is_a_start_error_in_a_runtimes_words(
    tmp_path: Path, command: str, words: str
) -> None:
    with pytest.raises(StartError) as caught:
        run(tmp_path, command)
    assert f'exec: "{command}": {words}' in str(caught.value)


def test_processes_that_left_the_session_end_with_the_container(tmp_path: Path) -> None:
    leave = f"setsid sh -c 'echo $$ > {tmp_path}/pid; sleep 300'"
    _, result = run(tmp_path, "sh", "-c", f"{leave} & until [ -s {tmp_path}/pid ]; do sleep 0.05; done; exit 0")
    assert result["exitCode"] == 0
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not psutil.pid_exists(pid), "the escaped process gone")


def test_what_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    async def work() -> dict[str, Any] | None:
        process = Process(tmp_path / "run")
        await process.start({"argv": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "env": ENV, "cwd": "/"})
        assert process.alive()
        await end([process], 0.3)
        return process.result()

    result = asyncio.run(work())
    assert result
    assert result["exitCode"] == 137


def test_a_long_log_is_rotated_once(tmp_path: Path) -> None:
    process, _ = run(tmp_path, "sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 9000000")
    assert process.log.with_name("log.1").exists()
    assert process.log.stat().st_size < 6_000_000
