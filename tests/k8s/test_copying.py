"""How a repository is copied into a lab: with the script of the service, the real git and shell."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from k8s import manifests
from k8s.diagnosis.fetching import SILENT
from tests.k8s import examples


def copy(repository: str, home: Path, branch: str = "") -> subprocess.CompletedProcess[str]:
    """As the pod would, but for a shorter wait."""
    context = examples.context(repository=repository, branch=branch)
    pod = manifests.render(manifests.builtin("jupyterlab"), context)[1]
    [copier] = pod["spec"]["initContainers"]
    words = [word.replace("/home/jovyan", str(home)) for word in (*copier["command"], *copier["args"])]
    assert "timeout 20 git" in words[2]
    words[2] = words[2].replace("timeout 20 git", "timeout 1 git")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(words, env=environment, cwd=home, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """With a branch `week-3`, which has one file more."""
    folder = tmp_path / "course"

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", str(folder))
    git("-C", str(folder), "commit", "--allow-empty", "-m", "first")
    git("-C", str(folder), "checkout", "-b", "week-3")
    (folder / "exercise.txt").write_text("3")
    git("-C", str(folder), "add", ".")
    git("-C", str(folder), "commit", "-m", "third")
    git("-C", str(folder), "checkout", "main")
    return folder.as_uri()


def test_the_default_branch_or_the_named_one_is_copied(repository: str, tmp_path: Path) -> None:
    for branch, there in (("", False), ("week-3", True)):
        home = tmp_path / f"home-{branch}"
        home.mkdir()
        done = copy(repository, home, branch)
        assert done.returncode == 0, done.stderr
        assert (home / "repository/exercise.txt").exists() is there


def test_what_git_says_of_a_wrong_address_or_branch_is_the_last_line(repository: str, tmp_path: Path) -> None:
    done = copy(repository, tmp_path, "week-9")
    assert done.returncode == 128
    assert done.stderr.splitlines()[-1] == "fatal: Remote branch week-9 not found in upstream origin"
    done = copy(f"{repository}-not", tmp_path)
    assert done.returncode == 128
    assert "fatal: " in done.stderr


def test_a_site_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = copy(f"http://127.0.0.1:{silent.getsockname()[1]}/a/b", tmp_path)
    assert done.returncode == SILENT
    assert done.stderr.strip().startswith("fatal: unable to access the repository: no answer")
