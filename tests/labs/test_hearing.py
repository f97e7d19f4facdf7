"""What is known of a cluster: that it answers, or since when not; and what follows for what runs there."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone
from django_q.models import OrmQ

from k8s import labels
from k8s.errors import Unavailable
from labs.models import Cluster, MachineSnapshot, State
from labs.models.cluster import SILENT
from labs.services import clusters, hearing, sweep
from labs.services.instances import reconcile_instance
from labs.services.reconcile import reconcile
from tests.factories import ClusterFactory, LabFactory
from tests.k8s.scripted import Answer, Request, serving, status
from tests.k8s.test_transport import TOKEN, config
from tests.support.kubeconfigs import named

pytestmark = pytest.mark.django_db
DEAD = "/nowhere/kubeconfig"


@pytest.fixture
def cluster(world: SimpleNamespace, embedded_kubeconfig: str) -> Cluster:
    """The world's own, on an embedded API server."""
    Cluster.objects.update(connection="file", kubeconfig_file=named(embedded_kubeconfig), lab_scheme="http")
    found: Cluster = world.instance.clusters.get()
    return found


def queued() -> list[tuple[str, tuple[str, ...]]]:
    return [(item.task["func"].rpartition(".")[2], item.task["args"]) for item in OrmQ.objects.all()]


def test_the_sweep_notes_version_time_and_machines(cluster: Cluster) -> None:
    sweep.visit(cluster, timezone.now())
    cluster.refresh_from_db()
    assert cluster.version.startswith("v1.")
    assert not cluster.is_silent(timezone.now())
    assert cluster.snapshot.machines == []


def test_a_cluster_that_fails_is_silent_since_it_was_last_heard_of(world: SimpleNamespace) -> None:
    seen = timezone.now() - datetime.timedelta(minutes=1)
    row = ClusterFactory(connection="file", kubeconfig_file=named(DEAD), last_seen_at=seen)
    with pytest.raises(Unavailable):
        sweep.visit(row, timezone.now())
    row.refresh_from_db()
    assert (bool(row.problem), row.last_seen_at) == (True, seen)
    assert row.is_silent(timezone.now())


def test_a_server_that_quotes_the_sites_token_gets_it_onto_no_page_and_into_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def echo(request: Request) -> Answer:
        return status(401, "Unauthorized", f"unknown: {request.headers['authorization']}")

    with serving(echo) as server:
        (tmp_path / "config").write_text(json.dumps(config(server.address)))
        row = ClusterFactory(connection="file", kubeconfig_file=named(tmp_path / "config"))
        with pytest.raises(Unavailable):
            sweep.visit(row, timezone.now())
    row.refresh_from_db()
    assert row.problem.startswith("unknown: Bearer (credential")
    assert TOKEN not in row.problem + caplog.text


def test_nobody_having_asked_for_a_while_is_silence_too() -> None:
    now = timezone.now()
    assert Cluster(last_seen_at=now - SILENT - datetime.timedelta(seconds=1)).is_silent(now)
    assert not Cluster(last_seen_at=now - SILENT).is_silent(now)
    assert not Cluster().is_silent(now), "nobody has asked it yet"


def test_what_waits_for_a_silent_cluster_is_neither_tried_nor_given_up(world: SimpleNamespace) -> None:
    late = timezone.now() - datetime.timedelta(hours=1)
    lab = LabFactory(instance=world.instance, state=State.STARTING, start_deadline=late)
    hearing.silent(lab.cluster_id, "The cluster is not responding.")
    sweep.end_due(timezone.now())
    sweep.send_again(timezone.now())
    with pytest.raises(Unavailable):
        reconcile(lab.pk)
    lab.refresh_from_db()
    assert (lab.state, lab.start_deadline) == (State.STARTING, late)


def test_when_it_is_back_what_waited_is_sent_with_its_time_anew(
    world: SimpleNamespace, django_capture_on_commit_callbacks: Any
) -> None:
    late = timezone.now() - datetime.timedelta(hours=1)
    lab = LabFactory(instance=world.instance, state=State.STARTING, start_deadline=late)
    hearing.silent(lab.cluster_id, "The cluster is not responding.")
    with django_capture_on_commit_callbacks(execute=True):
        hearing.heard(lab.cluster_id, now=timezone.now())
        hearing.heard(lab.cluster_id, now=timezone.now())
    lab.refresh_from_db()
    assert lab.start_deadline > timezone.now()
    assert [task for task in queued() if task[0] == "cluster_back"] == [("cluster_back", (str(lab.cluster_id),))]
    assert not lab.cluster.is_silent(timezone.now())


def test_a_heartbeat_writes_seldom(world: SimpleNamespace, django_assert_num_queries: Any) -> None:
    pk, now = world.instance.clusters.get().pk, timezone.now()
    hearing.heard(pk, now=now, version="v1.36.3")
    hearing.heard(pk, now=now + datetime.timedelta(seconds=2))
    assert Cluster.objects.get(pk=pk).last_seen_at == now
    hearing.heard(pk, now=now + datetime.timedelta(seconds=11))
    row = Cluster.objects.get(pk=pk)
    assert (row.last_seen_at, row.version) == (now + datetime.timedelta(seconds=11), "v1.36.3")


