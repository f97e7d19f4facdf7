"""On which of its clusters a launch goes."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from k8s import capacity
from labs.errors import Refusal
from labs.models import Cluster, Lab, MachineSnapshot, Quota, State
from labs.models.cluster import SILENT
from labs.services.admission import ask_of
from labs.services.launch import launch
from labs.services.placement import place, places
from labs.services.waiting import promote_queued
from tests.factories import ClusterFactory, InstanceFactory, LabFactory
from tests.labs.test_launch import amounts

pytestmark = pytest.mark.django_db
A100 = {"name": "a100", "title": "A100", "count": 2, "node_labels": {"gpu": "a100"}}


def machine(cpu: int = 8000, memory: int = 32_768, gpus: int = 0, **more: Any) -> dict[str, Any]:
    allocatable = {"cpu": cpu, "memory": memory, "pods": 110, "nvidia.com/gpu": gpus}
    return {"name": "a", "labels": {}, "allocatable": allocatable, "requested": {}, "ours": {}, "taints": [], **more}


def with_machines(cluster: Cluster, *machines: dict[str, Any]) -> Cluster:
    MachineSnapshot.objects.update_or_create(
        cluster=cluster, defaults={"at": "2026-01-01T00:00:00Z", "machines": list(machines)}
    )
    return cluster


@pytest.fixture
def two(world: SimpleNamespace) -> SimpleNamespace:
    """The world's instance on its own cluster first, on a cloud after; each with one machine of 8 cores."""
    world.first = with_machines(world.instance.clusters.get(), machine())
    world.cloud = with_machines(ClusterFactory(title="Cloud"), machine())
    world.instance.places.create(cluster=world.cloud, rank=2)
    return world


def placed(world: SimpleNamespace, cpu: int = 1000, gpus: int = 0, **more: Any) -> Cluster:
    ask = ask_of({"cpu_millis": cpu, "memory_mib": 1024, "gpus": gpus})
    return place(places(world.instance), ask, now=world.now, **more)


