"""A world for buttons pressed at once: a request, and a running lab with an hour that may get an hour more."""

from __future__ import annotations

import datetime

from django.utils import timezone

from accounts.models import Membership, Role, Status, User
from labs.models import Cluster, Instance, Lab, Quota, Scope, ServiceTemplate, State

now = timezone.now()
template = ServiceTemplate.objects.get(slug="jupyterlab")
cluster = Cluster.objects.create(slug="pressed", title="Pressed", lab_domain="pressed.example.org")
instance = Instance.objects.create(slug="pressed", title="Pressed")
instance.places.create(cluster=cluster)
Quota.objects.create(instance=instance, scope=Scope.MEMBER, lifetime_minutes=120)
for role, status in ((Role.OWNER, Status.APPROVED), (Role.MEMBER, Status.REQUESTED), (Role.STAFF, Status.APPROVED)):
    user = User.objects.create_user(f"{role}@example.org")
    Membership.objects.create(user=user, instance=instance, role=role, status=status)
second = User.objects.create_user("second@example.org")
Membership.objects.create(user=second, instance=instance, role=Role.OWNER, status=Status.APPROVED)
Lab.objects.create(
    instance=instance, owner=User.objects.get(email="staff@example.org"), template=template, cluster=cluster, name="one",
    state=State.RUNNING, image="x", cpu_millis=1000, memory_mib=1024, lifetime_minutes=60, started_at=now,
    expires_at=now + datetime.timedelta(minutes=60), generation=1, observed_generation=1,
)  # fmt: skip
