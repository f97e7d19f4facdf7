"""The programs of the control plane, built once from the pins of go.mod into the user's cache."""

import fcntl
import hashlib
import os
import re
import subprocess
from pathlib import Path

from . import toolchain
from .toolchain import MODULE

#: In the order in which they are started, with the packages that they are built from.
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
}
#: Where Kubernetes keeps what `/version` answers; its own release sets it in the same way.
_STAMP = "k8s.io/component-base/version"


class NotBuilt(Exception):
    """The programs are not there; the message says in one line what is missing."""


def version() -> str:
    """The pinned version of Kubernetes, such as "v1.36.3"."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (MODULE / "go.mod").read_text())
    assert found
    return found[1]


def folder() -> Path:
    """Where the programs lie: named after the pins, so that a changed go.sum builds anew."""
    pins = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "controlplane" / pins


def missing() -> str:
    """Why the control plane cannot be started here, in one line; empty when it can."""
    absent = [name for name in PROGRAMS if not (folder() / name).exists()]
    return f"{', '.join(absent)} not built: python -m tests.controlplane build" if absent else ""


def build() -> Path:
    """Build what is missing (about 6 minutes on 2 cores from nothing); the folder. Raises NotBuilt.

    Two builds at once wait for each other, and a program appears in the folder only when it is whole.
    """
    target = folder()
    if not missing():
        return target
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            go = toolchain.find(target.parent)
        except toolchain.NoToolchain as problem:
            raise NotBuilt(f"the control plane cannot be built: {problem}") from None
        for name, package in PROGRAMS.items():
            if not (target / name).exists():
                _build_one(go, package, target / name)
    return target


def _build_one(go: Path, package: str, program: Path) -> None:
    major, minor, _ = version()[1:].split(".")
    values = {"gitVersion": version(), "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s", "-w", *(f"-X {_STAMP}.{key}={value}" for key, value in values.items())])
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    fresh = program.with_name(f".{program.name}.new")
    command = [go, "build", "-trimpath", "-ldflags", flags, "-o", str(fresh), package]
    print(f"building {program.name} ...", flush=True)
    try:
        subprocess.run(command, cwd=MODULE, env=environment, stdin=subprocess.DEVNULL, check=True)
    except subprocess.CalledProcessError as problem:
        raise NotBuilt(f"{program.name} could not be built: go ended with {problem.returncode}") from None
    fresh.replace(program)
