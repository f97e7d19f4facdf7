"""One person who does the same many times at once."""

from __future__ import annotations

from collections.abc import Callable

from django.utils import timezone

from accounts.models import User
from accounts.rules import rates


def world(slug: str) -> Callable[[], None]:
    """The person."""

    def make() -> None:
        User.objects.create_user(f"{slug}@example.org")

    return make


def ask(slug: str, _: int) -> Callable[[], str]:
    """One of the acts."""
    user = User.objects.get(email=f"{slug}@example.org")

    def act() -> str:
        rates.spend(user, "ask", now=timezone.now())
        return "ok"

    return act
