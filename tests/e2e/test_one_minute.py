"""A lab of one minute's lifetime, with every program killed on the way."""

from __future__ import annotations

import datetime
import time
import urllib.request

import pytest

from tests.e2e.test_storm import ours
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow]

LAUNCH = """
from django.utils import timezone
from accounts.models import User
from labs.models import Instance
from labs.services.launch import launch
instance = Instance.objects.get(slug="physics-250")
lab = launch(actor=User.objects.get(email="member@example.org"), instance=instance, template=instance.services.get(),
    values={"name": "one-minute", "cpu": "0.5", "memory": "1024", "lifetime": "1"}, now=timezone.now())
print(lab.pk)
"""
LOOK = """
from labs.models import Workload
w = Workload.objects.get(pk="%s")
print(w.state, w.expires_at and w.expires_at.isoformat(), w.end_reason)
"""


def test_a_lab_of_one_minute_is_gone_within_a_minute_of_its_end_with_all_programs_killed_on_the_way(
    stack: Stack,
) -> None:
    pk = stack.shell(LAUNCH).splitlines()[-1]

    def look() -> list[str]:
        return stack.shell(LOOK % pk).split()

    until(lambda: look()[0] == "running", 60, "the lab runs", every=1.0)
    expires = datetime.datetime.fromisoformat(look()[1])
    for name in ("web", "worker", "watcher", "cluster"):
        stack.kill(name)
        stack.start_one(name)
    address = f"http://one-minute.localhost:{stack.ingress_port}/api"
    request = urllib.request.Request(
        address.replace("one-minute.localhost", "127.0.0.1"), headers={"Host": "one-minute.localhost"}
    )

    def answers() -> bool:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    until(answers, 30, "the lab answers again after all programs were killed")
    client = stack.client()
    left = (expires - datetime.datetime.now(datetime.UTC)).total_seconds()
    assert left > 0, "the programs took longer to restart than the lab lives"
    time.sleep(left)  # its whole life, which nothing may shorten
    until(lambda: not ours(client), 60, "everything of the lab is gone", every=0.5)
    late = (datetime.datetime.now(datetime.UTC) - expires).total_seconds()
    print(f"gone {late:.1f} s after its end")
    until(lambda: look()[::2] == ["ended", "expired"], 60, "its row says so")
    assert not answers()
