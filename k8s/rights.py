"""What the site may do on a cluster, from the files that an operator applies: one place for the rights themselves."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

FOLDER = Path(__file__).parent / "site"


class Right(NamedTuple):
    """One verb on one kind of object, in all namespaces."""

    verb: str
    group: str
    resource: str
    subresource: str


@cache
def needed(with_gateway: bool = False) -> tuple[Right, ...]:
    """The cluster-wide rights that running labs takes; `with_gateway`: HTTPRoutes in the place of Ingresses."""
    found = _of("rbac.yaml", "mlsite")
    if with_gateway:
        found = [right for right in found if right.resource != "ingresses"] + _of("rbac-more.yaml", "mlsite-gateway")
    return tuple(found)


def _of(file: str, role: str) -> list[Right]:
    documents = yaml.safe_load_all((FOLDER / file).read_text())
    rules = next(one["rules"] for one in documents if one["kind"] == "ClusterRole" and one["metadata"]["name"] == role)
    return [
        Right(verb, group, *_split(resource))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def _split(resource: str) -> tuple[str, str]:
    name, _, subresource = resource.partition("/")
    return name, subresource
