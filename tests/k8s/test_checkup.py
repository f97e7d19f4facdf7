"""A cluster looked at once, against a living API server."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from k8s import checkup, rights
from k8s.checkup import Expected, Finding, examine
from k8s.client import Client
from k8s.errors import NotFound
from k8s.kinds import path
from tests.support.cluster import wait_for
from tests.support.site_account import make_bare


def told(found: list[Finding]) -> dict[str, str]:
    return {finding.title: finding.tone for finding in found}


def ingress_class(name: str, controller: str, **annotations: str) -> dict[str, Any]:
    metadata = {"name": name, "annotations": annotations}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": metadata,
        "spec": {"controller": controller},
    }


def examined(kubeconfig: str | Path, **expected: Any) -> dict[str, str]:
    now = datetime.datetime.now(datetime.UTC)
    return told(examine(Client.from_kubeconfig(kubeconfig), Expected(**expected), now=now))


def test_all_that_is_there_is_found(kubeconfig: str) -> None:
    client = Client.from_kubeconfig(kubeconfig)
    client.apply(ingress_class("check-nginx", "k8s.io/ingress-nginx"))
    client.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "check-fast"},
            "provisioner": "x/y",
        }
    )
    try:
        found = examined(
            kubeconfig, ingress_class="check-nginx", controller="ingress-nginx", storage_classes=["check-fast"]
        )
        assert found["The site has all the permissions that it needs."] == "ok"
        assert found["The ingress class “check-nginx” exists."] == "ok"
        assert found["The storage classes exist: check-fast."] == "ok"
        assert found["Its clock matches the site's."] == "ok"
        assert examined(kubeconfig, ingress_class="check-nginx", controller="traefik")[
            "The ingress class “check-nginx” belongs to another controller."
        ] == "wait"  # fmt: skip
    finally:
        client.delete("IngressClass", "check-nginx")
        client.delete("StorageClass", "check-fast")


def test_all_that_is_missing_is_named(kubeconfig: str) -> None:
    found = examined(kubeconfig, ingress_class="absent", cluster_issuer="letsencrypt", storage_classes=["absent-1"])
    assert found["There is no ingress class “absent”."] == "bad"
    assert found["There is no ClusterIssuer “letsencrypt”."] == "bad"
    assert found["There is no storage class “absent-1”."] == "bad"
    assert examined(kubeconfig, gateway="gateways/labs")["There is no Gateway gateways/labs."] == "bad"


class IngressPods:
    """A namespace of an operator's, and a pod in it."""

    def __init__(self, kubeconfig: str) -> None:
        self.client = Client.from_kubeconfig(kubeconfig)
        self.namespace = f"ingress-{uuid4().hex[:8]}"
        self.pods: list[str] = []
        self.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})

    def run(self, name: str, *, address: str = "", phase: str = "Running", **spec: Any) -> None:
        """A pod that says so of itself."""
        wait_for("its account", self._has_account)  # The embedded cluster does not mind, the other takes no pod before.
        meta = {"name": name, "namespace": self.namespace}
        spec |= {"containers": [{"name": "main", "image": "x:1"}]}
        self.client.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        self.pods.append(name)
        status = {"phase": phase} | ({"podIP": address, "podIPs": [{"ip": address}]} if address else {})
        self.client._json(
            "patch", "PATCH", f"{path('Pod', self.namespace, name)}/status", body={"status": status},
            headers={"Content-Type": "application/merge-patch+json"},
        )  # fmt: skip

    def _has_account(self) -> bool:
        with suppress(NotFound):
            return bool(self.client.get("ServiceAccount", "default", self.namespace))
        return False


@pytest.fixture
def ingress(kubeconfig: str) -> Iterator[IngressPods]:
    made = IngressPods(kubeconfig)
    yield made
    for name in made.pods:
        made.client.delete("Pod", name, made.namespace, grace_seconds=0)
    made.client.delete("Namespace", made.namespace)


