"""A world for the race: one instance, two seats, a person with a verified address, and ten others."""

from __future__ import annotations

from allauth.account.models import EmailAddress

from accounts.models import RosterEntry, User
from labs.models import Instance

instance = Instance.objects.create(slug="race", title="Race")
ann = User.objects.create_user("ann@uni.example")
EmailAddress.objects.bulk_create([EmailAddress(user=ann, email=ann.email, verified=True, primary=True)])
RosterEntry.objects.create(instance=instance, email="ann@uni.example", limits={"cpu_millis": 2000})
RosterEntry.objects.create(instance=instance, email="bo@uni.example", invitation=1)
for number in range(10):
    User.objects.create_user(f"person{number}@example.org")