def test_one_silent_cluster_does_not_keep_an_instance_from_the_other(world: SimpleNamespace, cluster: Cluster) -> None:
    world.instance.places.create(cluster=ClusterFactory(connection="file", kubeconfig_file=named(DEAD)), rank=0)
    with pytest.raises(Unavailable):
        reconcile_instance(world.instance.pk)
    assert clusters.client(cluster).list("ResourceQuota", world.instance.namespace).items
    world.instance.refresh_from_db()
    assert not world.instance.is_settled, "it is tried again"


def test_the_machines_are_kept_with_what_is_ours_on_them(cluster: Cluster) -> None:
    client = clusters.client(cluster)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "kept-1", "labels": {"gpu": "a100", "odd": "x"}}}
    client.apply(node)
    status = {
        "status": {
            "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True"}],
        }
    }
    client._json("patch", "PATCH", "/api/v1/nodes/kept-1/status", body=status,
                 headers={"Content-Type": "application/merge-patch+json"})  # fmt: skip
    cluster.gpu_models = [{"name": "a100", "node_labels": {"gpu": "a100"}}]
    try:
        for name, site in (("ours", "mlsite"), ("theirs", "another")):
            requests = {"cpu": "1", "memory": "1Gi"}
            pod = {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", "labels": {labels.SITE: site, labels.WORKLOAD: "x"}},
                "spec": {"nodeName": "kept-1", "containers": [
                    {"name": "c", "image": "x", "resources": {"requests": requests, "limits": requests}}]},
            }  # fmt: skip
            client.apply(pod)
        hearing.look(cluster, client)
        machine = MachineSnapshot.objects.get(cluster=cluster).machines[0]
        assert machine["labels"] == {"gpu": "a100"}
        assert (machine["requested"]["cpu"], machine["ours"]["cpu"]) == (2000, 1000)
    finally:
        for name in ("ours", "theirs"):
            client.delete("Pod", name, "default", grace_seconds=0)
        client.delete("Node", "kept-1")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (State.RUNNING, "your lab may still be running"),
        (State.STARTING, "the lab will continue to start"),
        (State.STOPPING, "will be removed as soon as"),
    ],
)
def test_a_lab_on_a_silent_cluster_is_unknown_on_its_page(world: SimpleNamespace, state: State, sentence: str) -> None:
    lab = LabFactory(instance=world.instance, owner=world.member, state=state)
    browser = Browser()
    browser.force_login(world.member, backend="allauth.account.auth_backends.AuthenticationBackend")
    before = browser.get(lab.get_absolute_url()).text
    assert "Unknown" not in before
    Cluster.objects.update(
        problem="The cluster is not responding (connect timeout).", last_seen_at="2026-01-01T14:05:00Z"
    )
    for url in (lab.get_absolute_url(), "/labs/"):
        page = browser.get(url).text
        assert ">Unknown<" in page
        assert "has not responded since" in page
        assert "14:05" in page
        assert sentence in page
        assert "connect timeout" not in page, "for the staff"


def test_labs_do_not_reach_machines_pods_and_api_servers_with_public_addresses(
    world: SimpleNamespace, cluster: Cluster, django_capture_on_commit_callbacks: Any
) -> None:
    client = clusters.client(cluster)
    meta = {"name": "public-1", "labels": {}}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"podCIDRs": ["2600:1f18:0:1::/64"]}}
    api = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": ["8.8.4.4"]}], "ports": [],
    }  # fmt: skip
    client.apply(node)
    client.apply(api)
    status = {"status": {"addresses": [{"type": "ExternalIP", "address": "8.8.8.8"}]}}
    client._json("patch", "PATCH", "/api/v1/nodes/public-1/status", body=status,
                 headers={"Content-Type": "application/merge-patch+json"})  # fmt: skip
    try:
        with django_capture_on_commit_callbacks(execute=True):
            hearing.look(cluster, client)
        assert ("reconcile_instance", (str(world.instance.pk),)) in queued(), "a machine is new"
        OrmQ.objects.all().delete()
        with django_capture_on_commit_callbacks(execute=True):
            hearing.look(cluster, client)
        assert not queued(), "it is known"
        reconcile_instance(world.instance.pk)
        found = client.get("NetworkPolicy", "allow-internet", world.instance.namespace)
        v4, v6 = (to["ipBlock"]["except"] for to in found["spec"]["egress"][0]["to"])
        assert {"8.8.8.8/32", "8.8.4.4/32"} <= set(v4)
        assert "2600:1f18:0:1::/64" in v6
    finally:
        client.delete("Node", "public-1")
        client.delete("EndpointSlice", "kubernetes", "default")
