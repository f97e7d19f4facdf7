"""A cluster looked at because somebody asked: what answers and what is missing."""

from __future__ import annotations

import datetime
from contextlib import suppress

from accounts.models import User
from k8s import certificate
from k8s.checkup import Expected, Finding, examine
from k8s.errors import Error
from labs.errors import Refusal
from labs.models import Cluster, Lab, State

from . import clusters, hearing

#: A name under the domain of labs at which nothing needs to be.
PROBE = "connection-test"


def check(cluster: Cluster, *, actor: User, now: datetime.datetime) -> list[Finding]:
    """Ask it everything now, and note whether it answered. Raises Refusal."""
    if not actor.is_superuser:
        raise Refusal("You do not have permission to view this cluster.", code="forbidden")
    try:
        client = clusters.client(cluster)
    except Error as problem:
        hearing.silent(cluster.pk, problem.message)
        return [Finding("bad", "The site cannot connect to it.", problem.message)]
    found = examine(client, _expected(cluster), now=now)
    if found[0].tone == "bad":
        hearing.silent(cluster.pk, found[0].text)
        return found
    with suppress(Error):
        hearing.heard(cluster.pk, now=now, version=client.version())
    if cluster.lab_scheme == "https":
        found.append(_certificate(cluster, now=now))
    return found


def _certificate(cluster: Cluster, *, now: datetime.datetime) -> Finding:
    """One that a controller or Gateway holds stands behind any name; one that comes with the Ingress of a lab, behind none else."""
    host = cluster.host(PROBE)
    if not cluster.gateway and (cluster.tls_secret or cluster.cluster_issuer):
        lab = Lab.objects.filter(cluster=cluster, state=State.RUNNING).order_by("started_at").first()
        if lab is None:
            return Finding(
                "wait", "No certificate to check.", "It is issued with a lab, and no lab is running there now."
            )
        host = lab.host
    return certificate.look(host, cluster.lab_port or 443, now=now)


def _expected(cluster: Cluster) -> Expected:
    return Expected(
        ingress_class=cluster.ingress_class,
        ingress_namespace=cluster.ingress_namespace,
        ingress_networks=cluster.ingress_networks,
        controller=cluster.ingress_controller,
        gateway=cluster.gateway,
        cluster_issuer=cluster.cluster_issuer,
        storage_classes=cluster.storage_classes,
        gpu_models=cluster.gpu_models,
        forbidden_networks=cluster.forbidden_networks,
    )
