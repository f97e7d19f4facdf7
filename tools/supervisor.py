"""Starts, watches and stops the parts of `make run` under honcho.

Run by the environment's Python; `tools.steps` has checked the machine and holds the lock of the state folder.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import honcho.manager
import psutil

from tools import leftovers, ready
from tools.checks import Problem
from tools.output import Output, say
from tools.site import Site

#: Seconds that parts get to stop before they are killed; the cluster ends its pods meanwhile.
honcho.manager.KILL_WAIT = 15
START_SECONDS = 90.0


class Processes(honcho.manager.ProcessManager):
    """honcho's, which signals whole groups: right for killing what does not stop."""

    def terminate(self, pid: int) -> None:
        leftovers.terminate(pid)


class Supervisor(honcho.manager.Manager):
    """honcho's manager, quiet, with an announcement when all is up and one line when a part dies."""

    def __init__(self, site: Site) -> None:
        self.output = Output(site.logs)
        super().__init__(self.output)
        self._procmgr = Processes()
        self.site = site
        self.preparation: subprocess.Popen[str] | None = None
        self.asked = False
        self.recorded = False
        self.died: list[str] = []
        environment = site.environment()
        for name, command in site.parts().items():
            self.add_process(name, command, env=environment, cwd=str(site.root))

    def loop(self) -> None:
        """Until all parts have stopped."""
        # A terminal that is closed is a Ctrl-C.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        super().loop()
        if self.preparation and self.preparation.poll() is None:
            self.preparation.terminate()
            self.preparation.wait()
        (self.site.state / "processes.json").unlink(missing_ok=True)

    def _start(self) -> None:
        self.site.prepared.unlink(missing_ok=True)
        super()._start()
        threading.Thread(target=self._announce, daemon=True).start()

    def _all_started(self) -> bool:
        """Asked by each round of honcho's loop: the place for what must wait until every part has its process id."""
        started = bool(super()._all_started())
        if started and not self.recorded:
            self.recorded = True
            leftovers.record(self.site.state / "processes.json", [part["pid"] for part in self._processes.values()])
        if started and self.asked and not self._terminating:
            super().terminate()
        if started:
            self._end_orphans()
        return started

    def _end_orphans(self) -> None:
        """End what a dead part left: it holds the part's output open, and honcho waits for the end of that."""
        for part in self._processes.values():
            if "returncode" not in part and is_over(part["pid"]):
                self._procmgr.kill(part["pid"])

    def terminate(self) -> None:
        """Stop all parts: asked for by a signal, or because one has died."""
        if not self.asked:
            dead = [name for name, part in self._processes.items() if "returncode" in part]
            self.died += dead
            say(self._obituary(dead[0]) if dead else "Stopping ...")
        self.asked = self.output.quiet = True
        if super()._all_started():
            super().terminate()

    def _obituary(self, name: str) -> str:
        what = f"The {name} has ended (exit code {self._processes[name]['returncode']}); stopping everything."
        last = "".join(f"\n    {line}" for line in self.output.tail(name))
        return f"{what} The end of {short(self.output.path(name))}:{last}" if last else f"{what} It printed nothing."

    def _announce(self) -> None:
        """In a thread beside honcho's loop: prepare the data base, wait for everything, and say where it is."""
        site = self.site
        try:
            accounts = self._prepare()
            self._await("site", partial(ready.answers, f"http://127.0.0.1:{site.port}/accounts/login/"))
            self._await("cluster", partial(ready.cluster_answers, site.kubeconfig))
            if not site.cluster:
                self._await("labs' address", partial(ready.listens, site.lab_port))
        except Problem as problem:
            if not self.asked:
                say(str(problem))
                self.died.append("start")
                os.kill(os.getpid(), signal.SIGTERM)
        else:
            if not self.asked:
                say(announcement(site, accounts))

    def _prepare(self) -> list[str]:
        """Bring the data base up to date; the demo's accounts and their password. Raises Problem."""
        site, log = self.site, self.site.logs / "prepare.log"
        with log.open("w") as errors:
            self.preparation = subprocess.Popen(
                site.prepare(), cwd=site.root, env=site.environment(), text=True, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            said, _ = self.preparation.communicate()
        if self.preparation.returncode:
            lines = log.read_text().strip().splitlines() or [f"exit code {self.preparation.returncode}"]
            raise Problem(f"Could not prepare the database: {lines[-1]} (full log: {short(log)})")
        site.prepared.touch()
        return said.split()

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        if not ready.until(partial(self._asked_or, condition), seconds=START_SECONDS):
            raise Problem(f"The {what} did not respond within {START_SECONDS:.0f} seconds: see {short(self.site.logs)}")

    def _asked_or(self, condition: Callable[[], bool]) -> bool:
        return self.asked or condition()


def is_over(pid: int) -> bool:
    """Whether the process has ended, even if nobody has taken notice yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def announcement(site: Site, accounts: list[str]) -> str:
    """Where it is, who may sign in, how to reach the cluster, how to stop: ten lines at most."""
    *people, password = accounts
    kubectl = Path(sys.executable).parent / "kubectl"
    return "\n".join([
        f"The site is at    {site.url}   (the console: {site.url}/console/)",
        f"Sign in as        {' '.join(people[:4])}",
        f"                  {' '.join(people[4:])}",
        f"                  password of each: {password}",
        f"Labs open at      http://<name>.localhost:{site.lab_port}",
        f"The cluster       {short(kubectl)} --kubeconfig {short(site.kubeconfig)} get pods -A",
        f"E-mails are in    {short(site.root / '.run' / 'mail')}",
        f"Logs are in       {short(site.logs)}   (only warnings and errors are shown here)",
        "To stop           Ctrl-C: ends site, cluster and labs. The next `make run` continues from there.",
    ])  # fmt: skip


def short(path: Path) -> str:
    """The path as one would type it here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def end_pods(folder: Path) -> None:
    """End what the cluster left running. It does so itself, unless it was killed: then its pods' processes outlive it."""
    left: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        words: list[str] = process.info["cmdline"] or []
        program, step, run = ["", "", "", *words][-3:]
        if program.endswith("/shim.py") and step == "run" and Path(run).is_relative_to(folder):
            left.append(process)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGUSR1)  # The shim kills all that is below it, and ends.
    psutil.wait_procs(left, timeout=5)


def main(arguments: list[str]) -> int:
    """Run until a signal, or until a part dies; the exit code."""
    parser = argparse.ArgumentParser(prog="tools.supervisor", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lab-port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--lock", type=int, help="file descriptor of the lock, kept open for as long as this runs")
    parser.add_argument("--cluster", type=Path)
    options: Any = parser.parse_args(arguments)
    site = Site(state=options.state, port=options.port, lab_port=options.lab_port, cluster=options.cluster)
    supervisor = Supervisor(site)
    supervisor.loop()
    end_pods(site.state / "cluster")
    say("Stopped.")
    return 1 if supervisor.died else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
