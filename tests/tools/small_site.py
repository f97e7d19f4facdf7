"""Runs the supervisor with parts of the test's choosing: `python -m tests.tools.small_site STATE '{"name": "command"}'`."""

import json
import sys
from pathlib import Path

import honcho.manager

from tools.site import Site
from tools.supervisor import Supervisor


class SmallSite(Site):
    def parts(self) -> dict[str, str]:
        return dict(json.loads(sys.argv[2]))

    def prepare(self) -> list[str]:
        return [sys.executable, "-c", sys.argv[3]]


if __name__ == "__main__":
    honcho.manager.KILL_WAIT = 1
    supervisor = Supervisor(SmallSite(state=Path(sys.argv[1]), port=1, lab_port=1))
    supervisor.loop()
    sys.exit(1 if supervisor.died else 0)
