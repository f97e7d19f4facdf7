"""A host name belongs to the first person who had a lab there: what a browser kept of it is never read by somebody else."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from accounts.services.deletion import delete_account
from labs.errors import Refusal
from labs.models import Host, InstanceCluster, Lab, State, Workload
from labs.services import classes, names
from labs.services.clusters import save_cluster
from labs.services.waiting import promote_queued
from tests.factories import ClusterFactory, InstanceFactory, LabFactory, MembershipFactory, UserFactory
from tests.labs.test_launch import launched, refused

pytestmark = pytest.mark.django_db


def ended(lab: Lab) -> Lab:
    Workload.objects.filter(pk=lab.pk).update(state=State.ENDED, end_reason="user", ended_at=timezone.now())
    return lab


def test_a_name_does_not_pass_to_the_next_person(world: SimpleNamespace) -> None:
    ended(launched(world))
    refusal = refused(world, actor=world.owner)
    assert refusal.errors["name"] == "The name “my-lab” is taken. Please choose another."
    assert launched(world, name=refusal.suggestion, actor=world.owner).pk


def test_its_first_owner_gets_it_again(world: SimpleNamespace) -> None:
    ended(launched(world))
    assert launched(world).name == "my-lab"
    assert Host.objects.count() == 1


def test_it_stays_theirs_when_the_workload_is_purged(world: SimpleNamespace) -> None:
    lab = ended(launched(world))
    Lab.objects.filter(pk=lab.pk).delete()
    assert refused(world, actor=world.owner).code == "name"
    assert launched(world).pk


def test_it_stays_theirs_when_its_cluster_is_registered_anew(world: SimpleNamespace) -> None:
    ended(launched(world))
    old = world.instance.clusters.get()
    domain = old.lab_domain
    type(old).objects.filter(pk=old.pk).update(lab_domain="old.example.org")
    InstanceCluster.objects.filter(cluster=old).delete()
    world.instance.places.create(cluster=ClusterFactory(lab_domain=domain))
    assert refused(world, actor=world.owner).code == "name"


def test_nobody_gets_it_when_its_owners_account_is_deleted(world: SimpleNamespace) -> None:
    ended(launched(world))
    email = world.member.email
    delete_account(world.member, now=timezone.now())
    back = UserFactory(email=email)
    MembershipFactory(instance=world.instance, user=back)
    assert refused(world, actor=back).code == "name"
    Host.objects.update(owner=None)
    assert refused(world, actor=back).code == "name"


def test_another_domain_is_another_host(world: SimpleNamespace) -> None:
    ended(launched(world))
    other = InstanceFactory()
    other.services.set([world.template])
    MembershipFactory(instance=other, user=world.owner)
    assert launched(SimpleNamespace(**vars(world) | {"instance": other}), actor=world.owner).name == "my-lab"


def test_the_domain_of_labs_that_run_is_not_changed(world: SimpleNamespace) -> None:
    """Or they would answer at hosts that are nobody's yet."""
    lab, cluster = launched(world), world.instance.clusters.get()
    cluster.lab_domain = "elsewhere.example.org"
    administrator = UserFactory(is_superuser=True)
    with pytest.raises(Refusal, match="Labs are still running under labs-"):
        save_cluster(cluster, actor=administrator, now=world.now)
    ended(lab)
    assert save_cluster(cluster, actor=administrator, now=world.now).lab_domain == "elsewhere.example.org"


def test_ones_own_lab_is_not_told_as_anothers(world: SimpleNamespace) -> None:
    launched(world)
    said = refused(world).errors["name"]
    assert said == "You already have a lab called “my-lab”. Stop it first, or choose another name."


def test_the_form_offers_again_what_is_ones_own(world: SimpleNamespace) -> None:
    clusters = list(world.instance.clusters.all())
    name = names.default_name(clusters, world.member)
    ended(launched(world, name=name))
    assert names.default_name(clusters, world.member) == name
    assert names.free_name(clusters, name, world.owner) == f"{name}-2"


def test_who_waits_goes_to_no_cluster_on_which_the_host_is_anothers(world: SimpleNamespace) -> None:
    cloud = ClusterFactory()
    first = world.instance.places.get()
    world.instance.places.create(cluster=cloud, rank=2)
    LabFactory(instance=world.instance, owner=world.member, state=State.QUEUED, name="waits", cluster=first.cluster)
    first.running = 0
    first.save()
    host = Host.objects.create(name=cloud.host("waits"), owner=world.owner)
    assert promote_queued(world.instance.pk, now=world.now) == 0
    host.delete()
    assert promote_queued(world.instance.pk, now=world.now) == 1
    assert Host.objects.get(name=cloud.host("waits")).owner == world.member


