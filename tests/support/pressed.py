"""One of several processes that press the same button at the same moment: `python -m tests.support.pressed <what> <threads> <start>`.

Prints the outcome of each as JSON: "done", "before" (somebody was faster), or the code of the refusal.
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

from accounts.models import Membership, Role, User
from accounts.services import membership
from labs.errors import Refusal
from labs.models import Instance, Lab
from labs.services.extension import extend
from labs.services.stopping import stop


def press(what: str, turn: int = 0) -> bool | None:
    """Press it once; False when it had been done. `turn`: which of the two owners presses, for what each does to the other."""
    if what in ("demote", "remove", "leave"):
        return _of_owners(what, turn)
    owner, now = User.objects.get(email="owner@example.org"), timezone.now()
    lab = Lab.objects.select_related("instance", "owner", "template").get()
    if what == "approve":
        return membership.approve(Membership.objects.get(user__email="member@example.org"), actor=owner, now=now)
    if what == "suspend":
        return membership.suspend(Membership.objects.get(user__email="staff@example.org"), actor=owner, now=now)
    if what == "stop":
        return stop(lab, actor=owner, now=now)
    extend(lab, actor=lab.owner, minutes=60, now=now)
    return True


def _of_owners(what: str, turn: int) -> bool:
    names = ["owner@example.org", "second@example.org"]
    me, other = names if turn % 2 else reversed(names)
    actor, now = User.objects.get(email=me), timezone.now()
    if what == "leave":
        return bool(membership.leave(user=actor, instance=Instance.objects.get(), now=now))
    row = Membership.objects.filter(user__email=other).first()
    if row is None:
        return False
    if what == "remove":
        return membership.remove(row, actor=actor, now=now)
    return membership.change_role(row, Role.MEMBER, actor=actor, now=now)


def main(what: str, threads: int, start: float) -> None:
    outcomes: list[str] = []

    def one(turn: int) -> None:
        try:
            time.sleep(max(0.0, start - time.time()))
            outcomes.append("done" if press(what, turn) else "before")
        except Refusal as refusal:
            outcomes.append(refusal.code)
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    running = [threading.Thread(target=one, args=(turn,)) for turn in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
