"""People who come to the same seats of a roster."""

from __future__ import annotations

from collections.abc import Callable

from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.models import Membership, RosterEntry, User
from accounts.services import invitations
from accounts.services.roster.admitting import bind_person
from labs.models import Event, Instance, Quota

PEOPLE = 10


def world(slug: str) -> Callable[[], None]:
    """Two seats: one of a person with a verified address, one with a link for whoever has it; ten people who do."""

    def make() -> None:
        instance = Instance.objects.create(slug=slug, title=slug)
        ann = User.objects.create_user("ann@uni.example")
        EmailAddress.objects.bulk_create([EmailAddress(user=ann, email=ann.email, verified=True, primary=True)])
        RosterEntry.objects.create(instance=instance, email="ann@uni.example", limits={"cpu_millis": 2000})
        RosterEntry.objects.create(instance=instance, email="bo@uni.example", invitation=1)
        for number in range(PEOPLE):
            User.objects.create_user(f"seeker{number}@example.org")

    return make


def sign_in() -> Callable[[], str]:
    """Ann signs in: the number of seats that she got by it."""
    ann = User.objects.get(email="ann@uni.example")
    return lambda: str(bind_person(ann, now=timezone.now()))


def follow_link(number: int) -> Callable[[], str]:
    """One of the ten follows the link."""
    entry = RosterEntry.objects.get(email="bo@uni.example")
    token = invitations.link(entry, timezone.now()).split("/")[-2]
    user = User.objects.get(email=f"seeker{number}@example.org")

    def act() -> str:
        invitations.take(token, user=user, now=timezone.now())
        return "in"

    return act


def come(how: str, number: int) -> Callable[[], str]:
    """Ann's sign-in, or the link."""
    return sign_in() if how == "sign-in" else follow_link(number)


def facts(slug: str) -> Callable[[], list[int]]:
    """How many members, limits, approvals and taken invitations there are."""

    def count() -> list[int]:
        instance = Instance.objects.get(slug=slug)
        events = Event.objects.filter(instance=instance)
        approved, taken = (events.filter(verb=verb).count() for verb in ("access-approved", "invitation-taken"))
        members, limits = (model.objects.filter(instance=instance).count() for model in (Membership, Quota))
        return [members, limits, approved, taken]

    return count
