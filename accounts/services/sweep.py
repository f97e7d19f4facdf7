"""The minute sweep of people: finishes what was interrupted, sends again what was lost, and forgets what is old."""

from __future__ import annotations

import datetime

from accounts.rules import rates
from labs.services.sweep import each_alone

from . import deletion, outbox, sign_in
from .roster import uploads


def sweep(now: datetime.datetime) -> None:
    """One pass. It asks no cluster, and every part stands alone."""
    each_alone(
        lambda: deletion.finish_all(now),
        lambda: rates.forget(now),
        lambda: sign_in.drop_old_unfinished(now),
        lambda: uploads.forget_old(now),
        lambda: uploads.send_again(now),
        lambda: outbox.forget_old(now),
    )
