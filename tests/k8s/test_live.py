"""The client, the watcher and the lab's objects against living API servers: the embedded one and a real one."""

import copy
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from k8s import manifests
from k8s.client import Client, Conflict, Gone, NotFound, Rejected
from k8s.instance_objects import instance_objects
from k8s.labels import WORKLOAD
from k8s.watch import Watcher
from tests.k8s import examples
from tests.support.devcluster import DevCluster, wait_for

KINDS = ("Secret", "Pod", "Service", "Ingress")


@pytest.fixture
def client(kubeconfig: str) -> Client:
    return Client.from_kubeconfig(kubeconfig)


@pytest.fixture
def namespace(client: Client) -> Iterator[str]:
    """An instance's namespace, provisioned as the site does, with room for 2 CPUs."""
    name = f"live-{uuid.uuid4().hex[:8]}"
    for obj in instance_objects(
        name="ml101",
        namespace=name,
        site="site-1",
        quota={"cpu_millis": 2000, "running": 5},
        ingress_namespace_labels={"kubernetes.io/metadata.name": "ingress-nginx"},
    ):
        client.apply(obj)
    yield name
    client.delete("Namespace", name)


def config_map(namespace: str, name: str = "c", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def render(namespace: str, **changes: Any) -> list[dict[str, Any]]:
    return manifests.render(manifests.builtin("jupyterlab"), examples.context(namespace=namespace, **changes))


def launch(client: Client, namespace: str, **changes: Any) -> str:
    secret, *others = render(namespace, **changes)
    uid = str(client.apply(secret)["metadata"]["uid"])
    for obj in manifests.owned(others, secret, uid):
        client.apply(obj)
    return uid


def test_the_login_of_a_registry_goes_with_each_pod_of_a_lab(client: Client, namespace: str) -> None:
    """As the API server gives it to whatever runs under the account; taken back, the next pod has none."""
    login = '{"auths": {"registry.example.org": {"auth": "cm9ib3Q6c2VjcmV0"}}}'
    for given, expected in ((login, [{"name": "registry"}]), ("", None)):
        for obj in instance_objects(
            name="ml101", namespace=namespace, site="site-1", quota={}, ingress_namespace_labels={"name": "x"},
            registry_login=given,
        ):  # fmt: skip
            client.apply(obj)
        made = client.apply(render(namespace)[1])
        assert made["spec"].get("imagePullSecrets") == expected
        client.delete("Pod", made["metadata"]["name"], namespace, grace_seconds=0)


def test_server_tells_its_version(client: Client) -> None:
    assert client.version().startswith("v1.")


def test_lab_is_made_changed_and_removed_by_its_secret(client: Client, namespace: str) -> None:
    uid = launch(client, namespace)
    assert client.calls["apply"] == 4 + len(
        instance_objects(name="", namespace="", site="", quota={}, ingress_namespace_labels={})
    )
    launch(client, namespace, expires="1999999999")
    pod = client.get("Pod", examples.NAME, namespace)
    assert pod["metadata"]["labels"]["mlsite/expires"] == "1999999999"
    assert client.delete("Secret", examples.NAME, namespace, uid="another") is False
    assert client.get("Secret", examples.NAME, namespace)["metadata"]["uid"] == uid
    assert client.delete("Secret", examples.NAME, namespace, uid=uid) is True

    def left() -> list[str]:
        for item in client.list("Pod", namespace).items:  # There is no kubelet here that would end it.
            if item["metadata"].get("deletionTimestamp"):
                client.delete("Pod", item["metadata"]["name"], namespace, grace_seconds=0)
        return [kind for kind in KINDS if client.list(kind, namespace, labels=WORKLOAD).items]

    wait_for("all is gone", lambda: not left())
    assert client.delete("Secret", examples.NAME, namespace, uid=uid) is False


def test_objects_read_back_as_applied_twice_change_nothing(client: Client, namespace: str) -> None:
    first = client.apply(config_map(namespace, a="1"))
    second = client.apply(config_map(namespace, a="1"))
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert client.apply(config_map(namespace, b="2"))["data"] == {"b": "2"}


def test_field_of_another_manager_is_a_conflict_without_force(client: Client, namespace: str) -> None:
    client.apply(config_map(namespace, a="1"))
    with pytest.raises(Conflict):
        client.apply(config_map(namespace, a="2"), manager="other", force=False)
    assert client.apply(config_map(namespace, a="2"), manager="other")["data"] == {"a": "2"}


def test_what_is_not_there_is_not_found(client: Client, namespace: str) -> None:
    for call in (
        lambda: client.get("Pod", "no", namespace),
        lambda: client.apply(config_map("no-such-namespace")),
        lambda: client.logs("no", namespace),
    ):
        with pytest.raises(NotFound):
            call()


def test_quota_refuses_with_used_limited_and_requested(client: Client, namespace: str) -> None:
    wait_for(
        "the quota is counted", lambda: client.get("ResourceQuota", "instance", namespace).get("status", {}).get("hard")
    )
    with pytest.raises(Rejected) as caught:
        client.apply(render(namespace, cpu_request_millis=4000, cpu_limit_millis=8000)[1])
    assert caught.value.kind == "quota"
    assert "requested: requests.cpu=4, used: requests.cpu=0, limited: requests.cpu=2" in caught.value.message


def test_pod_that_is_not_restricted_is_refused_by_policy(client: Client, namespace: str) -> None:
    pod = copy.deepcopy(render(namespace)[1])
    pod["spec"]["hostNetwork"] = True
    with pytest.raises(Rejected) as caught:
        client.apply(pod)
    assert caught.value.kind == "policy"


def test_malformed_object_is_refused_as_such(client: Client, namespace: str) -> None:
    pod = copy.deepcopy(render(namespace)[1])
    for image in ("", 5):
        pod["spec"]["containers"][0]["image"] = image
        with pytest.raises(Rejected) as caught:
            client.apply(pod)
        assert caught.value.kind == "validation"


def test_malformed_secret_is_refused_without_its_content(client: Client, namespace: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace}}
    for content in (
        {"stringData": {"a": {"b": "hunter2"}}},
        {"data": {"a": "hunter2!"}},
        {"stringData": {"a b": "hunter2"}},
    ):
        with pytest.raises(Rejected) as caught:
            client.apply({**secret, **content})
        assert caught.value.kind == "validation"
        assert "hunter2" not in caught.value.message


