"""Which addresses are really a person's."""

from __future__ import annotations

from allauth.account.models import EmailAddress

from accounts.models import User


def verified_addresses(user: User) -> set[str]:
    """The addresses, in lower case, that the person has proved to be theirs: by a mail that was answered, or by the word of a
    provider that is trusted for the address's domain. Nothing else counts, for rosters and domains alike.
    """
    found = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return {email.lower() for email in found}
