"""The same button, pressed by many."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from accounts.models import Mail, Membership, Role, Status, User
from accounts.services import membership
from labs.models import Cluster, Event, Instance, Lab, Quota, Scope, ServiceTemplate, State
from labs.services.extension import extend
from labs.services.stopping import stop


def world(slug: str) -> Callable[[], None]:
    """Two owners, staff, a request, and a running lab of the staff's with an hour that may get one more."""

    def make() -> None:
        now = timezone.now()
        template = ServiceTemplate.objects.get(slug="jupyterlab")
        cluster = Cluster.objects.create(slug=slug, title=slug, lab_domain=f"{slug}.example.org")
        instance = Instance.objects.create(slug=slug, title=slug)
        instance.places.create(cluster=cluster)
        Quota.objects.create(instance=instance, scope=Scope.MEMBER, lifetime_minutes=120)
        people = {
            "owner": (Role.OWNER, Status.APPROVED), "second": (Role.OWNER, Status.APPROVED),
            "staff": (Role.STAFF, Status.APPROVED), "member": (Role.MEMBER, Status.REQUESTED),
        }  # fmt: skip
        for name, (role, status) in people.items():
            user = User.objects.create_user(_address(slug, name))
            Membership.objects.create(user=user, instance=instance, role=role, status=status)
        Lab.objects.create(
            instance=instance, owner=User.objects.get(email=_address(slug, "staff")), template=template, cluster=cluster,
            name=f"{slug}-one", state=State.RUNNING, image="x", cpu_millis=1000, memory_mib=1024, lifetime_minutes=60,
            started_at=now, expires_at=now + datetime.timedelta(minutes=60), generation=1, observed_generation=1,
        )  # fmt: skip

    return make


def _address(slug: str, name: str) -> str:
    return f"{name}.{slug}@example.org"


def press(slug: str, what: str, turn: int) -> Callable[[], str]:
    """Press it once: "done", or "before" when it had been done. What owners do to each other, they do by turns."""
    do = _of_owners if what in ("demote", "remove", "leave") else _of_one
    press_it = do(slug, what, turn)
    return lambda: "done" if press_it() else "before"


def _of_one(slug: str, what: str, turn: int) -> Callable[[], bool]:
    owner, now = User.objects.get(email=_address(slug, "owner")), timezone.now()
    lab = Lab.objects.select_related("instance", "owner", "template").get(instance__slug=slug)

    def row(name: str) -> Membership:
        return Membership.objects.get(user__email=_address(slug, name))

    if what == "approve":
        return lambda: membership.approve(row("member"), actor=owner, now=now)
    if what == "suspend":
        return lambda: membership.suspend(row("staff"), actor=owner, now=now)
    if what == "stop":
        return lambda: stop(lab, actor=owner, now=now)
    return lambda: extend(lab, actor=lab.owner, minutes=60, now=now) is not False  # or refused


def _of_owners(slug: str, what: str, turn: int) -> Callable[[], bool]:
    names = ["owner", "second"]
    me, other = names if turn % 2 else reversed(names)
    actor, now, instance = User.objects.get(email=_address(slug, me)), timezone.now(), Instance.objects.get(slug=slug)

    def act() -> bool:
        if what == "leave":
            return bool(membership.leave(user=actor, instance=instance, now=now))
        row = Membership.objects.filter(user__email=_address(slug, other)).first()
        if row is None:
            return False
        if what == "remove":
            return membership.remove(row, actor=actor, now=now)
        return membership.change_role(row, Role.MEMBER, actor=actor, now=now)

    return act


def facts(slug: str) -> Callable[[], dict[str, Any]]:
    """What has come of it in the instance."""

    def count() -> dict[str, Any]:
        instance = Instance.objects.get(slug=slug)
        return {
            "events": Event.objects.filter(instance=instance).exclude(verb="launched").count(),
            "mails": Mail.objects.filter(instance=instance).count(),
            "owners": Membership.objects.approved().filter(instance=instance, role=Role.OWNER).count(),
        }

    return count
