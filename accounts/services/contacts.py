"""Whom to write to: about an instance its owners, about everything else whoever CONTACT names."""

from __future__ import annotations

from collections.abc import Iterable

from accounts.models import Mail, Membership, Role, User
from labs.models import Instance

#: Owners that are named; more would be a list and no answer.
NAMED = 5


def owners(instance: Instance) -> list[User]:
    """Those who run the instance, the longest-standing first. One query."""
    rows = Membership.objects.approved().filter(instance=instance, role=Role.OWNER, user__is_active=True)
    return [row.user for row in rows.select_related("user").order_by("requested_at", "pk")[:NAMED]]


def answers_to(mail: Mail) -> User | None:
    """Who reads answers to the mail: whoever caused it, as long as they have an account, and else an owner."""
    by = User.objects.filter(pk=mail.context.get("by"), is_active=True).first()
    if by is None and mail.instance:
        by = next(iter(owners(mail.instance)), None)
    return by if by and by.pk != mail.user_id else None


def in_words(people: Iterable[User]) -> str:
    """ "Olga Owner, olga@example.org": one or several, each with the address."""
    return " or ".join(f"{user.name}, {user.email}" if user.name else user.email for user in people)


def write_to_the_owners(instance: Instance) -> str:
    """A sentence with names and addresses."""
    found = in_words(owners(instance))
    return (
        f"Please contact {found}."
        if found
        else "It has no owner at the moment. Please contact the site administrators."
    )
