"""Starting and stopping the parts of `make run`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tools import leftovers, ready
from tools.output import Output
from tools.site import Site
from tools.supervisor import announcement, end_pods

ROOT = Path(__file__).resolve().parents[2]
WAIT = "import time, pathlib, sys; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program, as a terminal would; whatever is left of it afterwards is killed."""
    running: list[subprocess.Popen[str]] = []

    def begin(*words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *map(str, words)], cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        running.append(process)
        return process

    yield begin
    for process in running:
        below = family(process.pid)
        if process.poll() is None:
            process.kill()
        process.wait()
        for one in below:
            if one.is_running():
                one.kill()


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def python(code: str, *words: object) -> str:
    return f"exec {shlex.join([sys.executable, '-c', code, *map(str, words)])}"


def start_small(start: Start, folder: Path, prepare: str = "", **parts: str) -> subprocess.Popen[str]:
    return start("-m", "tests.tools.small_site", folder, json.dumps(parts), prepare)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    assert ready.until(condition, seconds=seconds)


def test_a_signal_stops_every_part(start: Start, tmp_path: Path) -> None:
    marks = [tmp_path / "one.up", tmp_path / "two.up"]
    process = start_small(start, tmp_path, one=python(WAIT, marks[0]), two=python(WAIT, marks[1]))
    until(lambda: all(mark.exists() for mark in marks) and (tmp_path / "processes.json").exists())
    below = family(process.pid)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said == "Stopping ...\n"
    assert len(below) >= 4
    assert not [one for one in below if one.is_running()]
    assert not (tmp_path / "processes.json").exists()


def test_a_data_base_that_cannot_be_prepared_is_one_line_and_stops_every_part(start: Start, tmp_path: Path) -> None:
    process = start_small(start, tmp_path, "import sys; sys.exit('no such column')", one=python(WAIT, tmp_path / "up"))
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.splitlines()[0].startswith("Could not prepare the database: no such column (full log: ")
    assert said.splitlines()[1:] == ["Stopping ..."]


def test_a_preparation_is_not_left_behind(start: Start, tmp_path: Path) -> None:
    process = start_small(
        start, tmp_path, f"import time; {tmp_path.name!r}; time.sleep(600)", one=python(WAIT, tmp_path / "up")
    )
    until((tmp_path / "up").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert not [one for one in psutil.process_iter(["cmdline"]) if tmp_path.name in " ".join(one.info["cmdline"] or [])]


def test_worker_and_watcher_wait_for_the_data_base(start: Start, tmp_path: Path) -> None:
    process = start("-m", "tools.ready", tmp_path / "prepared", tmp_path / "none", sys.executable, "-c", "print('on')")
    until(lambda: "tools.ready" in " ".join(psutil.Process(process.pid).cmdline()))
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "none").write_text(f"server: http://127.0.0.1:{server.getsockname()[1]}\n")
        server.settimeout(1)
        with pytest.raises(TimeoutError):
            server.accept()
        (tmp_path / "prepared").touch()
        server.settimeout(20)
        with server.accept()[0] as connection:
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        assert process.communicate(timeout=20)[0] == "on\n"


def test_a_closed_terminal_stops_every_part(start: Start, tmp_path: Path) -> None:
    process = start_small(start, tmp_path, one=python(WAIT, tmp_path / "up"))
    until((tmp_path / "up").exists)
    below = family(process.pid)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert not [one for one in below if one.is_running()]


def test_a_part_that_does_not_stop_is_killed(start: Start, tmp_path: Path) -> None:
    process = start_small(
        start, tmp_path, deaf=python(DEAF, tmp_path / "deaf.up"), other=python(WAIT, tmp_path / "other.up")
    )
    until(lambda: (tmp_path / "deaf.up").exists() and (tmp_path / "other.up").exists())
    below = family(process.pid)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert not [one for one in below if one.is_running()]


def test_a_part_that_dies_is_reported_with_its_last_words_and_stops_the_rest(start: Start, tmp_path: Path) -> None:
    dies = "import sys; [print('line', n) for n in range(9)]; sys.exit('no more')"
    process = start_small(start, tmp_path, frail=python(dies), other=python(WAIT, tmp_path / "up"))
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    first, *rest = said.splitlines()
    assert first.startswith("The frail has ended (exit code 1); stopping everything.")
    assert str(tmp_path / "log" / "frail.log") in first
    assert "no more" in said
    assert len(rest) == 5


def test_a_part_that_dies_takes_its_own_children_with_it(start: Start, tmp_path: Path) -> None:
    leaves = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {WAIT!r}, sys.argv[1]]); sys.exit(3)"
    process = start_small(
        start, tmp_path, parent=python(leaves, tmp_path / "child"), other=python(WAIT, tmp_path / "up")
    )
    said, _ = process.communicate(timeout=30)
    assert said.startswith("The parent has ended (exit code 3)")
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])]


