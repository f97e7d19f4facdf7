"""Launching: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django_q.models import OrmQ

from accounts.models import Membership, Status
from labs.errors import Refusal
from labs.models import Event, Host, Lab, Quota, Scope, State, Verb, Workload
from labs.services import parameters
from labs.services.launch import launch
from labs.services.secrets import token_of
from tests.factories import LabFactory, UserFactory

pytestmark = pytest.mark.django_db

VALUES = {"name": "my-lab", "cpu": "1", "memory": "1024", "lifetime": "60"}


def launched(world: SimpleNamespace, **values: Any) -> Lab:
    wait = values.pop("wait", False)
    actor, key = values.pop("actor", world.member), values.pop("key", "")
    return launch(
        actor=actor, instance=world.instance, template=world.template, values=VALUES | values, now=world.now, wait=wait,
        key=key,
    )  # fmt: skip


def refused(world: SimpleNamespace, **values: Any) -> Refusal:
    before = (Workload.objects.count(), Event.objects.count())
    with pytest.raises(Refusal) as caught:
        launched(world, **values)
    assert (Workload.objects.count(), Event.objects.count()) == before
    return caught.value


def test_an_accepted_launch_is_a_row_with_its_event(world: SimpleNamespace) -> None:
    lab = launched(world)
    assert (lab.state, lab.owner, lab.cpu_millis, lab.memory_mib, lab.lifetime_minutes) == (
        State.REQUESTED,
        world.member,
        1000,
        1024,
        60,
    )
    event = Event.objects.get(workload=lab.pk)
    assert (event.verb, event.actor, event.instance) == (Verb.LAUNCHED, world.member, world.instance)


def test_a_launch_queues_a_task_that_carries_nothing_of_it(
    world: SimpleNamespace, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        launched(world, password="a secret word")
    tasks = [queued.task for queued in OrmQ.objects.all()]
    assert [(task["func"], task["args"]) for task in tasks if "workload" in task["func"]] == [
        ("labs.tasks.reconcile_workloads", ())
    ]


def test_a_launch_that_is_refused_hashes_no_password(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    monkeypatch.setattr("labs.services.launch.hash_password", lambda word: hashed.append(word) or "argon2:x")
    for values in ({"cpu": "8"}, {"memory": "9216"}, {"lifetime": "1441"}):
        assert "limit" in refused(world, password="a secret word", **values).code
    assert hashed == []
    launched(world, password="a secret word")
    assert hashed == ["a secret word"]


def test_the_clusters_are_those_of_the_moment_of_the_lock(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The domain is changed between the first look and the lock."""
    cluster = world.instance.clusters.get()
    Host.objects.create(name="my-lab.moved.example.org", owner=world.owner)

    def change(word: str) -> str:
        type(cluster).objects.filter(pk=cluster.pk).update(lab_domain="moved.example.org")
        return "argon2:x"

    monkeypatch.setattr("labs.services.launch.hash_password", change)
    assert refused(world, password="a secret word").code == "name"
    type(cluster).objects.filter(pk=cluster.pk).update(lab_domain=cluster.lab_domain)
    assert launched(world, name="other", password="a secret word").host == "other.moved.example.org"


def test_no_secret_is_in_row_parameters_event_or_task(
    world: SimpleNamespace, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        lab = launched(world, password="a secret word")
    other = launched(world, name="other-lab", actor=world.owner)
    texts = [str(queued.task) for queued in OrmQ.objects.all()]
    texts += [str(vars(event)) for event in Event.objects.all()] + [
        str(vars(lab)),
        str(vars(other)),
        repr(lab.parameters),
    ]
    assert not [text for text in texts if "a secret word" in text or token_of(other) in text]
    assert lab.password_hash.startswith("argon2:")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"cpu": "NaN"}, "cpu"),
        ({"cpu": "Infinity"}, "cpu"),
        ({"cpu": "-1"}, "cpu"),
        ({"cpu": "0"}, "cpu"),
        ({"cpu": "1e3"}, "cpu"),
        ({"cpu": "0.3"}, "cpu"),
        ({"cpu": "1000"}, "cpu"),
        ({"memory": "1024Mi"}, "memory"),
        ({"memory": "1.5"}, "memory"),
        ({"memory": "99999999999999999999"}, "memory"),
        ({"lifetime": "NaN"}, "lifetime"),
        ({"lifetime": "0"}, "lifetime"),
        ({"lifetime": "1441"}, "lifetime"),
        ({"gpus": "1"}, "gpus"),
        ({"image": "evil/miner:latest"}, "image"),
        ({"repository": "file:///etc/passwd"}, "repository"),
        ({"repository": "https://user:token@git.example.org/x.git"}, "repository"),
        ({"repository": "--upload-pack=touch /tmp/x"}, "repository"),
        ({"repository": "https://git.example.org/x.git\n--config"}, "repository"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 200}, "password"),
        ({"name": ""}, "name"),
        ({"name": "a.b"}, "name"),
        ({"name": "UPPER"}, "name"),
        ({"name": "www"}, "name"),
        ({"name": "123"}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"service_account": "admin"}, "service_account"),
    ],
)
def test_a_wrong_answer_is_refused_at_its_field(world: SimpleNamespace, values: dict[str, str], field: str) -> None:
    assert refused(world, **values).errors.keys() == {field}


