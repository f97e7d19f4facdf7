"""What is really known of a person: proved addresses, and what providers say of them."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount

from accounts.models import User
from accounts.services import claims


def verified_addresses(user: User) -> set[str]:
    """The addresses, in lower case, that the person has proved to be theirs: by a mail that was answered, or by the word of a
    provider that is trusted for the address's domain. Nothing else counts, for rosters and domains alike.
    """
    found = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return {email.lower() for email in found}


def vouched_affiliations(user: User) -> list[str]:
    """Where providers say that the person belongs; `User.affiliation` is what they say themselves."""
    found = SocialAccount.objects.filter(user=user).order_by("-last_login").values_list("extra_data", flat=True)
    told = (claims.affiliation(claims.of(data)) for data in found)
    return list(dict.fromkeys(text for text in told if text))
