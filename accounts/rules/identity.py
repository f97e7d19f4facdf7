"""What is really known of a person: proved addresses, and what providers say of them."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db.models import Exists, OuterRef, Subquery

from accounts.models import RosterEntry, User
from accounts.rules import claims


def verified_addresses(user: User) -> set[str]:
    """The addresses, in lower case, that the person has proved to be theirs: by a mail that was answered, or by the word of a
    provider that is trusted for the address's domain. Nothing else counts, for rosters and domains alike.
    """
    found = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return {email.lower() for email in found}


def is_by_address() -> Exists:
    """Of a roster entry that is somebody's: it became theirs by its address. The instance knows the person by that one, and whoever lists
    an address learns no other of the account. By the link of an invitation a person shows the account itself.
    """
    return Exists(EmailAddress.objects.filter(user=OuterRef("user"), email=OuterRef("email"), verified=True))


def address_on_list() -> Subquery:
    """Of a membership: the roster's address, where the person is known by that one; else nothing."""
    entries = RosterEntry.objects.filter(is_by_address(), instance=OuterRef("instance"), user=OuterRef("user"))
    return Subquery(entries.values("email")[:1])


def vouched_affiliations(user: User) -> list[str]:
    """Where providers say that the person belongs; `User.affiliation` is what they say themselves."""
    found = SocialAccount.objects.filter(user=user).order_by("-last_login").values_list("extra_data", flat=True)
    told = (claims.affiliation(claims.of(data)) for data in found)
    return list(dict.fromkeys(text for text in told if text))
