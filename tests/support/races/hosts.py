"""Many people of two instances on one cluster want the same name."""

from __future__ import annotations

from collections.abc import Callable

from django.utils import timezone

from accounts.models import Role, User
from accounts.services import membership
from labs.models import Cluster, EndReason, Instance, ServiceTemplate, State, Workload
from labs.services.launch import launch

PEOPLE = 10


def world(slug: str) -> Callable[[], None]:
    """Two instances, whose rows are locked apart, with half of the people in each."""

    def make() -> None:
        cluster = Cluster.objects.create(slug=slug, title=slug, lab_domain=f"{slug}.example.org")
        for half in range(2):
            instance = Instance.objects.create(slug=f"{slug}-{half}", title=slug)
            instance.places.create(cluster=cluster)
            instance.services.set(ServiceTemplate.objects.filter(slug="jupyterlab"))
        for number in range(PEOPLE):
            user = User.objects.create_user(f"{number}.{slug}@example.org")
            instance = Instance.objects.get(slug=f"{slug}-{number % 2}")
            membership.add(user=user, instance=instance, role=Role.MEMBER, actor=None, now=timezone.now())

    return make


def start(slug: str, number: int) -> Callable[[], str]:
    """A launch under the one name; what was launched ends at once, and its name with it."""
    instance = Instance.objects.get(slug=f"{slug}-{number % 2}")
    template = instance.services.get()
    actor = User.objects.get(email=f"{number}.{slug}@example.org")
    values = {"name": "wanted", "cpu": "1", "memory": "1024", "lifetime": "60"}

    def act() -> str:
        now = timezone.now()
        lab = launch(actor=actor, instance=instance, template=template, values=values, now=now)
        Workload.objects.filter(pk=lab.pk).update(state=State.ENDED, end_reason=EndReason.USER, ended_at=now)
        return str(actor)

    return act