def refused(world: SimpleNamespace, **asked: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        placed(world, **asked)
    return caught.value


def test_the_first_with_room_is_taken(two: SimpleNamespace) -> None:
    assert placed(two) == two.first


def test_the_order_is_the_instances_own(two: SimpleNamespace) -> None:
    two.instance.places.filter(cluster=two.first).update(rank=9)
    assert placed(two) == two.cloud


def test_the_overflow_goes_to_the_next(two: SimpleNamespace) -> None:
    LabFactory(instance=InstanceFactory(), cluster=two.first, state=State.RUNNING, cpu_millis=7500)
    assert placed(two, cpu=500) == two.first
    assert placed(two, cpu=1000) == two.cloud


def test_what_others_ask_for_on_a_machine_is_not_ours_to_give(two: SimpleNamespace) -> None:
    with_machines(two.first, machine(requested={"cpu": 7800}, ours={"cpu": 500}))
    assert placed(two, cpu=700) == two.first
    assert placed(two, cpu=1000) == two.cloud


def test_what_fits_on_no_single_machine_goes_elsewhere(two: SimpleNamespace) -> None:
    with_machines(two.first, *[machine(cpu=2000)] * 4)
    assert placed(two, cpu=4000) == two.cloud


DOWN: dict[str, Callable[[SimpleNamespace], dict[str, Any]]] = {
    "closed": lambda world: {"is_open": False},
    "silent": lambda world: {"problem": "The cluster is not responding."},
    "not heard of": lambda world: {"last_seen_at": world.now - SILENT - datetime.timedelta(seconds=1)},
}


@pytest.mark.parametrize("way", DOWN)
def test_a_cluster_that_is_closed_or_silent_takes_no_launches(two: SimpleNamespace, way: str) -> None:
    Cluster.objects.filter(pk=two.first.pk).update(**DOWN[way](two))
    assert placed(two) == two.cloud
    Cluster.objects.update(**DOWN[way](two))
    code = "cluster-closed" if way == "closed" else "cluster-silent"
    assert refused(two).code == code


def test_a_gpu_is_looked_for_where_its_model_is(two: SimpleNamespace) -> None:
    Cluster.objects.filter(pk=two.cloud.pk).update(gpu_models=[A100])
    gpus = machine(gpus=2, labels={"gpu": "a100"}, taints=[{"key": "nvidia.com/gpu", "effect": "NoSchedule"}])
    with_machines(two.cloud, gpus)
    assert placed(two, gpus=1, gpu_model="a100") == two.cloud
    LabFactory(instance=two.instance, cluster=two.cloud, state=State.RUNNING, gpus=2, gpu_model="a100")
    assert amounts(refused(two, gpus=1, gpu_model="a100")) == ("no-room", "gpus", 2, 2, 1)
    assert refused(two, gpus=3, gpu_model="a100").code == "too-large"


def test_a_machine_kept_for_gpus_is_no_room_for_others(two: SimpleNamespace) -> None:
    kept = machine(cpu=64_000, gpus=2, taints=[{"key": "nvidia.com/gpu", "effect": "NoSchedule"}])
    with_machines(two.first, kept)
    assert placed(two) == two.cloud


def test_a_cluster_that_grows_takes_what_its_machines_cannot_hold(two: SimpleNamespace) -> None:
    Cluster.objects.filter(pk=two.cloud.pk).update(grows=True)
    with_machines(two.cloud)
    assert placed(two, cpu=32_000) == two.cloud


def test_the_instances_own_limit_on_a_cluster_sends_the_rest_to_the_next(two: SimpleNamespace) -> None:
    two.instance.places.filter(cluster=two.first).update(running=1)
    LabFactory(instance=InstanceFactory(), cluster=two.first, state=State.RUNNING, cpu_millis=100)
    assert placed(two) == two.first
    LabFactory(instance=two.instance, cluster=two.first, state=State.RUNNING, cpu_millis=100)
    assert placed(two) == two.cloud


def test_no_room_anywhere_is_told_with_numbers_and_can_be_waited_for(two: SimpleNamespace) -> None:
    for cluster in (two.first, two.cloud):
        LabFactory(instance=InstanceFactory(), cluster=cluster, state=State.RUNNING, cpu_millis=8000)
    assert amounts(refused(two)) == ("no-room", "cpu_millis", 8000, 8000, 1000)
    values = {"name": "my-lab", "cpu": "1", "memory": "1024", "lifetime": "60"}
    lab = launch(actor=two.member, instance=two.instance, template=two.template, values=values, now=two.now, wait=True)
    assert (lab.state, lab.cluster) == (State.QUEUED, two.first)
    assert promote_queued(two.instance.pk, now=two.now) == 0
    Lab.objects.filter(cluster=two.cloud).delete()
    assert promote_queued(two.instance.pk, now=two.now) == 1
    lab.refresh_from_db()
    assert (lab.state, lab.cluster) == (State.REQUESTED, two.cloud)


def test_a_name_taken_meanwhile_on_the_other_cluster_keeps_it_where_it_is(two: SimpleNamespace) -> None:
    lab = LabFactory(instance=two.instance, cluster=two.first, state=State.QUEUED, name="same", cpu_millis=1000)
    LabFactory(instance=InstanceFactory(), cluster=two.cloud, state=State.RUNNING, name="same", cpu_millis=8000)
    LabFactory(instance=InstanceFactory(), cluster=two.first, state=State.RUNNING, cpu_millis=8000)
    assert promote_queued(two.instance.pk, now=two.now) == 0
    lab.refresh_from_db()
    assert (lab.state, lab.cluster) == (State.QUEUED, two.first)


def test_what_no_machine_can_ever_hold_is_said_so(two: SimpleNamespace) -> None:
    assert amounts(refused(two, cpu=9000)) == ("too-large", "cpu_millis", 8000, 0, 9000)


def test_a_name_is_free_only_when_it_is_on_every_cluster(two: SimpleNamespace) -> None:
    LabFactory(instance=InstanceFactory(), cluster=two.cloud, state=State.RUNNING, name="taken", cpu_millis=100)
    values = {"name": "taken", "cpu": "1", "memory": "1024", "lifetime": "60"}
    with pytest.raises(Refusal) as caught:
        launch(actor=two.member, instance=two.instance, template=two.template, values=values, now=two.now)
    assert "taken" in caught.value.errors["name"]


def test_a_cluster_that_nobody_has_asked_yet_takes_launches(world: SimpleNamespace) -> None:
    assert placed(world, cpu=64_000) == world.instance.clusters.get()


def test_an_instance_without_a_cluster_says_so(world: SimpleNamespace) -> None:
    world.instance.places.all().delete()
    assert refused(world).code == "cluster-closed"


def test_a_queue_that_asks_for_many_different_things_goes_through_the_machines_once(
    two: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Quota.objects.all().delete()
    looks: list[int] = []
    real = capacity.suitable
    monkeypatch.setattr(capacity, "suitable", lambda found, pod: looks.append(1) or real(found, pod))
    for number in range(20):
        LabFactory(
            instance=two.instance, template=two.template, owner=two.owner, state=State.QUEUED, name=f"waits-{number}",
            cpu_millis=9000 + number, memory_mib=2000 - number,
        )  # fmt: skip
    assert promote_queued(two.instance.pk, now=two.now) == 0
    assert len(looks) <= 2 * two.instance.places.count()


def test_the_number_of_queries_does_not_grow_with_the_clusters(
    two: SimpleNamespace, django_assert_num_queries: Any
) -> None:
    for rank in range(3, 9):
        two.instance.places.create(cluster=with_machines(ClusterFactory(), machine()), rank=rank)
    with django_assert_num_queries(2):
        placed(two)
