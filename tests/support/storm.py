"""Launches many labs and stops each at a random moment of its start: `python -m tests.support.storm <count> <seed>`.

Prints how many were launched, and in which states they were met.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
django.setup()

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from labs.models import Instance, Quota, Workload
from labs.services.launch import launch
from labs.services.stopping import stop

LONGEST_WAIT = 20.0


def main(count: int, seed: int) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 0)  # It is one person who does it all.
    chance = random.Random(seed)
    instance = Instance.objects.get(slug="physics-250")
    Quota.objects.filter(instance=instance).update(cpu_millis=None, memory_mib=None, running=None)
    template = instance.services.get()
    actor = User.objects.get(email="member@example.org")
    due: list[tuple[float, Workload]] = []
    met: Counter[str] = Counter()

    def stop_due(now: float) -> None:
        for item in [item for item in due if item[0] <= now]:
            due.remove(item)
            row = Workload.objects.select_related("instance", "owner").get(pk=item[1].pk)
            met[row.state] += 1
            stop(row, actor=actor, now=timezone.now())

    for number in range(count):
        values = {"name": f"storm-{number}", "cpu": "0.25", "memory": "512", "lifetime": "60"}
        lab = launch(actor=actor, instance=instance, template=template, values=values, now=timezone.now())
        due.append((time.monotonic() + chance.random() * LONGEST_WAIT, lab))
        stop_due(time.monotonic())
    while due:
        time.sleep(0.02)
        stop_due(time.monotonic())
    print(count, dict(met))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
