"""Where a request goes, from the objects of a cluster."""

from typing import Any

import pytest

from k8s.devcluster.routes import NoRoute, NotReady, Table


def ingress(host: str | None, *paths: tuple[str, str, str], name: str = "i") -> dict[str, Any]:
    entries = [
        {"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"name": "http"}}}}
        for path, kind, service in paths
    ]
    rule = {"http": {"paths": entries}} | ({"host": host} if host else {})
    return {"metadata": {"namespace": "ns", "name": name}, "spec": {"rules": [rule]}}


def service(name: str, target: str | int = 8888, namespace: str = "ns") -> dict[str, Any]:
    port = {"name": "http", "port": 80, "targetPort": target}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"selector": {"app": name}, "ports": [port]}}


def pod(app: str, ip: str, *, ready: bool = True, namespace: str = "ns") -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": f"{app}-{ip}", "labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 9999}]}]},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def table(ingresses: list[Any], services: list[Any], pods: list[Any]) -> Table:
    made = Table()
    for kind, items in (("ingresses", ingresses), ("services", services), ("pods", pods)):
        made.replace(kind, items)
    return made


ALL = ("/", "Prefix", "lab")


def test_a_host_leads_to_the_ready_pod_of_its_service() -> None:
    made = table([ingress("a.localhost", ALL)], [service("lab")], [pod("lab", "127.1.1.1"), pod("other", "127.1.1.2")])
    assert made.find("A.localhost", "/x") == ("127.1.1.1", 8888)


def test_a_target_port_can_be_a_name() -> None:
    made = table([ingress("a.localhost", ALL)], [service("lab", "web")], [pod("lab", "127.1.1.1")])
    assert made.find("a.localhost", "/") == ("127.1.1.1", 9999)


def test_an_unknown_host_has_no_route() -> None:
    with pytest.raises(NoRoute):
        table([ingress("a.localhost", ALL)], [service("lab")], []).find("b.localhost", "/")


@pytest.mark.parametrize(
    "pods", [[], [pod("lab", "127.1.1.1", ready=False)], [pod("lab", "127.1.1.1", namespace="other")]]
)
def test_without_a_ready_pod_in_its_namespace_a_host_is_not_ready(pods: list[Any]) -> None:
    with pytest.raises(NotReady):
        table([ingress("a.localhost", ALL)], [service("lab")], pods).find("a.localhost", "/")


def test_an_exact_path_beats_a_prefix_and_a_longer_prefix_a_shorter_one() -> None:
    paths = (ALL, ("/api", "Prefix", "api"), ("/api/one", "Exact", "one"))
    services = [service("lab"), service("api"), service("one")]
    made = table(
        [ingress("a.localhost", *paths)],
        services,
        [pod("lab", "127.0.0.2"), pod("api", "127.0.0.3"), pod("one", "127.0.0.4")],
    )
    found = {
        path: made.find("a.localhost", path)[0] for path in ("/", "/apis", "/api", "/api/x", "/api/one", "/api/one/x")
    }
    assert found == {
        "/": "127.0.0.2",
        "/apis": "127.0.0.2",
        "/api": "127.0.0.3",
        "/api/x": "127.0.0.3",
        "/api/one": "127.0.0.4",
        "/api/one/x": "127.0.0.3",
    }


def test_a_wildcard_covers_one_label_and_loses_to_the_name_itself() -> None:
    made = table(
        [ingress("*.localhost", ALL, name="w"), ingress("a.localhost", ("/", "Prefix", "own"), name="o")],
        [service("lab"), service("own")],
        [pod("lab", "127.0.0.2"), pod("own", "127.0.0.3")],
    )
    assert made.find("a.localhost", "/")[0] == "127.0.0.3"
    assert made.find("b.localhost", "/")[0] == "127.0.0.2"
    with pytest.raises(NoRoute):
        made.find("c.b.localhost", "/")


def test_ready_pods_take_turns_and_a_change_counts_at_once() -> None:
    made = table([ingress("a.localhost", ALL)], [service("lab")], [pod("lab", "127.0.0.2"), pod("lab", "127.0.0.3")])
    assert {made.find("a.localhost", "/")[0] for _ in range(4)} == {"127.0.0.2", "127.0.0.3"}
    made.change("pods", "DELETED", pod("lab", "127.0.0.2"))
    assert {made.find("a.localhost", "/")[0] for _ in range(4)} == {"127.0.0.3"}
    made.change("ingresses", "DELETED", ingress("a.localhost", ALL))
    with pytest.raises(NoRoute):
        made.find("a.localhost", "/")


def test_a_route_of_a_gateway_leads_as_an_ingress_does() -> None:
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": "lab", "port": 80}]}
    route = {"metadata": {"namespace": "ns", "name": "r"}, "spec": {"hostnames": ["a.localhost"], "rules": [rule]}}
    made = table([], [service("lab")], [pod("lab", "127.1.1.1")])
    made.replace("httproutes", [route])
    assert made.find("a.localhost", "/x") == ("127.1.1.1", 8888)
    made.change("httproutes", "DELETED", route)
    with pytest.raises(NoRoute):
        made.find("a.localhost", "/x")
