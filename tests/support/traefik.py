"""Traefik: an ingress controller, and who serves Gateways, as a program of a control plane. In a network of the test's own."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import yaml

from k8s.client import Client
from tests.controlplane.programs import INGRESS
from tests.support.cluster import wait_for
from tests.support.controlplane import ControlPlane

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_GROUP = "gateway.networking.k8s.io"
_KINDS = "gatewayclasses gateways httproutes grpcroutes tlsroutes referencegrants backendtlspolicies"
_RBAC = "rbac.authorization.k8s.io"
_LOOK = ["get", "list", "watch"]
#: What its makers say that it needs, without their own kinds
#: (https://doc.traefik.io/traefik/reference/dynamic-configuration/kubernetes-gateway-rbac.yml and kubernetes-crd-rbac.yml).
_RULES: list[dict[str, Any]] = [
    {"apiGroups": [""], "resources": ["services", "secrets", "nodes", "namespaces", "configmaps"], "verbs": _LOOK},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _LOOK},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": _LOOK},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
    {"apiGroups": [_GROUP], "resources": _KINDS.split(), "verbs": _LOOK},
    {"apiGroups": [_GROUP], "resources": [f"{kind}/status" for kind in _KINDS.split()], "verbs": ["update"]},
]
#: Where it listens. `impatient` gives up on a request that takes longer than 3 s to arrive, by default it would be 60 s.
HTTP, HTTPS, IMPATIENT = 80, 443, 8443


def attach(plane: ControlPlane, certificate: str, key: str) -> None:
    """Start it, with this certificate as the one that answers where no other does. It ends with the control plane."""
    folder = plane.folder / "traefik"
    folder.mkdir()
    for name, text in (("tls.crt", certificate), ("tls.key", key)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    (folder / "static.yaml").write_text(json.dumps(_static(folder)))
    (folder / "dynamic.yaml").write_text(json.dumps(_dynamic(folder)))
    command = [INGRESS.folder() / "traefik", f"--configFile={folder / 'static.yaml'}"]
    plane.processes.start("traefik", command, env={"KUBECONFIG": str(_account(plane, "traefik", _RULES))})
    wait_for(f"Traefik listens ({plane.processes.log('traefik')})", lambda: _listens(plane))


def _static(folder: Path) -> dict[str, Any]:
    points = {"web": (HTTP, "60s"), "websecure": (HTTPS, "0s"), "impatient": (IMPATIENT, "3s")}
    return {
        "entryPoints": {
            name: {
                "address": f"127.0.0.1:{port}",
                "transport": {"respondingTimeouts": {"readTimeout": patience}},
            }
            for name, (port, patience) in points.items()
        },
        "providers": {
            "kubernetesIngress": {},
            "kubernetesGateway": {},
            "file": {"filename": str(folder / "dynamic.yaml")},
        },
        "accessLog": {},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
    }


def _dynamic(folder: Path) -> dict[str, Any]:
    pair = {"certFile": str(folder / "tls.crt"), "keyFile": str(folder / "tls.key")}
    return {"tls": {"stores": {"default": {"defaultCertificate": pair}}}}


def _listens(plane: ControlPlane) -> bool:
    assert plane.processes.find("traefik"), plane.processes.tail("traefik")
    with contextlib.suppress(OSError):
        for port in (HTTP, HTTPS, IMPATIENT):
            socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def install_gateway_api(plane: ControlPlane) -> None:
    """The kinds of the Gateway API as its makers publish them, whole. They stay."""
    names = [f"{plural}.{_GROUP}" for plural in _KINDS.split()]
    for plural in _KINDS.split():
        plane.request(
            "POST", _CRDS, yaml.safe_load((INGRESS.folder() / "gateway-api" / f"{_GROUP}_{plural}.yaml").read_text())
        )
    for name in names:
        wait_for(f"{name} is served", lambda name=name: _is_established(plane, name))


def _is_established(plane: ControlPlane, name: str) -> bool:
    conditions = plane.request("GET", f"{_CRDS}/{name}").get("status", {}).get("conditions", [])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def install_classes(plane: ControlPlane) -> None:
    """The class of its Ingresses, which is that of an Ingress that names none, and the class of its Gateways."""
    default = {"ingressclass.kubernetes.io/is-default-class": "true"}
    plane.request(
        "POST", "/apis/networking.k8s.io/v1/ingressclasses",
        {"metadata": {"name": "traefik", "annotations": default}, "spec": {"controller": "traefik.io/ingress-controller"}},
    )  # fmt: skip
    plane.request(
        "POST", f"/apis/{_GROUP}/v1/gatewayclasses",
        {"apiVersion": f"{_GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": "traefik"},
         "spec": {"controllerName": "traefik.io/gateway-controller"}},
    )  # fmt: skip


def install_gateway(plane: ControlPlane, namespace: str, name: str, domain: str, certificate: str, key: str) -> None:
    """A Gateway for the labs of a domain by https, with this certificate, in a namespace of its own."""
    core, gateways = f"/api/v1/namespaces/{namespace}", f"/apis/{_GROUP}/v1/namespaces/{namespace}/gateways"
    plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    plane.request("POST", f"{core}/secrets", _tls_secret(name, certificate, key))
    listener = {
        "name": "labs", "port": HTTPS, "protocol": "HTTPS", "hostname": f"*.{domain}",
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": name}]},
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }  # fmt: skip
    gateway = {"apiVersion": f"{_GROUP}/v1", "kind": "Gateway", "metadata": {"name": name}}
    plane.request("POST", gateways, {**gateway, "spec": {"gatewayClassName": "traefik", "listeners": [listener]}})


def copy_certificate(plane: ControlPlane, namespace: str, name: str, certificate: str, key: str) -> None:
    """Put it into a namespace as a program does that copies Secrets all over a cluster, by an account of its own."""
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"]}
    client = Client.from_kubeconfig(_account(plane, "reflector", [rule]))
    secret = _tls_secret(name, certificate, key)
    metadata = {**secret["metadata"], "namespace": namespace}
    client.apply({"apiVersion": "v1", "kind": "Secret", **secret, "metadata": metadata})


def _account(plane: ControlPlane, name: str, rules: list[dict[str, Any]]) -> Path:
    """Create an account with these rights in a namespace of its own; its kubeconfig."""
    roles, accounts = f"/apis/{_RBAC}/v1", f"/api/v1/namespaces/{name}/serviceaccounts"
    named = {"metadata": {"name": name}}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": name}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
    plane.request("POST", "/api/v1/namespaces", named)
    plane.request("POST", accounts, named)
    plane.request("POST", f"{roles}/clusterroles", {**named, "rules": rules})
    plane.request("POST", f"{roles}/clusterrolebindings", {**named, "roleRef": role, "subjects": [subject]})
    return plane.identity.add_user(name, plane.request("POST", f"{accounts}/{name}/token", {})["status"]["token"])


def _tls_secret(name: str, certificate: str, key: str) -> dict[str, Any]:
    content = {"tls.crt": certificate, "tls.key": key}
    return {"metadata": {"name": name}, "type": "kubernetes.io/tls", "stringData": content}
