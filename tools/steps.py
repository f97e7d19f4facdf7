"""The steps of `make run` and `make test` that come before the virtual environment. Standard library only."""

import argparse
import contextlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from tools import checks, leftovers
from tools.checks import Problem
from tools.venvs import Venv, install_uv

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """The exit code; `run` does not return when all is well, because the supervisor takes the place of the process."""
    options = parse(arguments)
    try:
        checks.python()
        checks.folder(options.state)
        if options.step == "run":
            run(options)
        install(options.root)
    except Problem as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def run(options: argparse.Namespace) -> NoReturn:
    """Become the supervisor, once the machine has been checked and everything is installed. Raises Problem."""
    checks.platform(options.cluster)
    lock = checks.sole(options.state / "lock")
    leftovers.end(options.state / "processes.json")
    wanted = {"PORT": ("the site", checks.number("PORT", options.port))}
    lab_port = checks.number("LAB_PORT", options.lab_port)
    if not options.cluster:
        wanted["LAB_PORT"] = ("the labs", lab_port)
    checks.ports(wanted)
    python = install(options.root)
    given = ["--port", options.port, "--lab-port", options.lab_port, "--state", options.state, "--lock", lock.fileno()]
    given += ["--cluster", options.cluster] if options.cluster else []
    sys.stdout.flush()
    os.chdir(options.root)
    os.execv(python, [str(python), "-m", "tools.supervisor", *map(str, given)])  # noqa: S606  # fixed program, no shell


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, as the Makefile writes it."""
    parser = argparse.ArgumentParser(prog="tools/up.py", description=__doc__)
    parser.add_argument("step", choices=["run", "setup"])
    parser.add_argument("--port", default="8000", help="port of the site")
    parser.add_argument("--lab-port", default="8080", help="port of the labs: http://<name>.localhost:<port>")
    parser.add_argument("--cluster", type=_path, help="kubeconfig of a cluster to use instead of the embedded one")
    parser.add_argument(
        "--state", type=_path, default=ROOT / ".run", help="folder for the database, the cluster and the logs"
    )
    parser.add_argument("--root", type=_path, default=ROOT, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _path(text: str) -> Path | None:
    return Path(text).absolute() if text else None


def install(root: Path) -> Path:
    """Bring the site's environment and the lab image up to the locks, both at once. Returns the Python. Raises Problem."""
    runtime, development = root / "requirements.txt", root / "requirements-dev.txt"
    logs = root / ".run" / "log"
    site = Venv(root / ".venv", (runtime, development), logs / "install-site.log", pip=True)
    lab = Venv(
        root / ".run" / "images" / "jupyterlab",
        (root / "k8s" / "devcluster" / "images" / "jupyterlab.txt",),
        logs / "install-jupyterlab.log",
    )
    missing = [venv for venv in (site, lab) if not venv.is_current()]
    if not missing:
        return site.python
    sys.stdout.write("Installing the locked dependencies (a minute or two the first time) ...\n")
    sys.stdout.flush()
    (root / ".run").mkdir(mode=0o700, exist_ok=True)
    with checks.sole(
        root / ".run" / "install.lock", "Another `make` is installing in this folder. Try again when it has finished."
    ):
        for venv in missing:
            venv.begin()
        uv = install_uv(site, development)
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(venv.fill, uv) for venv in missing]
        with contextlib.suppress(StopIteration):
            raise next(error for job in jobs if (error := job.exception()))
    return site.python
