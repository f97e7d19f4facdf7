"""Virtual environments that hold exactly what the lock files say. Standard library only."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.checks import Problem

UNFINISHED = "unfinished"
#: What pip and uv write when nobody answers.
NO_ANSWER = re.compile(
    r"NewConnectionError|ConnectTimeoutError|NameResolutionError|ReadTimeoutError|ProxyError|Max retries exceeded|dns error"
    r"|error sending request|client error \(Connect\)|Connection refused|Network is unreachable|Temporary failure in name resolution"
)


@dataclass(frozen=True)
class Venv:
    """A virtual environment, the lock files that it is made from, and the file that its installation's output goes to."""

    folder: Path
    locks: Sequence[Path]
    log: Path
    #: The one environment that brings pip, by which uv comes; uv fills the others from outside.
    pip: bool = False

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.folder / ".stamp"

    def wanted(self) -> str:
        """The stamp of a finished installation: changes with the locks, with Python, and when the checkout moves."""
        digest = hashlib.sha256(f"{sys.version}\n{sys.platform}\n{self.folder.absolute()}\ncompiled\n".encode())
        for lock in self.locks:
            digest.update(lock.read_bytes())
        return digest.hexdigest()

    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return self._stamped() == self.wanted() and self.python.exists()

    def begin(self) -> None:
        """Make the environment where there is none, or none that can be trusted. Raises Problem."""
        stamped = self._stamped()
        if stamped == UNFINISHED or not self.python.exists() or not self._works():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stamp.write_text(UNFINISHED)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        if not self.python.exists():
            self.run([sys.executable, "-m", "venv", *([] if self.pip else ["--without-pip"]), str(self.folder)])

    def fill(self, uv: Path) -> None:
        """Install everything locked, checking hashes. Raises Problem.

        Compiled at once: a lab sees its environment read-only and could never keep what it compiled, and a machine on which
        Python is told to keep no bytecode would compile all of Django at each start of a program.
        """
        locks = [word for lock in self.locks for word in ("-r", str(lock))]
        command = [
            str(uv),
            "pip",
            "install",
            "--python",
            str(self.python),
            "--require-hashes",
            "--compile-bytecode",
            *locks,
        ]
        self.run(command, env=for_uv(os.environ))
        self.stamp.write_text(self.wanted())

    def run(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        """Run a step, its output in the log. Raises Problem with the log's last line when it fails."""
        with self.log.open("a") as log:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env, check=False
            ).returncode
        if code:
            lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            said = unreachable(lines) or (lines[-1] if lines else f"exit code {code}")
            raise Problem(f"Could not create {self.folder.name}: {said} (full log: {self.log})")

    def _stamped(self) -> str:
        try:
            return self.stamp.read_text()
        except OSError:
            return ""

    def _works(self) -> bool:
        """Its Python may have been removed, or be another version by now."""
        asked = "import sys; print(sys.version)"
        try:
            found = subprocess.run(
                [str(self.python), "-c", asked], capture_output=True, text=True, check=False, timeout=60
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return found.stdout.strip() == sys.version


def unreachable(lines: Sequence[str]) -> str:
    """A sentence where pip or uv could not reach the package registry; else empty.

    pip ends with "No matching distribution found" then, as if the package were missing; that is said of real answers only.
    """
    if not any(NO_ANSWER.search(line) for line in lines):
        return ""
    return (
        "the package registry cannot be reached. Check the network connection, or set PIP_INDEX_URL to a mirror that this "
        "machine can reach, and try again"
    )


def install_uv(venv: Venv, lock: Path) -> Path:
    """The locked uv, put into the environment by its pip where it is not there already. Raises Problem."""
    uv = venv.folder / "bin" / "uv"
    if uv.exists():
        return uv
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(locked(lock.read_text(), "uv"))
        file.flush()
        venv.run([str(venv.python), "-m", "pip", "install", "--no-deps", "--require-hashes", "-r", file.name])
    return uv


def locked(lock: str, package: str) -> str:
    """The lines of one package in a lock file, hashes included. Raises Problem when it is not in there."""
    found = re.search(rf"^{re.escape(package)}==.*\n(?:[ \t].*\n)*", lock, re.MULTILINE)
    if not found:
        raise Problem(f"{package} is not in the lock file. Run: make lock")
    return found.group(0)


def for_uv(environment: "os._Environ[str] | dict[str, str]") -> dict[str, str]:
    """The environment with pip's settings under uv's names: a site that has a mirror has told pip about it."""
    pairs = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_CERT": "SSL_CERT_FILE"}
    given = {uv: environment[pip] for pip, uv in pairs.items() if environment.get(pip)}
    return {**given, **environment}