def ways(client: Client, *networks: str, namespace: str) -> dict[str, str]:
    """What is said of who reaches labs. Of an embedded cluster it would not be asked: it lets everybody."""
    return told(list(checkup._sources(client, Expected(ingress_namespace=namespace, ingress_networks=networks))))


def test_pods_of_the_ingress_are_looked_for(ingress: IngressPods) -> None:
    client, there = ingress.client, ingress.namespace
    assert ways(client, namespace="") == {"Labs cannot be reached.": "bad"}
    assert ways(client, namespace=there) == {f"No pod runs in the namespace “{there}”.": "bad"}
    ingress.run("done", phase="Succeeded")
    assert ways(client, namespace=there) == {f"No pod runs in the namespace “{there}”.": "bad"}
    ingress.run("controller", address="10.42.7.9")
    assert ways(client, namespace=there) == {f"Requests come from the pods of “{there}”.": "ok"}
    assert ways(client, "130.211.0.0/22", namespace="") == {"Requests come from 130.211.0.0/22.": "ok"}


def test_pods_of_the_ingress_that_no_policy_knows_are_told(ingress: IngressPods) -> None:
    client, there = ingress.client, ingress.namespace
    ingress.run("controller", hostNetwork=True)
    alone = f"1 pod of “{there}” with host networking, such as controller."
    assert ways(client, namespace=there) == {alone: "bad"}
    assert ways(client, "10.42.7.0", namespace=there)[f"The pods of “{there}” use host networking."] == "wait"
    ingress.run("other", address="10.42.7.9")
    assert ways(client, namespace=there) == {alone: "wait"}
    assert ways(client, "10.42.7.0", namespace=there) == {
        f"Requests come from the pods of “{there}”.": "ok", "Requests come from 10.42.7.0/32.": "ok",
    }  # fmt: skip


def test_pods_are_found_by_their_addresses_where_machines_have_no_ranges(ingress: IngressPods) -> None:
    """As with the network of a cloud, where pods have addresses of its subnets."""
    ingress.run("lab", address="172.30.4.9")
    found = ways(ingress.client, "172.30.0.0/16", "172.30.4.9", namespace="")
    assert found == {"There are pods in 172.30.0.0/16.": "bad", "There are pods in 172.30.4.9/32.": "bad"}


def test_labs_that_would_reach_each_other_are_told(kubeconfig: str) -> None:
    client = Client.from_kubeconfig(kubeconfig)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "check-node"}}
    client.apply(node | {"spec": {"podCIDR": "10.42.7.0/24", "podCIDRs": ["10.42.7.0/24", "fd00:42::/64"]}})
    try:
        found = ways(client, "10.42.0.0/16", "10.42.7.0", "192.168.20.0/24", "fd00::/16", namespace="")
    finally:
        client.delete("Node", "check-node")
    assert found == {
        "There are pods in 10.42.0.0/16.": "bad", "Requests come from 10.42.7.0/32.": "ok",
        "Requests come from 192.168.20.0/24.": "ok", "There are pods in fd00::/16.": "bad",
    }  # fmt: skip


def test_an_embedded_cluster_says_that_it_keeps_nobody_apart(embedded_kubeconfig: str) -> None:
    assert examined(embedded_kubeconfig)["It does not isolate labs."] == "wait"


