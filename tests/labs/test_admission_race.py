"""Invariant 2: no request, however many at once, takes an instance over a limit."""

import json
import subprocess
import sys
import time

from tests.support.site import ROOT, environment, manage, prepare

PROCESSES, THREADS, ROOM = 5, 10, 10


def test_of_50_launches_at_once_exactly_as_many_succeed_as_there_is_room(database_url: str) -> None:
    env = environment(database_url)
    prepare(env)
    manage("shell", "-v0", "-c", "import tests.support.race_setup", env=env)
    start = str(time.time() + 4)
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.race", str(number), str(THREADS), start],
            env=env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    outcomes = [outcome for racer in racers for outcome in json.loads(racer.communicate(timeout=120)[0])]
    assert sorted(outcomes) == ["ok"] * ROOM + ["over-limit"] * (PROCESSES * THREADS - ROOM)
    count = manage(
        "shell",
        "-v0",
        "-c",
        "from labs.models import Workload; print(Workload.objects.counted().usage()['cpu_millis'])",
        env=env,
    )
    assert int(count) == ROOM * 1000