def test_a_class_gets_its_names_again(world: SimpleNamespace, django_capture_on_commit_callbacks: Any) -> None:
    saved = classes.save_launch(
        instance=world.instance, template=world.template, title="Week 3", values={"cpu": "1", "memory": "1024"},
        actor=world.owner, now=world.now,
    )  # fmt: skip
    found = []
    for _ in range(2):
        run = classes.start(saved, section="", wait=False, actor=world.owner, now=world.now)
        classes.work_off(run.pk)
        (lab,) = Lab.objects.exclude(state=State.ENDED)
        found.append(ended(lab).name)
    assert found[0] == found[1]


def test_who_has_taken_all_names_uses_one_again(world: SimpleNamespace, settings: Any) -> None:
    settings.HOSTS_PER_PERSON = 2
    first = ended(launched(world, name="first"))
    launched(world, name="second")
    refusal = refused(world, name="third")
    assert refusal.errors["name"] == (
        "You have used 2 lab names, which is the maximum. Reuse one of them, such as “first”."
    )
    assert refusal.suggestion == "first"
    clusters = list(world.instance.clusters.all())
    assert names.free_name(clusters, "week-9", world.member) == "first"
    assert launched(world, name="first").host == first.host
    assert "Stop a lab" in names.check_name(clusters, "third", world.member).message
    assert names.check_name(clusters, "third", world.owner).ok


def test_no_lab_stands_at_or_above_the_domain_of_another_cluster(world: SimpleNamespace) -> None:
    domain = world.instance.clusters.get().lab_domain
    ClusterFactory(lab_domain=f"gpu.{domain}")
    ClusterFactory(lab_domain=f"a.deep.{domain}")
    for name in ("gpu", "deep"):
        assert refused(world, name=name).errors["name"] == f"The name “{name}” is reserved. Please choose another."
        assert names.free_name(list(world.instance.clusters.all()), name, world.member) == f"{name}-2"
    assert launched(world, name="a").pk


def test_who_waits_gets_no_host_that_is_the_domain_of_a_cluster(world: SimpleNamespace) -> None:
    cluster = world.instance.clusters.get()
    LabFactory(instance=world.instance, owner=world.member, state=State.QUEUED, name="gpu", cluster=cluster)
    other = ClusterFactory(lab_domain=cluster.host("gpu"))
    assert promote_queued(world.instance.pk, now=world.now) == 0
    other.delete()
    assert promote_queued(world.instance.pk, now=world.now) == 1


@pytest.mark.parametrize("above", ["", "deeper."])
def test_no_cluster_gets_the_address_of_a_lab_as_its_domain(world: SimpleNamespace, above: str) -> None:
    lab = ended(launched(world))
    cluster = ClusterFactory()
    cluster.lab_domain = f"{above}{lab.host}"
    with pytest.raises(Refusal, match="has been the address of a lab"):
        save_cluster(cluster, actor=UserFactory(is_superuser=True), now=world.now)
    cluster.lab_domain = f"other-{lab.host}"
    assert save_cluster(cluster, actor=UserFactory(is_superuser=True), now=world.now).lab_domain


def test_two_who_look_at_the_same_time_do_not_both_get_it(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(launched(world))
    free = names.NameAnswer(True, "Free.")
    answers = [free, free]
    real = names.check_name
    monkeypatch.setattr("labs.services.launch.check_name", lambda *asked: answers.pop() if answers else real(*asked))
    with pytest.raises(Refusal, match="is taken"):
        launched(world, actor=world.owner)
    assert Lab.objects.count() == 1


def test_hosts_of_labs_that_were_there_before(world: SimpleNamespace) -> None:
    once = LabFactory(instance=world.instance, owner=world.member, state=State.ENDED, name="once")
    LabFactory(instance=world.instance, owner=world.member, state=State.RUNNING, name="once")
    passed = LabFactory(instance=world.instance, owner=world.member, state=State.ENDED, name="passed")
    LabFactory(instance=world.instance, owner=world.owner, state=State.RUNNING, name="passed")
    importlib.import_module("labs.migrations.0015_hosts").take_hosts(apps, None)
    assert dict(Host.objects.values_list("name", "owner")) == {once.host: world.member.pk, passed.host: None}