def test_a_signal_at_the_very_start_stops_every_part(start: Start, tmp_path: Path) -> None:
    process = start_small(start, tmp_path, **{f"part{n}": python(WAIT, tmp_path / str(n)) for n in range(4)})
    until(lambda: len(family(process.pid)) >= 2)
    process.send_signal(signal.SIGINT)
    below = family(process.pid)
    process.communicate(timeout=30)
    assert not [one for one in below if one.is_running()]


def test_what_a_killed_supervisor_left_is_ended_by_the_next(start: Start, tmp_path: Path) -> None:
    process = start_small(start, tmp_path, one=python(WAIT, tmp_path / "up"))
    until(lambda: (tmp_path / "up").exists() and (tmp_path / "processes.json").exists())
    below = family(process.pid)
    process.kill()
    process.wait()
    assert leftovers.end(tmp_path / "processes.json")
    until(lambda: not [one for one in below if one.is_running()])


def test_a_process_that_took_over_a_process_id_is_left_alone(start: Start, tmp_path: Path) -> None:
    stranger = start("-c", WAIT, tmp_path / "up")
    until((tmp_path / "up").exists)
    (tmp_path / "processes.json").write_text(json.dumps({stranger.pid: "12345"}))
    assert leftovers.end(tmp_path / "processes.json") == []
    assert stranger.poll() is None


def test_pods_of_a_killed_cluster_are_ended_and_those_of_others_are_not(start: Start, tmp_path: Path) -> None:
    shim = tmp_path / "shim.py"
    shim.write_text(f"import sys; sys.argv[1:] = [sys.argv[2] + '.up']\n{WAIT}\n")
    ours, others = (start(shim, "run", tmp_path / name) for name in ("cluster", "another-cluster"))
    until((tmp_path / "another-cluster.up").exists)
    until((tmp_path / "cluster.up").exists)
    end_pods(tmp_path / "cluster")
    assert not psutil.pid_exists(ours.pid)
    assert others.poll() is None


class Line:
    type = "line"

    def __init__(self, data: str, name: str = "web") -> None:
        self.data, self.name = data.encode(), name


def test_only_problems_reach_the_terminal_and_everything_reaches_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Output(tmp_path)
    lines = ["2026 INFO started", "more", "2026 ERROR broken", "Traceback", "  File x", "2026 INFO well again", "quiet"]
    for line in lines:
        output.write(Line(f"{line}\n"))
    assert (tmp_path / "web.log").read_text().splitlines() == lines
    assert [line.split("| ")[1] for line in capsys.readouterr().out.splitlines()] == lines[2:5]
    assert output.tail("web") == lines[-5:]


def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for text in ("first", "second"):
        Output(tmp_path).write(Line(text))
    assert (tmp_path / "web.log").read_text() == "second\n"
    assert (tmp_path / "web.log.1").read_text() == "first\n"


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    site = Site(state=tmp_path, port=1, lab_port=2)
    path = Path(site.environment()["SECRET_KEY_FILE"])
    key = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(key) >= 50
    assert Path(site.environment()["SECRET_KEY_FILE"]).read_text() == key


def test_the_secret_key_is_in_no_command_line(tmp_path: Path) -> None:
    site = Site(state=tmp_path, port=1, lab_port=2)
    key = Path(site.environment()["SECRET_KEY_FILE"]).read_text()
    assert key not in " ".join(site.parts().values())
    assert key not in " ".join(site.environment().values())


def test_a_given_cluster_takes_the_place_of_the_embedded_one(tmp_path: Path) -> None:
    site = Site(state=tmp_path, port=1, lab_port=2, cluster=tmp_path / "kubeconfig")
    assert "devcluster" not in site.parts()
    assert site.kubeconfig == tmp_path / "kubeconfig"


def test_the_announcement_has_ten_lines_at_most(tmp_path: Path) -> None:
    text = announcement(
        Site(state=tmp_path, port=8000, lab_port=8080), [*(f"p{n}@example.org" for n in range(7)), "pw"]
    )
    assert len(text.splitlines()) <= 10
    for word in (
        "http://localhost:8000",
        "<name>.localhost:8080",
        "p6@example.org",
        "pw",
        "Ctrl-C",
        "kubectl --kubeconfig",
    ):
        assert word in text


def test_a_cluster_answers_only_once_its_server_does(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    assert not ready.cluster_answers(kubeconfig)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    kubeconfig.write_text(f"clusters:\n- cluster:\n    server: http://127.0.0.1:{port}\n")
    assert not ready.cluster_answers(kubeconfig)


def free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in servers]
    for server in servers:
        server.close()
    return ports


@pytest.mark.slow
def test_the_whole_site_starts_says_where_it_is_and_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    port, lab_port = free_ports(2)
    process = start("-m", "tools.supervisor", "--port", port, "--lab-port", lab_port, "--state", tmp_path)
    assert process.stdout
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("To stop"):
            break
    assert process.poll() is None, "".join(said)
    assert len(said) <= 10, "".join(said)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/accounts/login/", timeout=10) as page:
        assert page.status == 200
    below = family(process.pid)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert not [one for one in below if one.is_running()]
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or [])]
