"""People who launch: `python -m bench.launcher <instance> <labs> <seconds> <threads>`, in the environment of the site.

Prints one line for each launch as JSON: key of the row, moment of the request, seconds that the service took, refusal.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import User  # noqa: E402
from labs.errors import Refusal  # noqa: E402
from labs.models import Instance  # noqa: E402
from labs.services.launch import launch  # noqa: E402


def main(slug: str, labs: int, seconds: float, threads: int) -> None:
    instance = Instance.objects.get(slug=slug)
    template = instance.services.get(slug="jupyterlab")
    people = list(User.objects.filter(email__startswith="bench-").order_by("pk"))
    printed = threading.Lock()

    def one(number: int, due: float) -> None:
        time.sleep(max(0.0, due - time.time()))
        values = {"name": f"bench-{number}", "cpu": "0.25", "memory": "512", "lifetime": "60"}
        begun, key, refusal = time.time(), "", ""
        try:
            actor = people[number % len(people)]
            lab = launch(actor=actor, instance=instance, template=template, values=values, now=timezone.now())
            key = str(lab.pk)
        except Refusal as problem:
            refusal = problem.message
        with printed:
            print(json.dumps([key, due, time.time() - begun, refusal]), flush=True)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: connection.ensure_connection(), range(threads)))
        for number, due in enumerate(arrivals(labs, seconds)):
            pool.submit(one, number, due)


def arrivals(labs: int, seconds: float) -> Iterator[float]:
    """The moments of the requests, evenly over this time."""
    start = time.time() + 0.5
    return (start + number * seconds / labs for number in range(labs))


main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
