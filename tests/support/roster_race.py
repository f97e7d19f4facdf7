"""People who come to the same seat at the same moment: `python -m tests.support.roster_race <what> <threads> <start>`.

`sign-in`: one person, many times at once. `link`: many people with one link. Prints each outcome as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
django.setup()

from django.db import connection
from django.utils import timezone

from accounts.models import RosterEntry, User
from accounts.services import invitations
from accounts.services.roster.admitting import bind_person
from labs.errors import Refusal


def sign_in(number: int) -> str:
    return str(bind_person(User.objects.get(email="ann@uni.example"), now=timezone.now()))


def link(number: int) -> str:
    entry = RosterEntry.objects.get(email="bo@uni.example")
    token = invitations.link(entry, timezone.now()).split("/")[-2]
    user = User.objects.get(email=f"person{number}@example.org")
    try:
        invitations.take(token, user=user, now=timezone.now())
    except Refusal as refusal:
        return refusal.code
    return "in"


def main(what: Callable[[int], str], threads: int, start: float) -> None:
    outcomes: list[str] = []

    def one(number: int) -> None:
        try:
            connection.ensure_connection()
            time.sleep(max(0.0, start - time.time()))
            outcomes.append(what(number))
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    running = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main({"sign-in": sign_in, "link": link}[sys.argv[1]], int(sys.argv[2]), float(sys.argv[3]))
