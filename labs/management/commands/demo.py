"""A small world to try the site with: two instances, their people, and one request waiting."""

from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.models import Membership, Role, Status, User
from accounts.services import membership
from labs.models import Cluster, Instance, Quota, Scope, ServiceTemplate
from labs.models.cluster import Connection
from labs.models.instance import Kind

PASSWORD = "open-the-labs"  # noqa: S105  # printed by `make run`; the command refuses to run outside DEBUG
#: The demo's cluster, and the name of its kubeconfig file in KUBECONFIG_FILES.
CLUSTER = "laptop"
PEOPLE = {
    "admin@example.org": "Ada Administrator",
    "owner@example.org": "Olga Owner",
    "staff@example.org": "Stefan Staff",
    "member@example.org": "Mina Member",
    "second@example.org": "Sam Second",
    "waiting@example.org": "Wanda Waiting",
    "new@example.org": "Nico New",
}
ABOUT = """You do the homework of Physics 250 in notebooks. Launch a lab, work in it, and push your work to the course's repository.

A lab ends automatically when its lifetime is over, and its files are deleted. Keep your work in a repository.

This is a demo: whatever software you choose, the lab has Python with NumPy, pandas and Matplotlib. You can install more with pip."""


class Command(BaseCommand):
    help = "Load or update the demo. Only for laptops: needs DEBUG=on."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--ingress-port", type=int, required=True, help="the port of labs: http://<name>.localhost:<port>"
        )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo has well-known passwords. It needs DEBUG=on.")
        cluster, _ = Cluster.objects.update_or_create(
            slug=CLUSTER,
            defaults={
                "title": "This laptop",
                "connection": Connection.FILE,
                "kubeconfig_file": CLUSTER,
                "lab_domain": "localhost",
                "lab_scheme": "http",
                "lab_port": options["ingress_port"],
            },
        )
        physics = self.instance(
            cluster,
            slug="physics-250",
            title="Physics 250",
            summary="Computational physics: notebooks for the homework and the project.",
            about=ABOUT,
            footer="Supported by grant 12-345.",
        )
        workshop = self.instance(
            cluster,
            slug="jet-workshop",
            title="Jet Tagging Workshop",
            kind=Kind.WORKSHOP,
            summary="Three days of machine learning for jets.",
            about="Bring your own data, or use ours.",
            accent="#0f766e",
        )
        self.people(physics, workshop)

    def people(self, physics: Instance, workshop: Instance) -> None:
        """Make the accounts, let them into the two instances, and leave one request open."""
        people = {email: self.person(email, name) for email, name in PEOPLE.items()}
        now = timezone.now()
        for instance in (physics, workshop):
            membership.add(user=people["owner@example.org"], instance=instance, role=Role.OWNER, actor=None, now=now)
        membership.add(user=people["staff@example.org"], instance=physics, role=Role.STAFF, actor=None, now=now)
        for email in ("member@example.org", "second@example.org"):
            membership.add(user=people[email], instance=physics, role=Role.MEMBER, actor=None, now=now)
        waiting = people["waiting@example.org"]
        if not Membership.objects.filter(user=waiting, instance=physics, status__in=Status.values).exists():
            membership.request_access(user=waiting, instance=physics, reason="I take the course this term.", now=now)

    def person(self, email: str, name: str) -> User:
        user = User.objects.filter(email=email).first() or User.objects.create_user(
            email, PASSWORD, name=name, affiliation="Example University", is_superuser=email.startswith("admin@")
        )
        EmailAddress.objects.get_or_create(user=user, email=email, defaults={"verified": True, "primary": True})
        return user

    def instance(self, cluster: Cluster, *, slug: str, **fields: Any) -> Instance:
        instance, created = Instance.objects.get_or_create(slug=slug, defaults=fields)
        if created:
            instance.places.create(cluster=cluster)
            instance.services.set(ServiceTemplate.objects.filter(is_current=True))
            Quota.objects.create(
                instance=instance, scope=Scope.INSTANCE, cpu_millis=32_000, memory_mib=64 * 1024, gpus=0, running=40
            )
            Quota.objects.create(
                instance=instance,
                scope=Scope.MEMBER,
                cpu_millis=4_000,
                memory_mib=8 * 1024,
                gpus=0,
                running=3,
                lifetime_minutes=1440,
            )
        return instance
