"""A seat is given once, however many come for it at the same moment; on PostgreSQL and SQLite."""

import json
import subprocess
import sys
import time

from tests.support.site import ROOT, environment, manage, prepare

COUNT = """
from accounts.models import Membership
from labs.models import Event, Quota
print(Membership.objects.count(), Quota.objects.count(), Event.objects.filter(verb="access-approved").count(),
      Event.objects.filter(verb="invitation-taken").count())
"""


def test_one_seat_is_given_once_to_one_person(database_url: str) -> None:
    env = environment(database_url)
    prepare(env)
    manage("shell", "-v0", "-c", "import tests.support.roster_race_setup", env=env)
    start = str(time.time() + 4)
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.roster_race", what, "10", start],
            env=env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for what in ("sign-in", "link")
    ]
    signed_in, by_link = (sorted(json.loads(racer.communicate(timeout=120)[0])) for racer in racers)
    assert signed_in == ["0"] * 9 + ["1"]
    assert by_link == ["in"] + ["used"] * 9
    assert manage("shell", "-v0", "-c", COUNT, env=env).split() == ["2", "1", "2", "1"]
