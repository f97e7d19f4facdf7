"""A PostgreSQL server of the tests' own: loopback, a free port, a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg2

PROGRAMS = ("initdb", "postgres", "pg_isready")


def binaries() -> Path | None:
    """The newest installed server's programs, or None."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    folders.sort(key=lambda folder: int(folder.parent.name))
    if found := shutil.which("initdb"):
        folders.insert(0, Path(found).parent)
    complete = [folder for folder in folders if all((folder / program).exists() for program in PROGRAMS)]
    return complete[-1] if complete else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Reached:
    """A server that is running on this machine, perhaps started by another process."""

    def __init__(self, port: int, password: str) -> None:
        self.port, self.password = port, password

    def url(self, name: str, *, template: str = "") -> str:
        """The address of a new database: empty, or a copy of `template`, to which nothing may be connected."""
        with closing(psycopg2.connect(self._address("postgres"))) as connection:
            connection.autocommit = True  # No database is made in a transaction.
            with connection.cursor() as cursor:
                cursor.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        return self._address(name)

    def _address(self, name: str) -> str:
        return f"postgres://tests:{self.password}@127.0.0.1:{self.port}/{name}"


class Postgres(Reached):
    """Started by the constructor, and ended by `stop`."""

    #: Asks for a fast shutdown, which does not wait for connections.
    STOP = signal.SIGINT

    def __init__(self, folder: Path) -> None:
        programs = binaries()
        if programs is None:
            raise FileNotFoundError("no PostgreSQL server is installed")
        self.programs = programs
        self.user = self._unprivileged()
        self.folder = folder
        super().__init__(free_port(), secrets.token_hex(16))
        folder.mkdir(parents=True, exist_ok=True)
        password_file = folder / "password"
        password_file.write_text(self.password)
        if self.user:
            os.chown(folder, pwd.getpwnam(self.user).pw_uid, -1)
            os.chown(password_file, pwd.getpwnam(self.user).pw_uid, -1)
        self._run(
            "initdb",
            "-D",
            folder / "data",
            "-U",
            "tests",
            "-A",
            "scram-sha-256",
            "--pwfile",
            password_file,
            "-E",
            "UTF8",
            "--no-sync",
        )
        self.server = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """The server (again), on its port and data, when it answers."""
        self.server = subprocess.Popen(
            [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200"],
            user=self.user, cwd="/", stdout=subprocess.DEVNULL, stderr=(self.folder / "log").open("w"), start_new_session=True,
        )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self.server

    @staticmethod
    def _unprivileged() -> str | None:
        """The server refuses to run as root."""
        if os.getuid() != 0:
            return None
        names = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in names else "nobody"

    def _run(self, program: str, *args: object) -> None:
        subprocess.run(
            [self.programs / program, *map(str, args)], user=self.user, cwd="/", check=True, capture_output=True
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            ready = subprocess.run(
                [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
            )
            if ready.returncode == 0:
                return
            if self.server.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        self.server.send_signal(self.STOP)
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
