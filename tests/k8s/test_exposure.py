"""How a lab is reached: Ingress by each controller, or a route of a Gateway; rendered, valid and within the policy."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from k8s import manifests, policy
from k8s.exposure import ANNOTATIONS, controller_of, exposure, parent
from k8s.policy import PolicyError, check_schema
from tests.k8s import examples


def made(**changes: Any) -> dict[str, Any]:
    settings = {
        "host": examples.HOST, "object_name": examples.NAME, "labels": examples.LABELS, "is_secure": True, **changes,
    }  # fmt: skip
    return exposure(**settings)


def rendered(**changes: Any) -> list[dict[str, Any]]:
    return manifests.render(manifests.builtin("jupyterlab"), examples.context(**made(**changes)))


def checked(objects: list[dict[str, Any]], gateway: dict[str, str] | None = None) -> None:
    policy.check(
        objects, namespace=examples.NAMESPACE, name=examples.NAME, labels=examples.LABELS, service_account="lab",
        allowed_kinds={"Secret", "Pod", "Service", "HTTPRoute" if gateway else "Ingress"}, host=examples.HOST,
        images={examples.IMAGE, examples.GIT_IMAGE}, gateway=gateway,
    )  # fmt: skip


@pytest.mark.parametrize("controller", ANNOTATIONS)
@pytest.mark.parametrize("is_secure", [True, False])
def test_the_ingress_of_every_controller_is_valid_and_allowed(controller: str, is_secure: bool) -> None:
    objects = rendered(controller=controller, is_secure=is_secure, tls_secret="wildcard", ingress_class="x")
    assert not [problem for obj in objects for problem in check_schema(obj)]
    checked(objects)
    spec = objects[-1]["spec"]
    assert spec.get("tls") == ([{"hosts": [examples.HOST], "secretName": "wildcard"}] if is_secure else None)
    annotations = objects[-1]["metadata"].get("annotations", {})
    assert annotations.items() >= ANNOTATIONS[controller].items()
    assert all(isinstance(value, str) for value in annotations.values())


@pytest.mark.parametrize(
    ("controller", "key", "value"),
    [
        ("ingress-nginx", "nginx.ingress.kubernetes.io/proxy-body-size", "0"),
        ("ingress-nginx", "nginx.ingress.kubernetes.io/ssl-redirect", "true"),
        ("traefik", "traefik.ingress.kubernetes.io/router.entrypoints", "websecure"),
        ("haproxy", "haproxy.org/timeout-tunnel", "1h"),
        ("haproxy-community", "haproxy-ingress.github.io/proxy-body-size", "unlimited"),
        ("contour", "projectcontour.io/websocket-routes", "/"),
    ],
)
def test_a_controller_is_told_what_labs_need(controller: str, key: str, value: str) -> None:
    assert made(controller=controller)["ingress_annotations"][key] == value


def test_nobody_is_sent_to_https_where_labs_answer_by_http() -> None:
    for controller in ANNOTATIONS:
        found = made(controller=controller, is_secure=False)
        assert not [key for key in found["ingress_annotations"] if "redirect" in key or "router.tls" in key]
        assert found["tls"] == []


def test_without_a_secret_the_controllers_default_certificate_is_used() -> None:
    assert made()["tls"] == [{"hosts": [examples.HOST]}]


def test_an_issuer_makes_a_certificate_for_each_lab_that_is_known_for_ours() -> None:
    found = made(cluster_issuer="letsencrypt")
    assert found["tls"] == [{"hosts": [examples.HOST], "secretName": f"{examples.NAME}-tls"}]
    assert found["ingress_annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    template = json.loads(found["ingress_annotations"]["cert-manager.io/secret-template"])
    assert template == {"labels": examples.LABELS}
    checked(rendered(cluster_issuer="letsencrypt"))


def test_the_clusters_own_annotations_win_and_take_away() -> None:
    own = {
        "nginx.ingress.kubernetes.io/proxy-body-size": "10g",
        "nginx.ingress.kubernetes.io/ssl-redirect": None,
        "x/y": "z",
    }
    found = made(controller="ingress-nginx", annotations=own)["ingress_annotations"]
    assert found["nginx.ingress.kubernetes.io/proxy-body-size"] == "10g"
    assert found["x/y"] == "z"
    assert "nginx.ingress.kubernetes.io/ssl-redirect" not in found


GATEWAY = parent("gateways/labs/https")


def test_a_gateway_takes_the_place_of_the_ingress() -> None:
    objects = rendered(gateway="gateways/labs/https", tls_secret="wildcard", controller="traefik")
    assert [obj["kind"] for obj in objects] == ["Secret", "Pod", "Service", "HTTPRoute"]
    route = objects[-1]
    assert check_schema(route) == []
    assert route["spec"]["parentRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "namespace": "gateways",
            "name": "labs",
            "sectionName": "https",
        }
    ]
    assert route["spec"]["hostnames"] == [examples.HOST]
    checked(objects, GATEWAY)


def rule(route: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = route["spec"]["rules"][0]
    return found


WAYS_OUT: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another host": (lambda route: route["spec"].update(hostnames=["www.example.org"]), "its host must be"),
    "one host more": (lambda route: route["spec"]["hostnames"].append("www.example.org"), "its host must be"),
    "every host": (lambda route: route["spec"].pop("hostnames"), "its host must be"),
    "another Gateway": (lambda route: route["spec"]["parentRefs"][0].update(name="other"), "its one parent"),
    "one Gateway more": (lambda route: route["spec"]["parentRefs"].append({"name": "other"}), "its one parent"),
    "no Gateway": (lambda route: route["spec"].pop("parentRefs"), "its one parent"),
    "another Service": (lambda route: rule(route)["backendRefs"][0].update(name="other"), "not its own"),
    "another namespace": (lambda route: rule(route)["backendRefs"][0].update(namespace="other"), "namespace is not allowed"),
    "no Service": (lambda route: rule(route)["backendRefs"][0].update(kind="Other", group="x"), "kind is not allowed"),
    "a filter": (
        lambda route: rule(route).update(
            filters=[{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "x", "port": 80}}}]
        ),
        "filters is not allowed",
    ),
    "headers": (
        lambda route: rule(route)["matches"][0].update(headers=[{"name": "x", "value": "y"}]), "headers is not allowed",
    ),
    "a field that nobody knows": (lambda route: route["spec"].update(sessions=1), "sessions"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_route_leads_nowhere_but_to_its_own_service(way: str) -> None:
    objects = copy.deepcopy(rendered(gateway="gateways/labs/https"))
    change, sentence = WAYS_OUT[way]
    change(objects[-1])
    with pytest.raises(PolicyError, match=sentence):
        checked(objects, GATEWAY)


def test_a_route_without_a_gateway_of_the_cluster_is_refused() -> None:
    objects = rendered(gateway="gateways/labs")
    with pytest.raises(PolicyError, match="its one parent"):
        policy.check(
            objects, namespace=examples.NAMESPACE, name=examples.NAME, labels=examples.LABELS, service_account="lab",
            allowed_kinds={"Secret", "Pod", "Service", "HTTPRoute"}, host=examples.HOST, images={examples.IMAGE},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "controller"),
    [
        ("k8s.io/ingress-nginx", "ingress-nginx"), ("traefik.io/ingress-controller", "traefik"),
        ("haproxy.org/ingress-controller/haproxy", "haproxy"), ("haproxy-ingress.github.io/controller", "haproxy-community"),
        ("projectcontour.io/contour/contour", "contour"), ("example.org/x", "other"),
    ],
)  # fmt: skip
def test_a_class_tells_its_controller(owner: str, controller: str) -> None:
    assert controller_of({"spec": {"controller": owner}}) == controller