def test_list_selects_by_label_and_field_and_can_leave_out_the_content(client: Client, namespace: str) -> None:
    for name in ("a", "b"):
        obj = config_map(namespace, name, text="long")
        obj["metadata"]["labels"] = {"name": name}
        client.apply(obj)
    assert [item["data"] for item in client.list("ConfigMap", namespace, labels="name=a").items] == [{"text": "long"}]
    found = client.list("ConfigMap", namespace, fields="metadata.name=b", metadata_only=True).items
    assert [item["metadata"]["name"] for item in found] == ["b"]
    assert "data" not in found[0]


def test_watch_from_a_list_misses_nothing(client: Client, namespace: str) -> None:
    listing = client.list("ConfigMap", namespace)
    client.apply(config_map(namespace, a="1"))
    client.apply(config_map(namespace, a="2"))
    client.delete("ConfigMap", "c", namespace)
    stream = client.watch(
        "ConfigMap", namespace=namespace, resource_version=listing.resource_version, timeout_seconds=10
    )
    kinds = [kind for kind, _ in (next(stream), next(stream), next(stream))]
    stream.close()
    assert kinds == ["ADDED", "MODIFIED", "DELETED"]
    assert list(stream) == []


def test_watch_ends_after_its_time(client: Client, namespace: str) -> None:
    version = client.list("ConfigMap", namespace).resource_version
    began = time.monotonic()
    try:
        changes = list(client.watch("ConfigMap", namespace=namespace, resource_version=version, timeout_seconds=1))
    except Gone:
        pytest.fail("the version is not old")
    assert time.monotonic() - began < 5
    assert {kind for kind, _ in changes} <= {"BOOKMARK"}


