"""How often a person may do what leaves lines in the history or takes work, by hour (RATE_LIMITS).

Counted in a row for each person and kind of act, and not in the cache: one statement looks and counts, so that many requests at
once are counted one by one. What somebody did who deletes the account is kept for the hour under digests of their proved addresses
and sign-ins: a new account with one of these goes on from there.
"""

from __future__ import annotations

import datetime
import math

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.addresses import without_tag
from accounts.models import Rate, User
from accounts.rules import identity
from labs.errors import Refusal

WINDOW = datetime.timedelta(hours=1)
CODE = "too-often"
#: What has been done so often, for the person.
_WORDS = {
    "launch": "launched labs",
    "extend": "extended labs",
    "stop": "stopped labs",
    "key": "viewed access keys",
    "ask": "requested access",
    "leave": "left courses or withdrawn requests",
    "upload": "uploaded lists",
}


def spend(user: User, act: str, *, now: datetime.datetime) -> None:
    """Count one more act of this kind; one statement as a rule. Raises Refusal when there were too many within the hour.

    Within the transaction of the act, what is refused afterwards is not counted; before it, it is.
    """
    most = settings.RATE_LIMITS[act]
    if not most or _count(user, act, most, now):
        return
    begun = Rate.objects.filter(user=None, act=act, since__gt=now - WINDOW).order_by("-count")
    # Seldom is anything there, and whose it would be takes two more statements.
    before = (begun.exists() and begun.filter(digest__in=_digests(user)).first()) or Rate(since=now)
    Rate.objects.bulk_create([Rate(user=user, act=act, since=before.since, count=before.count)], ignore_conflicts=True)
    if not _count(user, act, most, now):
        raise _refusal(user, act, most, now)


def _count(user: User, act: str, most: int, now: datetime.datetime) -> bool:
    is_old = Q(since__lte=now - WINDOW)
    rows = Rate.objects.filter(is_old | Q(count__lt=most), user=user, act=act)
    since = Case(When(is_old, then=Value(now)), default=F("since"))
    return bool(rows.update(count=Case(When(is_old, then=Value(1)), default=F("count") + 1), since=since))


def leave_behind(user: User, *, now: datetime.datetime) -> None:
    """The account is being deleted: keep what was done within the hour for whoever comes back with an address or sign-in of it.

    Call it before these are deleted, and within that transaction.
    """
    done = list(Rate.objects.filter(user=user, since__gt=now - WINDOW))
    digests = _digests(user)
    Rate.objects.filter(user=None, digest__in=digests, act__in=[row.act for row in done]).delete()
    Rate.objects.bulk_create(
        [Rate(digest=digest, act=row.act, since=row.since, count=row.count) for row in done for digest in digests]
    )
    Rate.objects.filter(user=user).delete()


def forget(now: datetime.datetime) -> int:
    """Drop what was left behind and counts no more; part of the minute sweep. Returns how many rows."""
    return Rate.objects.filter(user=None, since__lte=now - WINDOW).delete()[0]


def _digests(user: User) -> set[str]:
    """Of the person's proved addresses, without tags, and their sign-ins. Keyed, so that nobody finds an address by trying many."""
    known = {without_tag(address) for address in identity.verified_addresses(user)}
    known |= {
        f"{provider} {uid}" for provider, uid in SocialAccount.objects.filter(user=user).values_list("provider", "uid")
    }
    return {salted_hmac("accounts.rates", text, algorithm="sha256").hexdigest() for text in known}


def _refusal(user: User, act: str, most: int, now: datetime.datetime) -> Refusal:
    since = Rate.objects.values_list("since", flat=True).get(user=user, act=act)
    left = max(1, math.ceil((since + WINDOW - now).total_seconds()))
    minutes = math.ceil(left / 60)
    when = f"{timezone.localtime(since + WINDOW):%H:%M}, in {minutes} minute{'' if minutes == 1 else 's'}"
    times = "once" if most == 1 else f"{most} times"
    text = f"You have {_WORDS[act]} {times} within an hour, which is the limit. You can do this again at {when}."
    return Refusal(text, code=CODE, retry_after=left)
