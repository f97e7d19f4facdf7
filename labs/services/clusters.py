"""The connections to the clusters: one client a process and cluster, reused; and their rows, changed by administrators."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import User
from k8s import kubeconfig, networks, registry
from k8s.client import EMBEDDED, Client
from k8s.errors import Error, NotFound, Rejected, Unavailable
from labs.errors import Refusal
from labs.models import Cluster, Instance, Verb, Workload
from labs.models.cluster import Connection
from labs.rules.history import record
from labs.rules.queue import enqueue

from . import vault
from .names import in_the_way

USER_TIMEOUT = 5.0
#: What a change is told with in the history: all that people write, and of a kubeconfig only that there is another.
FIELDS = (
    "slug", "title", "rank", "connection", "kubeconfig_file", "is_open", "grows", "lab_domain", "lab_scheme", "lab_port",
    "ingress_controller", "ingress_class", "ingress_namespace", "ingress_networks", "ingress_annotations", "gateway",
    "tls_secret", "cluster_issuer", "image_registry", "forbidden_networks", "name_servers", "storage_classes", "gpu_models",
)  # fmt: skip


def client(cluster: Cluster) -> Client:
    """The client of this cluster, made anew when its connection or its kubeconfig has changed. Raises k8s.errors.Unavailable."""
    if cluster.connection == Connection.IN_CLUSTER:
        return _in_cluster()
    if cluster.connection == Connection.STORED:
        return _from_sealed(cluster.kubeconfig_sealed)
    text = file_text(cluster)
    file = settings.KUBECONFIG_FILES[cluster.kubeconfig_file]
    return _from_file(text, file.path.parent if file.trusted else None)


def file_text(cluster: Cluster) -> str:
    """What stands in the kubeconfig file of this cluster; empty for one that has another connection.

    Raises k8s.errors.Unavailable when it cannot be read, or is none that the operator has named.
    """
    if cluster.connection != Connection.FILE:
        return ""
    if cluster.kubeconfig_file not in settings.KUBECONFIG_FILES:
        raise Unavailable(
            f"KUBECONFIG_FILES has no file named “{cluster.kubeconfig_file}”. Add it there and restart the site, or choose "
            "another connection for this cluster.",
            passing=False,
        )
    return kubeconfig.read_file(settings.KUBECONFIG_FILES[cluster.kubeconfig_file].path)


def working_client(cluster: Cluster) -> Client:
    """The same, unless the cluster is known not to answer: then Unavailable at once, so that no worker waits for it."""
    if cluster.problem:
        raise Unavailable(cluster.problem)
    return client(cluster)


def on_each(rows: Iterable[Cluster], act: Callable[[Cluster], object]) -> None:
    """Do something on each. One that is silent does not keep the others from theirs; its error comes after, to be tried again."""
    failed: Error | None = None
    for cluster in rows:
        try:
            act(cluster)
        except Error as error:
            failed = failed or error
    if failed:
        raise failed


@functools.lru_cache(maxsize=1)
def _in_cluster() -> Client:
    return Client.from_in_cluster(timeout=USER_TIMEOUT)


@functools.lru_cache(maxsize=32)
def _from_file(text: str, folder: Path | None) -> Client:
    """`folder`: of a file that may run programs and read further files."""
    try:
        content = kubeconfig.parse(text)
    except ValueError as problem:
        raise Unavailable(f"The kubeconfig cannot be used. {problem}", passing=False) from None
    return _allowed(Client.from_kubeconfig(content, folder=folder, timeout=USER_TIMEOUT))


@functools.lru_cache(maxsize=32)
def _from_sealed(sealed: str) -> Client:
    try:
        content = kubeconfig.read(vault.open(sealed))
    except vault.CannotOpen as problem:
        raise Unavailable(f"The kubeconfig cannot be read. {problem}", passing=False) from None
    except ValueError as problem:
        raise Unavailable(f"The kubeconfig cannot be used. {problem}", passing=False) from None
    return _allowed(Client.from_kubeconfig(content, timeout=USER_TIMEOUT))


def _allowed(found: Client) -> Client:
    if not settings.EMBEDDED_CLUSTER and EMBEDDED in found.version():
        raise Unavailable(
            "The embedded cluster is only for laptops: it runs labs as processes of this machine. It needs DEBUG=on."
        )
    return found


def forbidden_networks(cluster: Cluster, server: str) -> list[str]:
    """What its labs do not reach though it is public: what its row says, and its API server. `server`: name or address of that."""
    found = [str(network) for network in cluster.forbidden_networks]
    try:
        answers = {str(answer[4][0]) for answer in socket.getaddrinfo(server, None, type=socket.SOCK_STREAM)}
    except OSError:
        return found  # It answers by some proxy's name for it.
    addresses = [ipaddress.ip_address(address.partition("%")[0]) for address in answers]
    return found + [str(ipaddress.ip_network(address)) for address in addresses if address.is_global]


def own_networks(found: Client) -> list[str]:
    """The public addresses of its machines, of their pods and of its API servers, which no lab may reach. Raises k8s.errors.Error.

    Pods of network plugins that take no ranges from the machines are not known: "Test the connection" tells of these.
    """
    known = networks.of_machines(found.list("Node").items)
    with suppress(NotFound, Rejected):  # an older k8s/site/rbac.yaml: "Test the connection" tells of that too
        slices = found.list("EndpointSlice", "default", labels="kubernetes.io/service-name=kubernetes").items
        known += networks.of_endpoints(slices)
    return known


def name_servers(cluster: Cluster, found: Client) -> list[str]:
    """What its labs ask for names beside pods: what its row says, and the addresses of its DNS Service.

    Most network plugins see a question to that Service at the pod behind it; but with NodeLocal DNSCache the machine itself answers
    at the Service's address (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/). Raises k8s.errors.Error.
    """
    services = found.list("Service", "kube-system", labels="k8s-app=kube-dns").items
    own = [address for service in services for address in service["spec"].get("clusterIPs") or []]
    return [*map(str, cluster.name_servers), *(address for address in own if address != "None")]


def registry_login(cluster: Cluster) -> str:
    """By which it fetches the images of labs; empty where it needs none. Raises k8s.errors.Unavailable."""
    try:
        return vault.open(cluster.registry_sealed) if cluster.registry_sealed else ""
    except vault.CannotOpen as problem:
        raise Unavailable(f"The registry login cannot be read. {problem}", passing=False) from None


@transaction.atomic
def save_cluster(
    cluster: Cluster, *, actor: User, now: datetime.datetime, pasted: str = "", login: str | None = None
) -> Cluster:
    """Write a new or changed cluster with its Event. `pasted`: a kubeconfig to keep, in the place of an earlier one.
    `login`: of its registry of images; None leaves it as it is, "" forgets it.

    What is pasted is encrypted here, and stands nowhere else. Raises Refusal and ValidationError.
    """
    if not actor.is_superuser:
        raise Refusal("You do not have permission to change this cluster.", code="forbidden")
    # A launch looks at the domains of clusters, and takes its host, under the lock of its instance.
    list(Instance.objects.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    old = Cluster.objects.select_for_update().filter(pk=cluster.pk).first() if cluster.pk else None
    _keep_kubeconfig(cluster, pasted)
    if login is not None:
        cluster.registry_sealed = _sealed_login(login)
    cluster.full_clean()
    if old is None or old.lab_domain != cluster.lab_domain:
        _check_domain(old, cluster.lab_domain)
    if old and _way_in(old) != _way_in(cluster):
        # What was heard of the former one says nothing of this one.
        cluster.last_seen_at, cluster.version, cluster.problem = None, "", ""
    cluster.save()
    _record(old, cluster, actor=actor, now=now, pasted=pasted, login=login)
    return cluster


def _keep_kubeconfig(cluster: Cluster, pasted: str) -> None:
    """Seal the kubeconfig that was pasted, if one was, and drop a kept one that is no longer used. Raises Refusal."""
    if pasted:
        try:
            kubeconfig.read(pasted)
        except ValueError as problem:
            raise Refusal(str(problem), code="invalid", errors={"kubeconfig": str(problem)}) from None
        cluster.kubeconfig_sealed = vault.seal(pasted)
    if cluster.connection == Connection.STORED and not cluster.kubeconfig_sealed:
        raise Refusal("Paste a kubeconfig.", code="invalid", errors={"kubeconfig": "Paste a kubeconfig."})
    if cluster.connection != Connection.STORED:
        cluster.kubeconfig_sealed = ""


def _record(
    old: Cluster | None, cluster: Cluster, *, actor: User, now: datetime.datetime, pasted: str, login: str | None
) -> None:
    """Write the Event of what changed, which names secrets and never quotes them; start what follows from a change."""
    before = {name: getattr(old, name) for name in FIELDS} if old else {}
    after: dict[str, Any] = {name: getattr(cluster, name) for name in FIELDS}
    changed = [name for name in FIELDS if before.get(name) != after[name]]
    told = {name: after[name] for name in changed} | ({"kubeconfig": "changed"} if pasted else {})
    told |= {} if login is None else {"registry login": "changed" if login else "none"}
    if told:
        record(
            Verb.CLUSTER_CHANGED, cluster, actor=actor, now=now,
            before={name: before[name] for name in changed if name in before}, after=told,
        )  # fmt: skip
        enqueue("cluster_changed", cluster.pk)


def _check_domain(old: Cluster | None, domain: str) -> None:
    """Raises Refusal where labs cannot answer under this domain. `old`: the cluster as it was."""
    why = ""
    if old and Workload.objects.live().filter(cluster=old).exists():
        # Their hosts belong to their owners under the domain at which they were launched.
        why = f"Labs are still running under {old.lab_domain}. First clear “Takes launches” and wait until they have ended."
    elif host := in_the_way(domain):
        why = f"{host} has been the address of a lab. Choose a domain that does not end in it."
    if why:
        raise Refusal(why, code="in-use", errors={"lab_domain": why})


def kept_because(cluster: Cluster) -> str:
    """Why it cannot be deleted, with what to do about it; empty when nothing uses it."""
    titles = Instance.objects.filter(places__cluster=cluster).order_by("title").values_list("title", flat=True)[:4]
    if titles:
        more = " and others" if len(titles) > 3 else ""
        return f"Instances use this cluster: {', '.join(titles[:3])}{more}. Remove it from each instance before you delete it."
    if cluster.workloads.exists():
        return "This cluster cannot be deleted because labs have run on it. To stop new labs from starting on it, clear “Takes launches”."
    return ""


@transaction.atomic
def delete_cluster(cluster: Cluster, *, actor: User, now: datetime.datetime) -> None:
    """Forget a cluster that nothing uses, with its Event. Nothing on it is changed. Raises Refusal."""
    if not actor.is_superuser:
        raise Refusal("You do not have permission to delete this cluster.", code="forbidden")
    locked = Cluster.objects.select_for_update().get(pk=cluster.pk)
    if why := kept_because(locked):
        raise Refusal(why, code="in-use")
    record(
        Verb.CLUSTER_CHANGED, locked, actor=actor, now=now,
        before={name: getattr(locked, name) for name in FIELDS}, after={"cluster": "deleted"},
    )  # fmt: skip
    locked.delete()


def _sealed_login(login: str) -> str:
    try:
        return vault.seal(registry.read(login)) if login else ""
    except ValueError as problem:
        raise Refusal(str(problem), code="invalid", errors={"login": str(problem)}) from None


def _way_in(cluster: Cluster) -> tuple[str, str, str]:
    return cluster.connection, cluster.kubeconfig_file, cluster.kubeconfig_sealed


def reseal_all() -> int:
    """Bring all that is kept encrypted under the current SECRET_KEY; how many. Raises vault.CannotOpen for one under a lost key."""
    count = 0
    for field in ("kubeconfig_sealed", "registry_sealed"):
        for pk, sealed in Cluster.objects.exclude(**{field: ""}).values_list("pk", field):
            Cluster.objects.filter(**{"pk": pk, field: sealed}).update(**{field: vault.reseal(sealed)})
            count += 1
    return count
