"""What a kubelet computes without a cluster: paths, environments, status."""

from types import SimpleNamespace
from typing import Any

import pytest

from k8s.devcluster.kubelet import images, spec, status
from k8s.devcluster.kubelet.context import Addresses, pod_network
from k8s.devcluster.kubelet.spec import ConfigError, environment, expand, quantity, translator

POD: dict[str, Any] = {"metadata": {"name": "lab", "namespace": "ns", "uid": "u", "labels": {"a": "b"}}, "spec": {}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", "/p/d"),
        ("/data/x", "/p/d/x"),
        ("--out=/data/x", "--out=/p/d/x"),
        ("/home/jovyan/work/a:/data", "/p/w/a:/p/d"),
        ("/home/jovyan/a", "/p/h/a"),
        ("file:///data/x", "file:///p/d/x"),
        ("/database", "/database"),
        ("/data.txt", "/data.txt"),
        ("/mnt/data", "/mnt/data"),
        ("./data", "./data"),
        ("https://example.org/data", "https://example.org/data"),
        ("$HOME/data", "$HOME/data"),
    ],
)
def test_whole_leading_path_components_are_translated_longest_first(text: str, expected: str) -> None:
    translate = translator({"/data": "/p/d", "/home/jovyan": "/p/h", "/home/jovyan/work": "/p/w"})
    assert translate(text) == expected


def test_references_are_expanded_and_unknown_ones_kept() -> None:
    assert expand("$(A)-$(B)-$$(A)-$A", {"A": "1"}) == "1-$(B)-$(A)-$A"


def test_environment_takes_values_from_secrets_fields_and_earlier_variables() -> None:
    container = {
        "resources": {"limits": {"memory": "64Mi"}},
        "envFrom": [{"configMapRef": {"name": "m"}, "prefix": "M_"}],
        "env": [
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
            {"name": "URL", "value": "http://$(IP)/$(M_x)"},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "no", "optional": True}}},
        ],
    }
    sources = {("secret", "s"): {"token": "t"}, ("configmap", "m"): {"x": "y"}}
    assert environment(POD, container, sources, ip="127.1.2.3", node={}) == {
        "M_x": "y",
        "IP": "127.1.2.3",
        "TOKEN": "t",
        "URL": "http://127.1.2.3/y",
        "LABEL": "b",
        "MEMORY": "64",
    }


def test_a_missing_secret_is_named_as_a_kubelet_names_it() -> None:
    container = {"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    with pytest.raises(ConfigError, match='secret "s" not found'):
        environment(POD, container, {}, ip="", node={})
    with pytest.raises(ConfigError, match="couldn't find key k in Secret ns/s"):
        environment(POD, container, {("secret", "s"): {}}, ip="", node={})


@pytest.mark.parametrize(("text", "value"), [("500m", 0.5), ("1Gi", 2**30), ("2", 2), ("1e3", 1000), ("5k", 5000)])
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == value


def test_what_is_not_a_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity("1 Gi")


def test_an_image_without_a_local_equivalent_is_missing(tmp_path: Any) -> None:
    table = images.Images(tmp_path)
    assert table.find("nosuch:1") is None
    assert table.find("jupyter/scipy-notebook:2023-10-20") is None
    assert table.find("busybox:1.36") is not None
    assert "nosuch:latest: not found" in images.missing("nosuch")


def container(state: dict[str, Any], last: dict[str, Any] | None = None) -> Any:
    return SimpleNamespace(name="c", spec={"image": "i"}, state=state, last=last or {}, ready=False)


ENDED: dict[str, Any] = {"terminated": {"exitCode": 0}}
FAILED: dict[str, Any] = {"terminated": {"exitCode": 1}}
RUNS: dict[str, Any] = {"running": {}}
WAITS: dict[str, Any] = {"waiting": {}}


@pytest.mark.parametrize(
    ("policy", "init", "main", "expected"),
    [
        ("Always", [], [container(RUNS)], "Running"),
        ("Always", [container(RUNS)], [container(WAITS)], "Pending"),
        ("Never", [container(FAILED)], [container(WAITS)], "Failed"),
        ("OnFailure", [container(FAILED)], [container(WAITS)], "Pending"),
        ("OnFailure", [container(ENDED)], [container(ENDED)], "Succeeded"),
        ("OnFailure", [], [container(WAITS, FAILED)], "Running"),
        ("Never", [], [container(FAILED), container(ENDED)], "Failed"),
        ("Never", [], [container(FAILED), container(RUNS)], "Running"),
        ("Always", [], [container(ENDED)], "Running"),
        ("Always", [], [container(WAITS)], "Pending"),
    ],
)
def test_phase_follows_the_containers(policy: str, init: list[Any], main: list[Any], expected: str) -> None:
    assert status.phase({"spec": {"restartPolicy": policy}}, init, main) == expected


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    old = {"type": "Ready", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    found = status.conditions({"status": {"conditions": [old]}}, [], [container(RUNS)], "Running")
    times = {one["type"]: one["lastTransitionTime"] for one in found}
    assert times["Ready"] == old["lastTransitionTime"] != times["Initialized"]


def test_time_stamps_are_understood_with_and_without_a_fraction() -> None:
    assert spec.seconds("1970-01-01T00:00:10Z") == 10
    assert spec.seconds("1970-01-01T00:00:10.500000000Z") == 10.5


def test_pods_have_addresses_of_the_network_that_is_asked_for_each_its_own() -> None:
    network = pod_network("127.99.1.0/24")
    addresses = Addresses(network)
    claimed = {addresses.claim(f"pod-{number}") for number in range(253)}
    assert claimed == {f"127.99.1.{last}" for last in range(2, 255)}
    addresses.release("127.99.1.7")
    assert addresses.claim("another", known="127.99.1.7") == "127.99.1.7"


@pytest.mark.parametrize("network", ["10.0.0.0/8", "0.0.0.0/0", "198.18.0.0/14", "127.0.0.1/32", "198.18.0.1/15", "x"])
def test_pods_have_addresses_of_this_machine_alone(network: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        pod_network(network)


def test_a_network_that_the_machine_does_not_have_is_said_at_once() -> None:
    with pytest.raises(OSError, match=r"ip address add 198\.19\.7\.1/24 dev lo"):
        Addresses(pod_network("198.19.7.0/24"))