def test_gpus_are_counted_by_their_labels(embedded_kubeconfig: str) -> None:
    client = Client.from_kubeconfig(embedded_kubeconfig)
    for name, product, gpus in (("gpu-1", "A100", "4"), ("gpu-2", "A100", "4"), ("gpu-3", "T4", "1")):
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": product}},
        }
        client.apply(node | {"status": {"allocatable": {"nvidia.com/gpu": gpus}}})
        status = {"status": {"allocatable": {"nvidia.com/gpu": gpus}, "capacity": {"nvidia.com/gpu": gpus}}}
        client._json("patch", "PATCH", f"/api/v1/nodes/{name}/status", body=status,
                     headers={"Content-Type": "application/merge-patch+json"})  # fmt: skip
    try:
        model = {"name": "a100", "title": "A100 80 GB", "count": 8, "node_labels": {"nvidia.com/gpu.product": "A100"}}
        now = datetime.datetime.now(datetime.UTC)
        found = examine(client, Expected(gpu_models=[model]), now=now)
        assert told(found)["8 GPUs of A100 80 GB on 2 nodes."] == "ok"
        other = next(item for item in found if item.title == "Some GPUs match no GPU model.")
        assert other.text == "nvidia.com/gpu.product=T4: 1 GPU."
        fewer = examine(client, Expected(gpu_models=[{**model, "count": 16}]), now=now)
        assert next(item.text for item in fewer if item.title.startswith("8 GPUs")) == "Here 16 are offered."
    finally:
        for name in ("gpu-1", "gpu-2", "gpu-3"):
            client.delete("Node", name)


def test_a_clock_that_is_off_is_told(embedded_kubeconfig: str) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    found = examine(Client.from_kubeconfig(embedded_kubeconfig), Expected(), now=later)
    clock = next(item for item in found if "clock" in item.title)
    assert clock.title.endswith("s behind the site's.")
    assert clock.tone == "wait"


def test_a_cluster_that_does_not_answer_is_asked_nothing_more() -> None:
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
    }
    found = examine(Client.from_kubeconfig(config), Expected(), now=datetime.datetime.now(datetime.UTC))
    assert told(found) == {"The cluster is not responding.": "bad"}


def test_the_rights_are_those_of_the_file() -> None:
    plain, routed = set(rights.needed()), set(rights.needed(with_gateway=True))
    assert rights.Right("list", "networking.k8s.io", "ingresses", "") in plain - routed
    assert rights.Right("patch", "gateway.networking.k8s.io", "httproutes", "") in routed - plain
    assert rights.Right("get", "", "pods", "log") in plain & routed


@pytest.mark.k8s
def test_rights_that_are_missing_are_named(real_kubeconfig: str, site_account: Path, tmp_path: Path) -> None:
    assert examined(site_account)["The site has all the permissions that it needs."] == "ok"
    bare = make_bare(real_kubeconfig, tmp_path)
    told_bare = examined(bare)
    assert told_bare["The site has all the permissions that it needs."] == "ok"
    assert told_bare["Could not check: ingress class."] == "wait"
    now = datetime.datetime.now(datetime.UTC)
    found = examine(Client.from_kubeconfig(bare), Expected(gateway="gateways/labs"), now=now)
    missing = next(item for item in found if item.title == "The site lacks permissions that it needs.")
    assert missing.text.startswith("Missing: httproutes: create, patch, delete, deletecollection, list.")


def test_pods_with_public_addresses_that_labs_reach_are_told(embedded_kubeconfig: str) -> None:
    client = Client.from_kubeconfig(embedded_kubeconfig)
    header = {"Content-Type": "application/merge-patch+json"}
    limits = {"cpu": "1", "memory": "1Gi"}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "open", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": limits, "limits": limits}}]},
    }  # fmt: skip
    client.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "public-2"}, "spec": {"podCIDRs": ["9.9.9.0/24"]}}
    )
    client.apply(pod)
    body = {"status": {"phase": "Running", "podIPs": [{"ip": "9.9.8.7"}]}}
    client._json("patch", "PATCH", "/api/v1/namespaces/default/pods/open/status", body=body, headers=header)
    try:
        found = examined(embedded_kubeconfig)
        assert found["Its nodes or pods have public addresses."] == "ok"
        assert found["Labs can reach pods with public addresses."] == "wait"
        named = examined(embedded_kubeconfig, forbidden_networks=["9.9.8.0/24"])
        assert "Labs can reach pods with public addresses." not in named
    finally:
        client.delete("Pod", "open", "default", grace_seconds=0)
        client.delete("Node", "public-2")
