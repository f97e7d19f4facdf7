"""Rows for tests: each factory makes one that satisfies every constraint, with nothing in it that a test did not ask for."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from accounts.models import Letter, Membership, Role, Status, User
from labs.models import Cluster, EndReason, Event, Instance, Lab, Quota, Scope, ServiceTemplate, State, Verb
from labs.models.cluster import Connection

PASSWORD = "a-long-password"
BUILT_IN = Path(__file__).resolve().parents[1] / "k8s" / "services" / "jupyterlab.json"
IMAGE = "jupyter/scipy-notebook:2023-10-20"


def many(kind: type[DjangoModelFactory[Any]], count: int, **given: Any) -> list[Any]:
    """So many rows in a few statements, without signals. A list is dealt out one by one; give every row that others point to."""
    rows = [
        kind.build(**{name: value[number] if isinstance(value, list) else value for name, value in given.items()})
        for number in range(count)
    ]
    made: list[Any] = kind._meta.model._base_manager.bulk_create(rows)
    return made


class UserFactory(DjangoModelFactory[User]):
    """A person who signs in with PASSWORD."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person-{n}@example.org")
    name = factory.Sequence(lambda n: f"Person Number{n}")
    affiliation = "Example University"

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        kwargs.setdefault("password", PASSWORD)
        return model_class.objects.create_user(*args, **kwargs)


class ClusterFactory(DjangoModelFactory[Cluster]):
    class Meta:
        model = Cluster

    slug = factory.Sequence(lambda n: f"cluster-{n}")
    title = factory.Sequence(lambda n: f"Cluster {n}")
    connection = Connection.IN_CLUSTER
    lab_domain = factory.Sequence(lambda n: f"labs-{n}.example.org")


class TemplateFactory(DjangoModelFactory[ServiceTemplate]):
    """The built-in JupyterLab; with another slug, a service like it."""

    class Meta:
        model = ServiceTemplate
        django_get_or_create = ("slug", "version")

    slug = "jupyterlab"
    version = factory.LazyFunction(lambda: json.loads(BUILT_IN.read_text())["version"])
    title = factory.LazyFunction(lambda: json.loads(BUILT_IN.read_text())["title"])
    description = factory.LazyFunction(lambda: json.loads(BUILT_IN.read_text())["description"])
    parameters = factory.LazyFunction(lambda: json.loads(BUILT_IN.read_text())["parameters"])
    objects_json = factory.LazyFunction(lambda: json.loads(BUILT_IN.read_text())["objects"])


class InstanceFactory(DjangoModelFactory[Instance]):
    """Running and public; offers nothing until `services` are given."""

    class Meta:
        model = Instance
        skip_postgeneration_save = True

    slug = factory.Sequence(lambda n: f"physics-{n}")
    title = factory.Sequence(lambda n: f"Physics {n}")
    summary = "Notebooks for the homework and the project."

    @factory.post_generation
    def clusters(self: Any, create: bool, extracted: list[Cluster] | None, **kwargs: Any) -> None:
        """Those given, in their order, or one of its own."""
        found = extracted if extracted is not None or not create else [ClusterFactory()]
        for rank, cluster in enumerate(found or (), start=1):
            self.places.create(cluster=cluster, rank=rank)

    @factory.post_generation
    def services(self: Any, create: bool, extracted: list[ServiceTemplate] | None, **kwargs: Any) -> None:
        if create and extracted:
            self.services.set(extracted)


class MembershipFactory(DjangoModelFactory[Membership]):
    """An approved member."""

    class Meta:
        model = Membership

    instance = factory.SubFactory(InstanceFactory)
    user = factory.SubFactory(UserFactory)
    role = Role.MEMBER
    status = Status.APPROVED
    decided_at = factory.LazyAttribute(lambda made: None if made.status == Status.REQUESTED else timezone.now())


class QuotaFactory(DjangoModelFactory[Quota]):
    """The default of each member, with no limit of any kind; give `user` with scope PERSON."""

    class Meta:
        model = Quota

    instance = factory.SubFactory(InstanceFactory)
    scope = Scope.MEMBER


class LabFactory(DjangoModelFactory[Lab]):
    """A lab in any state, with the times that belong to it."""

    class Meta:
        model = Lab

    class Params:
        now = factory.LazyFunction(timezone.now)
        was_running = factory.LazyAttribute(lambda made: made.state in (State.RUNNING, State.STOPPING, State.ENDED))

    instance = factory.SubFactory(InstanceFactory)
    owner = factory.SubFactory(UserFactory)
    template = factory.SubFactory(TemplateFactory)
    cluster = factory.LazyAttribute(lambda made: made.instance.places.first().cluster)
    name = factory.Sequence(lambda n: f"lab-{n}")
    state = State.REQUESTED
    image = IMAGE
    cpu_millis = 1000
    memory_mib = 2048
    lifetime_minutes = 240
    created_at = factory.LazyAttribute(lambda made: made.now)
    start_deadline = factory.LazyAttribute(lambda made: made.created_at + datetime.timedelta(minutes=15))
    started_at = factory.LazyAttribute(lambda made: made.created_at if made.was_running else None)
    expires_at = factory.LazyAttribute(
        lambda made: made.started_at + datetime.timedelta(minutes=made.lifetime_minutes) if made.started_at else None
    )
    is_ready = factory.LazyAttribute(lambda made: made.state == State.RUNNING)
    end_reason = factory.LazyAttribute(
        lambda made: EndReason.USER if made.state in (State.STOPPING, State.ENDED) else ""
    )
    ended_at = factory.LazyAttribute(lambda made: made.now if made.state == State.ENDED else None)


class EventFactory(DjangoModelFactory[Event]):
    class Meta:
        model = Event

    actor = factory.SubFactory(UserFactory)
    actor_name = factory.LazyAttribute(lambda made: str(made.actor))
    verb = Verb.LAUNCHED
    subject = factory.Sequence(lambda n: f"lab-{n}")
    user = factory.SelfAttribute("actor")


class LetterFactory(DjangoModelFactory[Letter]):
    class Meta:
        model = Letter

    instance = factory.SubFactory(InstanceFactory)
    author = factory.SubFactory(UserFactory)
    author_name = factory.LazyAttribute(lambda made: str(made.author))
    author_email = factory.LazyAttribute(lambda made: made.author.email)
    subject = "Exercise 3"
    text = "The third exercise is there: https://example.org/exercise-3.\n\nIt is due on Monday."
    audience = "everybody"
    count = 1
