"""What `make run` starts: the parts, their command lines and their environment."""

import os
import secrets
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Site:
    """One site on this machine, with its state in a folder and its addresses on the loopback interface."""

    state: Path
    port: int
    lab_port: int
    #: Kubeconfig of a cluster that is there already; None: the embedded one.
    cluster: Path | None = None
    root: Path = ROOT

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.cluster or self.state / "cluster" / "kubeconfig"

    @property
    def prepared(self) -> Path:
        """There once the data base is up to date: worker and watcher wait for it, while the web server starts."""
        return self.state / "prepared"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    def environment(self) -> dict[str, str]:
        """The settings of all parts; what else the terminal's environment says (mail, time zone ...) stays."""
        programs = Path(sys.executable).parent
        return {
            **os.environ,
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "mlsite.settings",
            "DEBUG": "on",
            "SITE_URL": self.url,
            "SECRET_KEY_FILE": str(self._secret_key()),
            "DATABASE_URL": f"sqlite:///{self.state / 'site.sqlite3'}",
            # By this name the demo's cluster connects. It is the person's own file, and signs in as theirs does.
            "KUBECONFIG_FILES": ",".join(
                [f"laptop:{self.kubeconfig}:trusted", *filter(None, [os.environ.get("KUBECONFIG_FILES")])]
            ),
        }

    def _secret_key(self) -> Path:
        """The key that signs sessions, made once: whoever is signed in stays so over a restart."""
        path = self.state / "secret-key"
        if not path.exists():
            new = path.with_suffix(".new")
            new.unlink(missing_ok=True)
            with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(50))
            new.rename(path)
        return path

    def prepare(self) -> list[str]:
        """The command that brings the data base up to date and prints the demo's accounts."""
        return [sys.executable, "-m", "tools.prepare", str(self.lab_port)]

    def parts(self) -> dict[str, str]:
        """The shell command of each part. `exec`: a signal then reaches the program and not a shell."""
        python, images = sys.executable, self.root / ".run" / "images"
        devcluster = [python, "-m", "k8s.devcluster", "up", "--dir", self.state / "cluster", "--port", 0]
        devcluster += ["--ingress-port", self.lab_port, "--images-dir", images]
        web = [python, "-m", "gunicorn", "--config", "python:mlsite.server", "mlsite.wsgi", "--threads", 8]
        web += [
            "--bind",
            f"127.0.0.1:{self.port}",
            "--graceful-timeout",
            5,
            "--log-level",
            "warning",
            "--no-control-socket",
        ]
        # The demo's instances are reconciled by the first tasks: these must find a cluster, or they wait a minute.
        manage = [python, "-m", "tools.ready", self.prepared, self.kubeconfig, python, "manage.py"]
        commands: dict[str, list[object]] = {
            "devcluster": devcluster,
            "web": web,
            "worker": [*manage, "qcluster"],
            "watcher": [*manage, "watch"],
        }
        if self.cluster:
            del commands["devcluster"]
        return {name: f"exec {shlex.join(map(str, command))}" for name, command in commands.items()}
