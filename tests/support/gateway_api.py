"""The kinds of the Gateway API and of cert-manager that the site uses, on a real API server: as their makers install them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from k8s.client import Client
from k8s.errors import Error, NotFound
from k8s.kinds import KINDS, path
from k8s.schema import httproute_spec
from tests.support.cluster import wait_for

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@contextmanager
def installed(client: Client) -> Iterator[None]:
    """HTTPRoute by its own schema; Gateway and ClusterIssuer, which the site only reads, with any content. Gone at the end."""
    specs = {"HTTPRoute": httproute_spec(), "Gateway": _ANY, "ClusterIssuer": _ANY}
    made = [_definition(kind, spec) for kind, spec in specs.items()]
    try:
        for one in made:
            client._json("create", "POST", _CRDS, body=one, headers={"Content-Type": "application/json"})
        for kind in specs:
            wait_for(f"{kind} is served", lambda kind=kind: _is_served(client, kind))
        yield
    finally:
        for one in made:
            client._json("delete", "DELETE", f"{_CRDS}/{one['metadata']['name']}")
        for one in made:
            wait_for(
                f"{one['metadata']['name']} is gone", lambda one=one: not _is_there(client, one["metadata"]["name"])
            )


def _definition(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    where = KINDS[kind]
    group, _, version = where.api_version.partition("/")
    schema = {"type": "object", "properties": {"spec": spec, "status": _ANY}}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{where.plural}.{group}",
            # The API server wants a word of who has looked at kinds of this group; their makers say the same.
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/3328"},
        },
        "spec": {
            "group": group, "scope": "Namespaced" if where.namespaced else "Cluster", "versions": [served],
            "names": {"kind": kind, "plural": where.plural, "singular": kind.lower(), "listKind": f"{kind}List"},
        },
    }  # fmt: skip


def _is_served(client: Client, kind: str) -> bool:
    try:
        client.list(kind)
        where = path(kind, "default" if KINDS[kind].namespaced else None)
        probe = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": {"name": "probe"}}
        client._json(
            "create", "POST", where, body=probe, query={"dryRun": "All"}, headers={"Content-Type": "application/json"}
        )
    except Error:
        return False
    return True


def _is_there(client: Client, name: str) -> bool:
    try:
        client._json("get", "GET", f"{_CRDS}/{name}")
    except NotFound:
        return False
    return True
