"""Sign-ins and addresses of an account: what is linked, what is proved, what was begun and never finished.

Who somebody is, is provider and subject. An address is proved by a code that was mailed to it, or by the word of a provider that
is trusted for its domain; it says where mail goes and which rosters somebody is on, and never opens an account that was used.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from accounts.addresses import searched
from accounts.models import User
from accounts.rules import authority, claims
from accounts.services.deletion import sign_out_everywhere
from labs.errors import Refusal
from labs.models import Verb
from labs.rules.history import record

#: An account that nobody has ever come into is given up after this long.
UNFINISHED = datetime.timedelta(days=1)


def subject(account: SocialAccount) -> str:
    """A sign-in, in words for the history; the subject alone would tell nobody anything."""
    return f"{account.provider}: {account.uid}"


@transaction.atomic
def link(account: SocialAccount, *, user: User, now: datetime.datetime) -> bool:
    """Link a sign-in, which the provider has just vouched for, to the account of the person who is signed in.

    False: it was linked already. Raises Refusal when it belongs to another account.
    """
    defaults = {"user": user, "extra_data": account.extra_data}
    row, created = SocialAccount.objects.get_or_create(provider=account.provider, uid=account.uid, defaults=defaults)
    if row.user_id != user.pk:
        raise Refusal(
            "This sign-in is linked to another account. First sign in with it and unlink it there.", code="taken"
        )
    if created:
        record(Verb.ACCOUNT_LINKED, subject(row), actor=user, now=now, user=user, after={"provider": row.provider})
    return created


def unlinked(account: SocialAccount, *, user: User, now: datetime.datetime) -> None:
    """Write down that a sign-in was unlinked. Call it in the transaction of that."""
    record(
        Verb.ACCOUNT_UNLINKED, subject(account), actor=user, now=now, user=user, before={"provider": account.provider}
    )


@transaction.atomic
def release(user: User, *, actor: User, now: datetime.datetime) -> int:
    """Unlink all sign-ins of somebody whose provider knows them by another subject now; returns how many. An account without a password
    or a passkey can then be moved into again (`move_in`), as one that was never used. Raises Refusal.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if not authority.can_keep_people(actor) or user.pk == actor.pk or user.is_superuser:
        raise Refusal(
            "Site administrators can unlink other people's sign-ins, but not those of another administrator.",
            code="forbidden",
        )
    rows = list(SocialAccount.objects.filter(user=user).order_by("pk"))
    for row in rows:
        record(Verb.ACCOUNT_UNLINKED, subject(row), actor=actor, now=now, user=user, before={"provider": row.provider})
        row.delete()
    has_password = settings.PASSWORD_SIGN_IN and user.has_usable_password()
    if rows and not has_password and not _has_passkey(user):
        user.set_unusable_password()
        user.last_login = None
        user.save(update_fields=["password", "last_login"])
    sign_out_everywhere(user)
    return len(rows)


def is_only_way_in(provider: str, email: str) -> bool:
    """Whether the account with this address is opened by sign-ins with this provider alone."""
    user = User.objects.filter(_has(email)).first()
    providers = set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True)) if user else set()
    return bool(user and providers == {provider} and not _has_passkey(user))


def _has_passkey(user: User) -> bool:
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).exists()


def begun_with(account: SocialAccount, *, user: User, now: datetime.datetime) -> None:
    """Write down with which sign-in a new account began. Call it in the transaction of that."""
    record(Verb.ACCOUNT_LINKED, subject(account), actor=user, now=now, user=user, after={"provider": account.provider})


@transaction.atomic
def move_in(account: SocialAccount, emails: Iterable[str], *, now: datetime.datetime) -> SocialAccount | None:
    """Give a new sign-in the account that was made by somebody else for one of its proved addresses and never used.

    None: there is no such account. Only for addresses that a trusted provider vouches for: they prove as much as the mail by which one
    would set the first password, and where passwords are off there is no other way in. Never a site administrator's.
    """
    never_used = User.objects.select_for_update().filter(
        ~Exists(SocialAccount.objects.filter(user=OuterRef("pk"))), password__startswith=UNUSABLE_PASSWORD_PREFIX,
        last_login=None, is_active=True, is_superuser=False, email__in=[searched(email) for email in emails],
    )  # fmt: skip
    user = never_used.order_by("pk").first()
    if user is None:
        return None
    row = SocialAccount.objects.create(
        user=user, provider=account.provider, uid=account.uid, extra_data=account.extra_data
    )
    begun_with(row, user=user, now=now)
    prove(user, emails)
    describe(user, row)
    return row


@transaction.atomic
def prove(user: User, emails: Iterable[str]) -> list[EmailAddress]:
    """Keep addresses that a trusted provider vouches for, as proved. Returns those that were not yet.

    One that is another account's stays there. Which address mail goes to does not change.
    """
    new: list[EmailAddress] = []
    for email in {searched(email) for email in emails}:
        if is_taken(email, by_others_than=user):
            continue
        with contextlib.suppress(IntegrityError), transaction.atomic():  # Another account may be proving it right now.
            new += _prove_one(user, email)
    return new


def _prove_one(user: User, email: str) -> list[EmailAddress]:
    row, _ = EmailAddress.objects.get_or_create(user=user, email=email)
    if row.verified:
        return []
    row.verified = True
    row.primary = row.primary or (email == user.email and not _has_primary(user))
    row.save()
    return [row]


def describe(user: User, account: SocialAccount) -> None:
    """Fill in what the person has not said of themselves, as the provider says it."""
    told = claims.of(account.extra_data)
    name, affiliation = user.name or claims.name(told), user.affiliation or claims.affiliation(told)
    if (name, affiliation) != (user.name, user.affiliation):
        user.name, user.affiliation = name, affiliation
        user.save(update_fields=["name", "affiliation"])


def _has_primary(user: User) -> bool:
    return EmailAddress.objects.filter(user=user, primary=True).exists()


def is_taken(email: str, *, by_others_than: User | None = None) -> bool:
    """Whether an account has this address. What was begun with it and never finished does not count (`drop_unfinished`)."""
    accounts = User.objects.exclude(pk=by_others_than.pk) if by_others_than else User.objects.all()
    return accounts.exclude(pk__in=unfinished().values("pk")).filter(_has(email)).exists()


def _has(email: str) -> Any:
    """The account has the address, as its own or as one more."""
    email = searched(email)
    return Q(email=email) | Exists(EmailAddress.objects.filter(user=OuterRef("pk"), email=email))


def unfinished() -> Any:
    """Accounts that somebody began to make, by a form or with a provider, and never came into: no address of theirs is proved.

    Those that an administrator makes are not among them: these have neither a password nor a sign-in yet.
    """
    claimed = EmailAddress.objects.filter(user=OuterRef("pk"))
    way_in = ~Q(password__startswith=UNUSABLE_PASSWORD_PREFIX) | Exists(
        SocialAccount.objects.filter(user=OuterRef("pk"))
    )
    begun = User.objects.filter(way_in, last_login=None, is_superuser=False, memberships=None, workloads=None)
    return begun.filter(Exists(claimed)).exclude(Exists(claimed.filter(verified=True)))


def drop_unfinished(email: str) -> None:
    """Make an address free that somebody has claimed and not proved: it must keep nobody from an account of their own."""
    unfinished().filter(_has(email)).delete()


def drop_old_unfinished(now: datetime.datetime) -> int:
    """Give up what was begun long ago; part of the minute sweep."""
    count, _ = unfinished().filter(created_at__lt=now - UNFINISHED).delete()
    return int(count)
