"""Objects of others with our labels and names like ours: never taken for ours, whatever the sweep and the watcher see."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from k8s import labels
from k8s.client import Client
from k8s.names import object_name
from labs.models import EndReason, Lab, State, Workload
from labs.services import clusters, sweep
from labs.services.instances import provision
from labs.services.launch import launch
from labs.services.observe import Told, observe
from labs.services.reconcile import load, reconcile
from labs.services.rendering import name_of
from tests.factories import ClusterFactory, InstanceFactory, MembershipFactory, TemplateFactory
from tests.support.kubeconfigs import named

pytestmark = pytest.mark.django_db


@pytest.fixture
def there(db: None, kubeconfig: str, site_kubeconfig: str) -> Iterator[SimpleNamespace]:
    """A lab of ours on a cluster, and a namespace of somebody else's beside it."""
    cluster = ClusterFactory(connection="file", kubeconfig_file=named(site_kubeconfig))
    instance = InstanceFactory(slug=f"ours-{uuid4().hex[:8]}", clusters=[cluster], services=[TemplateFactory()])
    member: User = MembershipFactory(instance=instance).user
    provision(instance)
    operator = Client.from_kubeconfig(kubeconfig)
    foreign = f"foreign-{uuid4().hex[:8]}"
    operator.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": foreign}})
    values = {"name": f"lab-{uuid4().hex[:8]}", "cpu": "1", "memory": "1024", "lifetime": "60"}
    lab = launch(actor=member, instance=instance, template=instance.services.get(), values=values, now=timezone.now())
    reconcile(lab.pk)
    yield SimpleNamespace(
        cluster=cluster, instance=instance, operator=operator, foreign=foreign, lab=lab, site=clusters.client(cluster)
    )
    for namespace in (instance.namespace, foreign):
        operator.delete("Namespace", namespace)


def service(there: SimpleNamespace, namespace: str, name: str, pk: object, **metadata: Any) -> dict[str, Any]:
    marks = {
        labels.MANAGED_BY: labels.MANAGER, labels.SITE: settings.SITE_IDENTITY, labels.INSTANCE: there.instance.slug,
        labels.WORKLOAD: str(pk),
    }  # fmt: skip
    made: dict[str, Any] = there.operator.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "labels": marks, **metadata},
         "spec": {"ports": [{"port": 80}]}}
    )  # fmt: skip
    return made


def names(there: SimpleNamespace, kind: str, namespace: str) -> set[str]:
    return {item["metadata"]["name"] for item in there.operator.list(kind, namespace).items}


def test_copied_labels_make_nothing_ours(there: SimpleNamespace) -> None:
    """In a namespace of others, with any name; in one of ours, with a name that we would not give."""
    gone = uuid4()
    service(there, there.foreign, object_name("lab", gone), gone)
    service(there, there.foreign, name_of(there.lab), there.lab.pk)
    service(there, there.instance.namespace, "by-hand", gone)
    sweep.compare(there.cluster)
    assert {object_name("lab", gone), name_of(there.lab)} <= names(there, "Service", there.foreign)
    assert {"by-hand", name_of(there.lab)} <= names(there, "Service", there.instance.namespace)


def test_an_owner_that_an_object_claims_is_not_removed_with_it(there: SimpleNamespace) -> None:
    """Else whoever may make a Service could have the site delete any Secret beside it."""
    meta = {"name": "precious", "namespace": there.instance.namespace}
    secret = there.operator.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    gone = uuid4()
    claimed = {"apiVersion": "v1", "kind": "Secret", "name": "precious", "uid": secret["metadata"]["uid"]}
    service(there, there.instance.namespace, object_name("lab", gone), gone, ownerReferences=[claimed])
    sweep.compare(there.cluster)
    assert object_name("lab", gone) not in names(there, "Service", there.instance.namespace)
    assert "precious" in names(there, "Secret", there.instance.namespace)


@pytest.mark.parametrize("namespace", ["foreign", "ours"])
def test_a_pod_of_somebody_else_says_nothing_of_a_lab(there: SimpleNamespace, namespace: str) -> None:
    """With the lab's own labels: neither does it run by that, nor fail, nor end, nor get words on its page."""
    meta = {
        "name": name_of(there.lab) if namespace == "foreign" else "by-hand", "uid": str(uuid4()),
        "namespace": there.foreign if namespace == "foreign" else there.instance.namespace,
        "labels": {labels.WORKLOAD: str(there.lab.pk)}, "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    for status in (ready, {"phase": "Failed", "reason": "Evicted"}):
        pod = {"metadata": meta, "spec": {"containers": []}, "status": status}
        observe([Told(there.lab.pk, pod=pod)], now=timezone.now())
    event = {"metadata": {}, "reason": "Evil", "message": "Send your password to x", "involvedObject": meta}
    observe([Told(there.lab.pk, events=[event])], now=timezone.now())
    row: Lab = load(there.lab.pk)
    assert (row.state, row.is_ready, row.cluster_events) == (State.STARTING, False, [])
    Workload.objects.filter(pk=row.pk).update(state=State.STOPPING, end_reason=EndReason.USER)
    observe([Told(there.lab.pk, pod={"metadata": meta}, gone=True)], now=timezone.now())
    assert load(row.pk).state == State.STOPPING


def test_the_real_pod_still_speaks_for_its_lab(there: SimpleNamespace) -> None:
    pod = there.operator.get("Pod", name_of(there.lab), there.instance.namespace)
    ready = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }
    observe([Told(there.lab.pk, pod={**pod, "status": ready})], now=timezone.now())
    assert load(there.lab.pk).state == State.RUNNING
