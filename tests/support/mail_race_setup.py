"""Forty mails that wait, for workers at the same moment."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts.models import MailKind, User
from accounts.services import mailing
from labs.models import Instance

instance = Instance.objects.create(slug="race", title="Race")
with transaction.atomic():
    for number in range(40):
        user = User.objects.create_user(f"person{number}@example.org")
        mailing.write(
            MailKind.ACCESS_APPROVED, user.email, key=f"race:{number}", now=timezone.now(), user=user, instance=instance
        )
