"""Thin wires from allauth to the roster and to what was decided about people. Handlers are at most five lines."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.signals import email_confirmed, user_logged_in
from django.db.models.signals import post_delete, post_save, pre_save
from django.utils import timezone

from accounts.addresses import searched
from accounts.models import User
from accounts.services.bars import address_left
from accounts.services.roster.admitting import bind_person


def signed_in(sender: Any, user: User, **kwargs: Any) -> None:
    bind_person(user, now=timezone.now())


def address_saved(sender: Any, instance: EmailAddress, **kwargs: Any) -> None:
    if instance.verified:
        bind_person(instance.user, now=timezone.now())


def address_made(sender: Any, instance: EmailAddress, **kwargs: Any) -> None:
    if instance._state.adding:
        instance.email = searched(instance.email)


def address_confirmed(sender: Any, email_address: EmailAddress, **kwargs: Any) -> None:
    address_saved(sender, email_address)


def address_gone(sender: Any, instance: EmailAddress, **kwargs: Any) -> None:
    if instance.verified:
        address_left(instance.user_id, instance.email, now=timezone.now())


def connect() -> None:
    user_logged_in.connect(signed_in)
    email_confirmed.connect(address_confirmed)
    pre_save.connect(address_made, sender=EmailAddress)
    post_save.connect(address_saved, sender=EmailAddress)
    post_delete.connect(address_gone, sender=EmailAddress)
