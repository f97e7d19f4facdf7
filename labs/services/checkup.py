"""A cluster looked at because somebody asked: what answers and what is missing."""

from __future__ import annotations

import datetime

from accounts.models import User
from k8s import certificate
from k8s.checkup import Expected, Finding, examine
from k8s.errors import Error
from labs.errors import Refusal
from labs.models import Cluster

from . import clusters, hearing

#: A name under the domain of labs at which nothing needs to be.
PROBE = "connection-test"


def check(cluster: Cluster, *, actor: User, now: datetime.datetime) -> list[Finding]:
    """Ask it everything now, and note whether it answered. Raises Refusal."""
    if not actor.is_superuser:
        raise Refusal("You may not look at this cluster.", code="forbidden")
    try:
        client = clusters.client(cluster)
    except Error as problem:
        hearing.silent(cluster.pk, problem.message)
        return [Finding("bad", "It cannot be connected to.", problem.message)]
    found = examine(client, _expected(cluster), now=now)
    if found[0].tone == "bad":
        hearing.silent(cluster.pk, found[0].text)
        return found
    hearing.heard(cluster.pk, now=now)
    if cluster.lab_scheme == "https":
        found.append(certificate.look(cluster.host(PROBE), cluster.lab_port or 443, now=now))
    return found


def _expected(cluster: Cluster) -> Expected:
    return Expected(
        ingress_class=cluster.ingress_class,
        controller=cluster.ingress_controller,
        gateway=cluster.gateway,
        cluster_issuer=cluster.cluster_issuer,
        storage_classes=cluster.storage_classes,
        gpu_models=cluster.gpu_models,
    )
