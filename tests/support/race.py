"""One of several processes that launch at the same moment: `python -m tests.support.race <number> <threads> <start>`.

Prints the outcome of each launch as JSON: "ok", or the code of the refusal.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
django.setup()

from django.db import connection
from django.utils import timezone

from accounts.models import User
from labs.errors import Refusal
from labs.models import Instance
from labs.services.launch import launch


def main(number: int, threads: int, start: float) -> None:
    instance = Instance.objects.get(slug="race")
    template = instance.services.get()
    outcomes: list[str] = []

    def one(index: int) -> None:
        try:
            actor = User.objects.get(email=f"person{(number * threads + index) % 5}@example.org")
            time.sleep(max(0.0, start - time.time()))
            values = {"name": f"race-{number}-{index}", "cpu": "1", "memory": "1024", "lifetime": "60"}
            launch(actor=actor, instance=instance, template=template, values=values, now=timezone.now())
            outcomes.append("ok")
        except Refusal as refusal:
            outcomes.append(refusal.code)
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    running = [threading.Thread(target=one, args=(index,)) for index in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
