"""How often a person may do what leaves lines in the history or takes work, by hour (RATE_LIMITS).

Counted in a row for each person and kind of act, and not in the cache: one statement looks and counts, so that many requests at
once are counted one by one.
"""

from __future__ import annotations

import datetime
import math

from django.conf import settings
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from accounts.models import Rate, User
from labs.errors import Refusal

WINDOW = datetime.timedelta(hours=1)
CODE = "too-often"
#: What has been done so often, for the person.
_WORDS = {
    "launch": "asked for labs",
    "extend": "extended labs",
    "stop": "stopped labs",
    "key": "looked at keys",
    "ask": "asked for access",
    "leave": "left courses or taken requests back",
    "upload": "uploaded lists",
}


def spend(user: User, act: str, *, now: datetime.datetime) -> None:
    """Count one more act of this kind; one statement as a rule. Raises Refusal when there were too many within the hour.

    Within the transaction of the act, what is refused afterwards is not counted; before it, it is.
    """
    most = settings.RATE_LIMITS[act]
    if not most or _count(user, act, most, now):
        return
    Rate.objects.bulk_create([Rate(user=user, act=act, since=now)], ignore_conflicts=True)
    if not _count(user, act, most, now):
        raise _refusal(user, act, most, now)


def _count(user: User, act: str, most: int, now: datetime.datetime) -> bool:
    is_old = Q(since__lte=now - WINDOW)
    rows = Rate.objects.filter(is_old | Q(count__lt=most), user=user, act=act)
    since = Case(When(is_old, then=Value(now)), default=F("since"))
    return bool(rows.update(count=Case(When(is_old, then=Value(1)), default=F("count") + 1), since=since))


def _refusal(user: User, act: str, most: int, now: datetime.datetime) -> Refusal:
    since = Rate.objects.values_list("since", flat=True).get(user=user, act=act)
    left = max(1, math.ceil((since + WINDOW - now).total_seconds()))
    minutes = math.ceil(left / 60)
    when = f"{timezone.localtime(since + WINDOW):%H:%M}, in {minutes} minute{'' if minutes == 1 else 's'}"
    times = "once" if most == 1 else f"{most} times"
    text = f"You have {_WORDS[act]} {times} within an hour, and that is the limit. You can do it again at {when}."
    return Refusal(text, code=CODE, retry_after=left)
