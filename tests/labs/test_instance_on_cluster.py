# ruff: noqa: F811 (the fixture `running` comes from the module beside)
"""An instance on its cluster, from its first day to its last: limits, isolation, its end; on the embedded API server and a real one."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone
from django_q.models import OrmQ

from k8s.errors import NotFound, Rejected
from labs.models import Event, Instance, InstanceCluster, Quota, Scope, State
from labs.services import retention, sweep
from labs.services.instances import archive, provision, reconcile_instance
from labs.services.reconcile import load, reconcile
from labs.services.rendering import name_of, render
from tests.labs.test_reconcile import launched, objects_of, running  # noqa: F401
from tests.support.stack import until

pytestmark = pytest.mark.django_db


def carry_out() -> set[str]:
    """What is in the queue for instances; returns which tasks there were."""
    tasks = list(OrmQ.objects.all())
    OrmQ.objects.all().delete()
    for task in tasks:
        if task.func() == "labs.tasks.reconcile_instance":
            reconcile_instance(*task.args())
    return {task.func() for task in tasks}


def hard(world: SimpleNamespace) -> dict[str, str]:
    found: dict[str, str] = world.operator.get("ResourceQuota", "instance", world.instance.namespace)["spec"]["hard"]
    return found


def test_labs_ask_the_clusters_dns_also_where_the_machine_answers_for_it(running: SimpleNamespace) -> None:
    """NodeLocal DNSCache in its usual form answers at the address of the Service: no pod is asked that a policy would know."""
    name = f"kube-dns-{uuid4().hex[:8]}"
    meta = {"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"ports": [{"port": 53, "protocol": "UDP"}]},
    }
    own = running.operator.apply(service)["spec"]["clusterIP"]
    try:
        provision(running.instance)
    finally:
        running.operator.delete("Service", name, "kube-system")
    (rule,) = running.operator.get("NetworkPolicy", "allow-dns", running.instance.namespace)["spec"]["egress"]
    asked = {one["ipBlock"]["cidr"] for one in rule["to"] if "ipBlock" in one}
    assert {f"{own}/32", "169.254.20.10/32"} <= asked
    assert {port["port"] for port in rule["ports"]} == {53}


def test_what_is_saved_of_an_instance_its_limits_and_its_places_reaches_the_cluster(
    running: SimpleNamespace, django_capture_on_commit_callbacks: Any
) -> None:
    whole = Quota.objects.get(instance=running.instance, scope=Scope.INSTANCE)
    place = running.instance.places.get()
    OrmQ.objects.all().delete()
    for change, expected in (
        (lambda: Quota.objects.get(pk=whole.pk).save(), {"requests.cpu": "10", "count/pods": "2k"}),
        (lambda: _save(whole, cpu_millis=8_000, storage_gib=50), {"requests.cpu": "8", "requests.storage": "50Gi"}),
        (lambda: _save(place, cpu_millis=3_000, running=50), {"requests.cpu": "3", "count/pods": "2k"}),
        (lambda: _save(place, cpu_millis=None, gpus=0), {"requests.cpu": "8", "requests.nvidia.com/gpu": "0"}),
        (whole.delete, {"requests.nvidia.com/gpu": "0", "services.nodeports": "0"}),
    ):
        with django_capture_on_commit_callbacks(execute=True):
            change()
        assert carry_out() == {"labs.tasks.reconcile_instance"}
        assert expected.items() <= _plain(hard(running)).items()
    assert "requests.cpu" not in hard(running)
    with django_capture_on_commit_callbacks(execute=True):
        running.instance.save()
    assert carry_out() == {"labs.tasks.reconcile_instance"}


def _save(row: Quota | InstanceCluster, **changes: int | None) -> None:
    for key, value in changes.items():
        setattr(row, key, value)
    row.save()


def _plain(amounts: dict[str, str]) -> dict[str, str]:
    """ "8000m" of CPU is 8."""
    return {key: value.removesuffix("000m") if value.endswith("000m") else value for key, value in amounts.items()}


def test_what_keeps_labs_apart_stands_before_the_first_of_them(running: SimpleNamespace) -> None:
    space = running.instance.namespace
    labels = running.operator.get("Namespace", space)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    policies = {one["metadata"]["name"]: one["spec"] for one in running.operator.list("NetworkPolicy", space).items}
    assert set(policies) == {"deny-all", "allow-dns", "allow-ingress", "allow-internet"}
    assert policies["deny-all"]["podSelector"] == {}
    account = running.operator.get("ServiceAccount", "lab", space)
    assert account["automountServiceAccountToken"] is False
    assert running.operator.get("LimitRange", "instance", space)["spec"]["limits"][0]["type"] == "Container"


def test_a_smaller_limit_ends_nothing_and_lets_nothing_more_in(running: SimpleNamespace) -> None:
    lab = launched(running)
    reconcile(lab.pk)
    uid = objects_of(running, lab)["Pod"]["metadata"]["uid"]
    Quota.objects.filter(instance=running.instance, scope=Scope.INSTANCE).update(
        cpu_millis=100, memory_mib=64, running=1
    )
    reconcile_instance(running.instance.pk)
    reconcile(lab.pk)
    sweep.compare(lab.cluster)
    pod = objects_of(running, lab)["Pod"]
    assert pod["metadata"]["uid"] == uid
    assert "deletionTimestamp" not in pod["metadata"]
    assert load(lab.pk).state == State.STARTING

    def is_refused() -> bool:
        """A real server counts a limit that has changed a moment later."""
        more = next(item for item in render(lab) if item["kind"] == "Pod")
        more["metadata"]["name"] = f"{name_of(lab)}-more"
        more["spec"]["volumes"] = [one for one in more["spec"]["volumes"] if "secret" not in one]
        for container in more["spec"]["containers"]:
            names = {one["name"] for one in more["spec"]["volumes"]}
            container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] in names]
        try:
            running.operator.create(more)
        except Rejected as refusal:
            return "exceeded quota" in refusal.message
        running.operator.delete("Pod", more["metadata"]["name"], running.instance.namespace, grace_seconds=0)
        return False

    until(is_refused, 20, "what goes beyond the new limit is refused")


def work_off(world: SimpleNamespace) -> None:
    """What the minute's sweep sends for the instance, carried out."""
    with world.on_commit(execute=True):
        retention.remind(timezone.now())
    carry_out()