class State:
    """What a reader of a watcher believes to be there."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, str]] = {}
        self.syncs = 0

    def on_sync(self, items: list[dict[str, Any]]) -> None:
        self.there = {item["metadata"]["name"]: item.get("data", {}) for item in items}
        self.syncs += 1

    def on_event(self, kind: str, obj: dict[str, Any]) -> None:
        if kind == "DELETED":
            self.there.pop(obj["metadata"]["name"], None)
        else:
            self.there[obj["metadata"]["name"]] = obj.get("data", {})


@contextmanager
def watching(kubeconfig: str, namespace: str, **options: Any) -> Iterator[State]:
    state = State()
    settings = {"watch_seconds": 2, "relist_seconds": 3600, "first_delay": 0.1, "longest_delay": 0.5, **options}
    watcher = Watcher(
        Client.from_kubeconfig(kubeconfig, retries=0, timeout=2),
        "ConfigMap",
        namespace=namespace,
        labels="watched",
        on_sync=state.on_sync,
        on_event=state.on_event,
        **settings,
    )
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        yield state
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def watched(namespace: str, name: str, **data: str) -> dict[str, Any]:
    obj = config_map(namespace, name, **data)
    obj["metadata"]["labels"] = {"watched": "yes"}
    return obj


def test_watcher_comes_to_believe_what_is_there(kubeconfig: str, client: Client, namespace: str) -> None:
    with watching(kubeconfig, namespace, relist_seconds=3) as state:
        wait_for("the first list", lambda: state.syncs)
        for number in range(20):
            client.apply(watched(namespace, f"c{number % 5}", number=str(number)))
        client.delete("ConfigMap", "c0", namespace)
        wait_for("all changes", lambda: state.there == {f"c{n}": {"number": str(15 + n)} for n in range(1, 5)})
        wait_for("another list", lambda: state.syncs >= 2)
        client.apply(config_map(namespace, "c1", number="0"))  # No longer selected.
        wait_for("the change of the label", lambda: sorted(state.there) == ["c2", "c3", "c4"])


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[DevCluster]:
    """An API server that may be broken."""
    with DevCluster.start(tmp_path) as cluster:
        cluster.client().apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
        yield cluster


def test_watcher_survives_dropped_watches(own_cluster: DevCluster) -> None:
    client = own_cluster.client()
    own_cluster.faults(drop_watches_after_seconds=0.2)
    with watching(str(own_cluster.kubeconfig), "n") as state:
        for number in range(30):
            client.apply(watched("n", f"c{number % 3}", number=str(number)))
        wait_for("all changes", lambda: state.there == {f"c{n}": {"number": str(27 + n)} for n in range(3)})


def test_watcher_survives_the_end_of_history(own_cluster: DevCluster) -> None:
    client = own_cluster.client()
    with watching(str(own_cluster.kubeconfig), "n") as state:
        wait_for("the first list", lambda: state.syncs)
        for number in range(10):
            client.apply(watched("n", "c", number=str(number)))
            own_cluster.compact()
        wait_for("all changes", lambda: state.there == {"c": {"number": "9"}})


def test_watcher_and_client_survive_one_error_in_three(own_cluster: DevCluster) -> None:
    client = Client.from_kubeconfig(own_cluster.kubeconfig, retries=8)
    own_cluster.faults(error_rate=0.33, codes=[500, 503, 429])
    with watching(str(own_cluster.kubeconfig), "n") as state:
        for number in range(10):
            client.apply(watched("n", "c", number=str(number)))
        assert client.delete("ConfigMap", "nothing", "n") is False
        wait_for("all changes", lambda: state.there == {"c": {"number": "9"}})


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_watcher_survives_the_restart_of_the_server(own_cluster: DevCluster, end: str) -> None:
    client = own_cluster.client()
    client.apply(watched("n", "before", a="1"))
    client.apply(watched("n", "removed", a="1"))
    with watching(str(own_cluster.kubeconfig), "n") as state:
        wait_for("the first list", lambda: sorted(state.there) == ["before", "removed"])
        getattr(own_cluster, end)()
        own_cluster.restart()
        client.delete("ConfigMap", "removed", "n")
        client.apply(watched("n", "after", a="1"))
        wait_for("what is there now", lambda: sorted(state.there) == ["after", "before"])