def test_a_taken_name_is_refused_with_a_free_suggestion(world: SimpleNamespace) -> None:
    launched(world)
    refusal = refused(world, actor=world.owner)
    assert "is taken" in refusal.errors["name"]
    assert launched(world, name=refusal.suggestion, actor=world.owner).pk


def test_a_name_is_free_again_when_its_lab_has_ended(world: SimpleNamespace) -> None:
    LabFactory(instance=world.instance, name="my-lab", state=State.ENDED)
    assert launched(world).pk


def amounts(refusal: Refusal) -> tuple[Any, ...]:
    return refusal.code, refusal.field, refusal.limit, refusal.used, refusal.asked


def test_the_members_own_limit_is_told_as_data(world: SimpleNamespace) -> None:
    launched(world, cpu="3")
    assert amounts(refused(world, name="second", cpu="2")) == ("over-own-limit", "cpu_millis", 4000, 3000, 2000)


def test_the_courses_limit_is_told_as_data(world: SimpleNamespace) -> None:
    for number in range(3):
        LabFactory(
            instance=world.instance,
            state=State.RUNNING,
            cpu_millis=3000,
            name=f"other-{number}",
        )
    assert amounts(refused(world, cpu="2")) == ("over-limit", "cpu_millis", 10_000, 9000, 2000)


def test_a_lab_that_is_still_stopping_counts(world: SimpleNamespace) -> None:
    LabFactory(
        instance=world.instance,
        owner=world.member,
        state=State.STOPPING,
        cpu_millis=4000,
    )
    assert refused(world).code == "over-own-limit"


def test_a_personal_limit_takes_the_place_of_the_default(world: SimpleNamespace) -> None:
    Quota.objects.create(instance=world.instance, scope=Scope.PERSON, user=world.member, cpu_millis=8000)
    assert launched(world, cpu="8").cpu_millis == 8000


def test_who_wants_to_wait_is_queued_and_takes_no_room(world: SimpleNamespace) -> None:
    launched(world, cpu="4")
    waiting = launched(world, name="second", cpu="4", wait=True)
    assert waiting.state == State.QUEUED
    assert Workload.objects.counted().usage()["cpu_millis"] == 4000


def test_what_never_fits_is_not_queued(world: SimpleNamespace) -> None:
    assert refused(world, cpu="5", wait=True).code == "over-own-limit"


@pytest.mark.parametrize("status", [status for status in Status if status != Status.APPROVED])
def test_only_an_approved_member_launches(world: SimpleNamespace, status: Status) -> None:
    Membership.objects.filter(user=world.member).update(status=status)
    assert refused(world).code == "not-member"


def test_a_stranger_and_even_an_administrator_outside_the_instance_cannot_launch(world: SimpleNamespace) -> None:
    for actor in (UserFactory(), UserFactory(is_superuser=True)):
        assert refused(world, actor=actor).code == "not-member"


def test_nothing_is_launched_after_the_last_day(world: SimpleNamespace) -> None:
    world.instance.ends_on = world.now.date() - datetime.timedelta(days=1)
    world.instance.save()
    assert refused(world).code == "instance-over"


def test_a_service_that_the_instance_does_not_offer_is_refused(world: SimpleNamespace) -> None:
    world.instance.services.clear()
    assert refused(world).code == "not-offered"


def test_every_parameter_type_of_the_built_in_services_has_a_check(world: SimpleNamespace) -> None:
    assert {item["type"] for item in world.template.parameters} <= set(parameters.CLEANERS)