def test_an_archived_instance_ends_keeps_its_files_as_long_as_it_says_and_then_takes_its_namespace_along(
    running: SimpleNamespace, django_capture_on_commit_callbacks: Any
) -> None:
    running.on_commit = django_capture_on_commit_callbacks
    instance = running.instance

    def is_left() -> bool:
        try:
            return "deletionTimestamp" not in running.operator.get("Namespace", instance.namespace)["metadata"]
        except NotFound:
            return False

    lab = launched(running)
    reconcile(lab.pk)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "home", "namespace": instance.namespace}
    running.operator.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim})
    Instance.objects.filter(pk=instance.pk).update(keep_days=2)
    assert archive(instance, actor=running.owner, now=timezone.now())
    reconcile_instance(instance.pk)
    reconcile(lab.pk)
    until(lambda: not objects_of(running, lab), 20, "nothing is left of the lab on the cluster")
    sweep.compare(lab.cluster)
    assert load(lab.pk).state == State.ENDED
    work_off(running)
    assert is_left()
    assert (
        running.operator.get("PersistentVolumeClaim", "home", instance.namespace)["metadata"].get("deletionTimestamp")
        is None
    )

    long_ago = timezone.now() - datetime.timedelta(days=2)
    Instance.objects.filter(pk=instance.pk).update(archived_at=long_ago)
    work_off(running)
    assert not is_left()

    def noted() -> bool:
        work_off(running)
        return Instance.objects.get(pk=instance.pk).removed_at is not None

    until(noted, 30, "the namespace has gone, and that is noted")
    assert Event.objects.filter(instance=instance, after={"files": "removed"}).count() == 1
    reconcile_instance(instance.pk)
    with pytest.raises(NotFound):
        running.operator.get("Namespace", instance.namespace)


def test_an_archived_instance_whose_files_are_not_kept_still_waits_for_the_end_of_what_runs(
    running: SimpleNamespace,
) -> None:
    Instance.objects.filter(pk=running.instance.pk).update(keep_days=0)
    lab = launched(running)
    reconcile(lab.pk)
    archive(running.instance, actor=running.owner, now=timezone.now())
    assert not retention.over(timezone.now())
    reconcile_instance(running.instance.pk)
    assert "deletionTimestamp" not in running.operator.get("Namespace", running.instance.namespace)["metadata"]


def test_an_upgrade_reaches_the_instances_that_there_are(
    running: SimpleNamespace, django_capture_on_commit_callbacks: Any
) -> None:
    space = running.instance.namespace
    reconcile_instance(running.instance.pk)
    older = running.operator.get("NetworkPolicy", "allow-internet", space)
    older["spec"]["egress"] = [{}]
    older["metadata"].pop("managedFields", None)
    older["metadata"].pop("resourceVersion", None)
    running.operator.delete("NetworkPolicy", "allow-internet", space)
    running.operator.create(older)
    OrmQ.objects.all().delete()
    call_command("migrate", verbosity=0)
    with django_capture_on_commit_callbacks(execute=True):
        sweep.send_again(timezone.now())
    assert "labs.tasks.reconcile_instance" in carry_out()
    blocks = running.operator.get("NetworkPolicy", "allow-internet", space)["spec"]["egress"]
    assert any("169.254.0.0/16" in to["ipBlock"].get("except", []) for rule in blocks for to in rule.get("to", []))
