"""The token of a lab without a password. It is made from the site's key and the row's id, and stored nowhere on the site."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils.crypto import salted_hmac

from accounts.models import User
from accounts.rules import authority, rates
from labs.errors import Refusal
from labs.models import Lab, Verb
from labs.rules.history import record


def has_token(lab: Lab) -> bool:
    """Whether the lab is opened by a token rather than by a password."""
    return not lab.password_hash


def token_of(lab: Lab) -> str:
    """The token itself: 48 hex digits; empty for a lab with a password."""
    return salted_hmac("labs.token", str(lab.pk), algorithm="sha256").hexdigest()[:48] if has_token(lab) else ""


@transaction.atomic
def reveal_token(lab: Lab, *, actor: User, now: datetime.datetime) -> str:
    """The token, for the lab's owner alone; the look is written to the history. Raises Refusal."""
    if not authority.can_open_workload(actor, lab) or not has_token(lab):
        raise Refusal("This lab has no access key.", code="not-found")
    rates.spend(actor, "key", now=now)
    record(Verb.SECRET_SHOWN, lab.name, actor=actor, now=now, instance=lab.instance, user=lab.owner, workload=lab)
    return token_of(lab)
