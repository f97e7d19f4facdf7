"""Pure: how a lab is reached. What of its Ingress depends on who serves Ingresses there, and the parent of its HTTPRoute.

Sources, per controller: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/,
https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/ingress/,
https://github.com/haproxytech/kubernetes-ingress/blob/master/documentation/annotations.md,
https://haproxy-ingress.github.io/docs/configuration/keys/, https://projectcontour.io/docs/main/config/annotations/.
"""

import json
from collections.abc import Mapping
from typing import Any

#: A notebook may compute for long without a word; Jupyter itself pings its web sockets each half minute.
_LONG_SECONDS, _LONG = "3600", "1h"

#: For web sockets, long requests and uploads of any size.
ANNOTATIONS: dict[str, dict[str, str]] = {
    "other": {},
    "ingress-nginx": {
        "nginx.ingress.kubernetes.io/proxy-body-size": "0",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": _LONG_SECONDS,
        "nginx.ingress.kubernetes.io/proxy-send-timeout": _LONG_SECONDS,
    },
    # Traefik limits nothing per Ingress; its entry point's respondingTimeouts.readTimeout (60 s) ends long uploads.
    "traefik": {},
    "haproxy": {"haproxy.org/timeout-server": _LONG, "haproxy.org/timeout-tunnel": _LONG},
    "haproxy-community": {
        "haproxy-ingress.github.io/proxy-body-size": "unlimited",
        "haproxy-ingress.github.io/timeout-server": _LONG,
        "haproxy-ingress.github.io/timeout-tunnel": _LONG,
    },
    "contour": {"projectcontour.io/websocket-routes": "/", "projectcontour.io/response-timeout": "infinity"},
}
#: Beside these, where labs answer by https: send http there.
_SECURE: dict[str, dict[str, str]] = {
    "ingress-nginx": {"nginx.ingress.kubernetes.io/ssl-redirect": "true"},
    "traefik": {
        "traefik.ingress.kubernetes.io/router.entrypoints": "websecure",
        "traefik.ingress.kubernetes.io/router.tls": "true",
    },
    "haproxy": {"haproxy.org/ssl-redirect": "true"},
    "haproxy-community": {"haproxy-ingress.github.io/ssl-redirect": "true"},
    "contour": {"ingress.kubernetes.io/force-ssl-redirect": "true"},
}
#: How cert-manager is told what the Secret of a certificate shall carry.
SECRET_TEMPLATE = "cert-manager.io/secret-template"  # noqa: S105  # a name, and no secret
#: What an IngressClass says of its controller, by its beginning.
_OWNERS = {
    "k8s.io/ingress-nginx": "ingress-nginx",
    "traefik.io/": "traefik",
    "haproxy.org/": "haproxy",
    "haproxy-ingress.github.io/": "haproxy-community",
    "projectcontour.io/": "contour",
}


def controller_of(ingress_class: Mapping[str, Any]) -> str:
    """Which of the known controllers an IngressClass object belongs to; "other" for any other."""
    owner = str((ingress_class.get("spec") or {}).get("controller", ""))
    return next((name for start, name in _OWNERS.items() if owner.startswith(start)), "other")


def exposure(
    *,
    host: str,
    object_name: str,
    labels: Mapping[str, str],
    is_secure: bool,
    controller: str = "other",
    ingress_class: str = "",
    tls_secret: str = "",
    cluster_issuer: str = "",
    annotations: Mapping[str, str | None] | None = None,
    gateway: str = "",
) -> dict[str, Any]:
    """What a template's Ingress or HTTPRoute is made with: ingress_class, ingress_annotations, tls and gateway.

    `is_secure`: by https. `tls_secret`: of a wildcard certificate in the lab's namespace; without it and without an issuer
    the controller's default certificate is used. `annotations`: the cluster's own, which win; None takes one away.
    `gateway`: namespace/name, or namespace/name/listener.
    """
    if gateway:
        return {"ingress_class": "", "ingress_annotations": {}, "tls": [], "gateway": parent(gateway)}
    made: dict[str, str | None] = {**ANNOTATIONS[controller], **(_SECURE.get(controller, {}) if is_secure else {})}
    tls: list[dict[str, Any]] = []
    if is_secure:
        tls = [{"hosts": [host]}]
        if cluster_issuer:
            tls[0]["secretName"] = f"{object_name}-tls"
            made["cert-manager.io/cluster-issuer"] = cluster_issuer
            made[SECRET_TEMPLATE] = secret_template(labels)
        elif tls_secret:
            tls[0]["secretName"] = tls_secret
    made |= annotations or {}
    kept = {key: value for key, value in made.items() if value is not None}
    return {"ingress_class": ingress_class, "ingress_annotations": kept, "tls": tls, "gateway": {}}


def secret_template(labels: Mapping[str, str]) -> str:
    """cert-manager leaves its Secret behind; by our labels, which this gives it, it is known for ours, and goes."""
    return json.dumps({"labels": dict(labels)}, sort_keys=True)


def parent(gateway: str) -> dict[str, str]:
    """namespace/name or namespace/name/listener as a reference to a parent of an HTTPRoute."""
    namespace, name, *listener = gateway.split("/")
    reference = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": namespace, "name": name}
    return {**reference, "sectionName": listener[0]} if listener else reference
