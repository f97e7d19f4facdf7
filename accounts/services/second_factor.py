"""Second factors: a code is good once, and their secrets outlive a change of SECRET_KEY."""

from __future__ import annotations

import hashlib

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.db import transaction

from accounts.models import User
from labs.services import vault

#: Under which names allauth keeps what is secret; a security key gives its public half only.
SECRETS = {Authenticator.Type.TOTP: "secret", Authenticator.Type.RECOVERY_CODES: "seed"}


def reseal_all() -> int:
    """Bring every kept secret under the current key; how many. Raises vault.CannotOpen for one under a lost key."""
    keys = Authenticator.objects.filter(type__in=SECRETS).values_list("pk", flat=True)
    return sum(_reseal(pk) for pk in keys)


@transaction.atomic
def _reseal(pk: int) -> int:
    """One row, locked: a recovery code may be used at the same moment."""
    for row in Authenticator.objects.select_for_update().filter(pk=pk):
        name = SECRETS[Authenticator.Type(row.type)]
        row.data = {**row.data, name: vault.reseal(row.data[name])}
        row.save(update_fields=["data"])
        return 1
    return 0


def use_once(user: User, code: str) -> bool:
    """Whether this code, which is right, was not used before. It is remembered for as long as the app's codes are taken: each for its
    own period, and those before and after it that the tolerance allows.
    """
    digest = hashlib.sha256("".join(code.split()).encode()).hexdigest()
    periods = 2 * app_settings.TOTP_TOLERANCE + 1
    return cache.add(f"second-factor:{user.pk}:{digest}", "used", timeout=app_settings.TOTP_PERIOD * periods)
