"""The programs of the control plane and of what is tried with it, built once from the pins of a go.mod into the user's cache."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import toolchain
from .toolchain import MODULE


class NotBuilt(Exception):
    """The programs are not there; the message says in one line what is missing."""


@dataclass(frozen=True)
class Programs:
    """What is built together, from the pins of one go.mod."""

    #: The folder of go.mod and go.sum.
    module: Path
    #: By name, in the order in which they are started, with the packages that they are built from.
    packages: dict[str, str]
    #: The module among the pins whose version theirs is.
    main: str
    #: Where the programs keep their version, and in which parts; their own releases set it in the same way.
    stamp: str
    stamped: tuple[str, ...]
    #: Folders that are taken as they are, by their name beside the programs: the module among the pins, and where in it.
    copied: dict[str, tuple[str, str]] = field(default_factory=dict)

    def version(self) -> str:
        """The pinned version, such as "v1.36.3"."""
        found = re.search(rf"{re.escape(self.main)} (v\S+)", (self.module / "go.mod").read_text())
        assert found
        return found[1]

    def folder(self) -> Path:
        """Where the programs lie: named after the pins, and what stands in for others, so that a change of them builds anew."""
        sources = [self.module / "go.sum", *sorted(self.module.glob("leftout/**/*.go"))]
        pins = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()[:12]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "controlplane" / pins

    def missing(self) -> str:
        """Why the programs cannot be started here, in one line; empty when they can."""
        absent = [name for name in (*self.packages, *self.copied) if not (self.folder() / name).exists()]
        return f"{', '.join(absent)} not built: python -m tests.controlplane build" if absent else ""

    def build(self) -> Path:
        """Build what is missing; the folder. Raises NotBuilt.

        Two builds at once wait for each other, and a program appears in the folder only when it is whole.
        """
        target = self.folder()
        if not self.missing():
            return target
        target.mkdir(parents=True, exist_ok=True)
        with (target / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                go = toolchain.find(target.parent)
            except toolchain.NoToolchain as problem:
                raise NotBuilt(f"{', '.join(self.packages)} cannot be built: {problem}") from None
            for name, package in self.packages.items():
                if not (target / name).exists():
                    self._build_one(go, package, target / name)
            for name, (module, below) in self.copied.items():
                if not (target / name).exists():
                    self._copy_one(go, module, below, target / name)
        return target

    def _build_one(self, go: Path, package: str, program: Path) -> None:
        version = self.version()
        major, minor, _ = version[1:].split(".")
        values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "Version": version}
        flags = " ".join(["-s", "-w", *(f"-X {self.stamp}.{key}={values[key]}" for key in self.stamped)])
        fresh = program.with_name(f".{program.name}.new")
        print(f"building {program.name} ...", flush=True)
        self._go(go, program.name, "build", "-trimpath", "-ldflags", flags, "-o", str(fresh), package)
        fresh.replace(program)

    def _copy_one(self, go: Path, module: str, below: str, folder: Path) -> None:
        told = json.loads(self._go(go, folder.name, "mod", "download", "-json", module, stdout=subprocess.PIPE))
        fresh = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(Path(told["Dir"]) / below, fresh, copy_function=shutil.copyfile)
        fresh.chmod(0o755)  # the module's own cannot be written to
        fresh.rename(folder)

    def _go(self, go: Path, name: str, *arguments: str, stdout: int | None = None) -> str:
        environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
        command, nothing = [go, *arguments], subprocess.DEVNULL
        try:
            done = subprocess.run(
                command, cwd=self.module, env=environment, stdin=nothing, stdout=stdout, text=True, check=True
            )
        except subprocess.CalledProcessError as problem:
            raise NotBuilt(f"{name} could not be built: go ended with {problem.returncode}") from None
        return done.stdout or ""


#: About 6 minutes on 2 cores from nothing.
CONTROL_PLANE = Programs(
    module=MODULE,
    packages={
        "etcd": "go.etcd.io/etcd/server/v3",
        "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
        "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
        "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    },
    main="k8s.io/kubernetes",
    stamp="k8s.io/component-base/version",
    stamped=("gitVersion", "gitMajor", "gitMinor"),
)
#: About 2 minutes. A module of its own: it wants other versions of what the control plane is made of.
NETWORK_PLUGIN = Programs(
    module=MODULE / "netpol",
    packages={"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
    main="github.com/cloudnativelabs/kube-router/v2",
    stamp="github.com/cloudnativelabs/kube-router/v2/pkg/version",
    stamped=("Version",),
)
#: About 4 minutes. The kinds of the Gateway API lie beside it, as their makers publish them.
INGRESS = Programs(
    module=MODULE / "ingress",
    packages={"traefik": "github.com/traefik/traefik/v3/cmd/traefik"},
    main="github.com/traefik/traefik/v3",
    stamp="github.com/traefik/traefik/v3/pkg/version",
    stamped=("Version",),
    copied={"gateway-api": ("sigs.k8s.io/gateway-api", "config/crd/standard")},
)

#: Without which some tests are skipped, and no more.
MORE = (NETWORK_PLUGIN, INGRESS)
PROGRAMS = CONTROL_PLANE.packages
version, folder, missing, build = (
    CONTROL_PLANE.version,
    CONTROL_PLANE.folder,
    CONTROL_PLANE.missing,
    CONTROL_PLANE.build,
)
