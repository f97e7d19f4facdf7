"""A world for the race: one instance with room for ten, five people in it without limits of their own."""

from __future__ import annotations

from django.utils import timezone

from accounts.models import Role, User
from accounts.services import membership
from labs.models import Cluster, Instance, Quota, Scope, ServiceTemplate

cluster = Cluster.objects.create(slug="race", title="Race", lab_domain="race.example.org")
instance = Instance.objects.create(slug="race", title="Race")
instance.places.create(cluster=cluster)
instance.services.set(ServiceTemplate.objects.filter(slug="jupyterlab"))
Quota.objects.create(instance=instance, scope=Scope.INSTANCE, cpu_millis=10_000)
for index in range(5):
    user = User.objects.create_user(f"person{index}@example.org")
    membership.add(user=user, instance=instance, role=Role.MEMBER, actor=None, now=timezone.now())
