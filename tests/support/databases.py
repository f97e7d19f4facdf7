"""Databases for the programs that tests start: each a copy of one that is prepared once in a run.

Migrations and the demo take ten seconds of a processor; a copy takes a tenth of one. All processes of a run share a folder,
and with it the prepared databases and the one PostgreSQL server. A file lock decides which process prepares.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import psycopg2

from tests.support.postgres import Postgres, Reached
from tests.support.site import environment, manage, prepare

#: Where the labs of a prepared demo are reached: nowhere, until `lead_demo_to` is called.
NOWHERE = 9


class Databases:
    """`folder` is shared by all processes of a run. The process that made it calls `close` at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def new(cls) -> Databases:
        """Those of a new run, in a folder that the PostgreSQL server's user can reach."""
        folder = Path(tempfile.mkdtemp(prefix="mlsite-tests-"))
        folder.chmod(0o755)
        return cls(folder)

    def sqlite(self, path: Path, *, demo: bool = False) -> str:
        """The address of a new SQLite database at `path`, with the site's tables and, if asked for, the demo."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.sqlite_template(demo=demo), path)
        return f"sqlite:///{path}"

    def postgres(self, *, demo: bool = False) -> str:
        """The address of a new PostgreSQL database with the same in it. Raises FileNotFoundError without a server's programs."""
        return self.server().url(f"copy_{uuid4().hex}", template=self._postgres_template(demo=demo))

    def postgres_on(self, server: Postgres, *, demo: bool = False) -> str:
        """The same on another server, such as one that a test may stop."""
        url = server.url("site")
        programs = Path(server.programs)
        dump = [programs / "pg_dump", "--no-owner", self.postgres(demo=demo)]
        with subprocess.Popen(dump, stdout=subprocess.PIPE) as dumping:
            restore = [programs / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", url]
            subprocess.run(restore, stdin=dumping.stdout, stdout=subprocess.DEVNULL, check=True)
        assert dumping.returncode == 0
        return url

    def sqlite_template(self, *, demo: bool = False) -> Path:
        """The prepared file itself, which is not to be written to."""
        path = self.folder / f"{_name(demo)}.sqlite3"
        with self._locked(path.name):
            if not path.exists():
                half = path.with_suffix(".half")
                if demo:
                    shutil.copyfile(self.sqlite_template(), half)
                fill(f"sqlite:///{half}", demo=demo)
                with closing(sqlite3.connect(half)) as connection:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                half.rename(path)
        return path

    def _postgres_template(self, *, demo: bool) -> str:
        name = _name(demo)
        with self._locked(f"{name}.postgres"):
            done = self.folder / f"{name}.postgres.done"
            if not done.exists():
                below = self._postgres_template(demo=False) if demo else ""
                fill(self.server().url(name, template=below), demo=demo)
                done.touch()
        return name

    def server(self) -> Reached:
        """The run's own PostgreSQL server, started when it is first asked for. Raises FileNotFoundError without its programs."""
        told = self.folder / "postgres.json"
        with self._locked(told.name):
            if not told.exists():
                server = Postgres(self.folder / "postgres")
                started = psutil.Process(server.server.pid).create_time()
                told.write_text(json.dumps([server.port, server.password, server.server.pid, started]))
            port, password, *_ = json.loads(told.read_text())
            return Reached(port, password)

    def close(self) -> None:
        """Stop the server and remove everything."""
        told = self.folder / "postgres.json"
        if told.exists():
            *_, pid, started = json.loads(told.read_text())
            with contextlib.suppress(psutil.NoSuchProcess):
                server = psutil.Process(pid)
                if server.create_time() == started:
                    server.send_signal(Postgres.STOP)
                    server.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with (self.folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _name(demo: bool) -> str:
    return "demo" if demo else "site"


def fill(url: str, *, demo: bool) -> None:
    """Make the site's tables in an empty database, or load the demo into one that has them."""
    env = environment(url)
    if demo:
        manage("demo", "--ingress-port", str(NOWHERE), env=env)
    else:
        prepare(env)


def lead_demo_to(env: dict[str, str], kubeconfig: Path, ingress_port: int) -> None:
    """Let the demo's labs run on this cluster: programs that are started with `env` find it."""
    others = [entry for entry in (env.get("KUBECONFIG_FILES"),) if entry]
    env["KUBECONFIG_FILES"] = ",".join([f"laptop:{kubeconfig}", *others])
    mark = "?" if env["DATABASE_URL"].startswith("sqlite") else "%s"
    execute(env["DATABASE_URL"], f"UPDATE labs_cluster SET lab_port = {mark} WHERE slug = 'laptop'", ingress_port)


def execute(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement without any of the site's programs, and give its rows."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)) as connection, connection:
            return connection.execute(statement, values).fetchall()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
