"""Names of labs: the first label of their address, free on every lab domain on which the lab may come to be.

A host name belongs to the first person who had a lab there, for good (`labs.models.Host`).
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Value

from accounts.models import User
from k8s import names
from labs.models import Cluster, Host, Workload


@dataclass(frozen=True)
class NameAnswer:
    ok: bool
    message: str
    suggestion: str = ""
    #: Hosts of this name that are the person's already.
    own_hosts: Collection[str] = ()


@dataclass(frozen=True)
class _Holders:
    """Who stands in the way of a name on some clusters."""

    #: A lab of the person's own that has not ended.
    is_in_use: bool
    #: Somebody else has a lab of this name, or had the first one.
    is_of_others: bool
    own_hosts: frozenset[str]


def check_name(clusters: Sequence[Cluster], name: str, owner: User) -> NameAnswer:
    """Whether the person may have a lab of this name on these clusters, in this order; if not, why, and a name near it. One query."""
    problem = names.check_host_label(name)
    if problem is None and _is_the_sites(clusters, name):
        problem = f"The name “{name}” is reserved. Please choose another."
    holders = _holders(clusters, name, owner) if problem is None else None
    if holders and holders.is_in_use:
        problem = f"You already have a lab called “{name}”. Stop it first, or choose another name."
    elif holders and holders.is_of_others:
        problem = f"“{name}” belongs to somebody else. Please choose another name."
    if problem is None:
        return NameAnswer(True, _free(clusters, name), own_hosts=holders.own_hosts if holders else ())
    return NameAnswer(False, problem, free_name(clusters, name, owner))


def _free(clusters: Sequence[Cluster], name: str) -> str:
    if not clusters:
        return "Free."
    elsewhere = ", or at another address if there is no room" if len(clusters) > 1 else ""
    return f"Free. Your lab will be at {clusters[0].address(name)}{elsewhere}"


def default_name(clusters: Sequence[Cluster], owner: User) -> str:
    """A name that the person may have, made from their address."""
    local = owner.email.split("@")[0]
    return free_name(clusters, f"lab-{local}" if local[:1].isdigit() else f"{local}-lab", owner)


def free_name(clusters: Sequence[Cluster], wish: str, owner: User) -> str:
    """A name near the wish, whatever characters that has, that the person may have. Usually one query."""
    return names.suggest(wish, lambda candidate: not _is_free(clusters, candidate, owner))


def take(host: str, owner: User, *, now: datetime.datetime) -> bool:
    """Make the host the person's, within the transaction that gives it to a lab. False: it is somebody else's."""
    row, _ = Host.objects.get_or_create(name=host, defaults={"owner": owner, "created_at": now})
    return row.owner_id == owner.pk


def _is_free(clusters: Sequence[Cluster], name: str, owner: User) -> bool:
    if _is_the_sites(clusters, name):
        return False
    holders = _holders(clusters, name, owner)
    return not holders.is_in_use and not holders.is_of_others


def _is_the_sites(clusters: Sequence[Cluster], name: str) -> bool:
    """Whether a lab of this name would answer in the place of the site itself, or stand above it and plant cookies there."""
    sites = {urlsplit(settings.SITE_URL).hostname or "", *settings.ALLOWED_HOSTS}
    return any(f".{site}".endswith(f".{cluster.host(name)}") for cluster in clusters for site in sites)


def _holders(clusters: Sequence[Cluster], name: str, owner: User) -> _Holders:
    hosts = Host.objects.filter(name__in=[cluster.host(name) for cluster in clusters])
    live = Workload.objects.live().filter(cluster__in=[cluster.pk for cluster in clusters], name=name).order_by()
    # In one query: this is asked with each launch.
    found = list(
        live.values_list("owner_id", Value("")).union(hosts.order_by().values_list("owner_id", "name"), all=True)
    )
    return _Holders(
        is_in_use=any(pk == owner.pk and not host for pk, host in found),
        is_of_others=any(pk != owner.pk for pk, _ in found),
        own_hosts=frozenset(host for pk, host in found if pk == owner.pk and host),
    )
