"""Many launches in an instance with room for ten."""

from __future__ import annotations

from collections.abc import Callable

from django.utils import timezone

from accounts.models import Role, User
from accounts.services import membership
from labs.models import Cluster, Instance, Quota, Scope, ServiceTemplate, Workload
from labs.services.launch import launch

PEOPLE = 5


def world(slug: str) -> Callable[[], None]:
    """Five people without limits of their own."""

    def make() -> None:
        cluster = Cluster.objects.create(slug=slug, title=slug, lab_domain=f"{slug}.example.org")
        instance = Instance.objects.create(slug=slug, title=slug)
        instance.places.create(cluster=cluster)
        instance.services.set(ServiceTemplate.objects.filter(slug="jupyterlab"))
        Quota.objects.create(instance=instance, scope=Scope.INSTANCE, cpu_millis=10_000)
        for index in range(PEOPLE):
            user = User.objects.create_user(f"person{index}.{slug}@example.org")
            membership.add(user=user, instance=instance, role=Role.MEMBER, actor=None, now=timezone.now())

    return make


def start(slug: str, number: int) -> Callable[[], str]:
    """A launch by one of the people, each of whom launches several."""
    instance = Instance.objects.get(slug=slug)
    template = instance.services.get()
    actor = User.objects.get(email=f"person{number % PEOPLE}.{slug}@example.org")
    values = {"name": f"{slug}-{number}", "cpu": "1", "memory": "1024", "lifetime": "60"}

    def act() -> str:
        launch(actor=actor, instance=instance, template=template, values=values, now=timezone.now())
        return "ok"

    return act


def used(slug: str) -> Callable[[], int]:
    """The thousandths of a CPU that the instance has in use."""
    return lambda: int(Workload.objects.filter(instance__slug=slug).counted().usage()["cpu_millis"])


def twice(slug: str, number: int) -> Callable[[], str]:
    """The same launch of the same person, as often as it is called."""
    instance = Instance.objects.get(slug=slug)
    template, actor = instance.services.get(), User.objects.get(email=f"person0.{slug}@example.org")
    values = {"name": f"{slug}-same", "cpu": "10", "memory": "1024", "lifetime": "60"}

    def act() -> str:
        lab = launch(
            actor=actor, instance=instance, template=template, values=values, now=timezone.now(), key=f"{slug}-key"
        )
        return str(lab.pk)

    return act
