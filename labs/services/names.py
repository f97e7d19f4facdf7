"""Names of labs: the first label of their address, free on every lab domain on which the lab may come to be.

A host name belongs to the first person who had a lab there, for good (`labs.models.Host`).
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import CharField, Count, Q, Value
from django.db.models.functions import Cast

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
    #: The person has so many names, and may have no more; 0 where it is not that.
    most: int = 0


@dataclass(frozen=True)
class _Holders:
    """Who stands in the way of a name on some clusters."""

    #: A lab of the person's own that has not ended.
    is_in_use: bool
    #: Somebody else has a lab of this name, or had the first one.
    is_of_others: bool
    own_hosts: frozenset[str]
    #: It is the domain of another cluster's labs, or stands above it.
    is_a_domain: bool
    #: The person has as many hosts as they may have.
    has_all: bool

    @property
    def is_free(self) -> bool:
        return not (self.is_in_use or self.is_of_others or self.is_a_domain)


def check_name(clusters: Sequence[Cluster], name: str, owner: User) -> NameAnswer:
    """Whether the person may have a lab of this name on these clusters, in this order; if not, why, and a name near it. One query."""
    problem = names.check_host_label(name)
    if problem is None and _is_the_sites(clusters, name):
        problem = f"The name “{name}” is reserved. Please choose another."
    holders = _holders(clusters, name, owner) if problem is None else None
    if holders and holders.is_a_domain:
        problem = f"The name “{name}” is reserved. Please choose another."
    elif holders and holders.is_in_use:
        problem = f"You already have a lab called “{name}”. Stop it first, or choose another name."
    elif holders and holders.is_of_others:
        problem = f"The name “{name}” is taken. Please choose another."
    elif holders and holders.has_all and not holders.own_hosts:
        # A host stays its owner's for good, so there is an end to how many one person can take.
        mine = _own_name(clusters, owner)
        again = f"Reuse one of them, such as “{mine}”." if mine else "Stop a lab and reuse its name."
        told = f"You have used {settings.HOSTS_PER_PERSON} lab names, which is the maximum. {again}"
        return NameAnswer(False, told, mine, most=settings.HOSTS_PER_PERSON)
    if problem is None:
        return NameAnswer(True, _free(clusters, name), own_hosts=holders.own_hosts if holders else ())
    return NameAnswer(False, problem, free_name(clusters, name, owner))


def _free(clusters: Sequence[Cluster], name: str) -> str:
    if not clusters:
        return "Free."
    elsewhere = ", or at another address if there is no room there" if len(clusters) > 1 else ""
    return f"Available. Your lab will be at {clusters[0].address(name)}{elsewhere}"


def default_name(clusters: Sequence[Cluster], owner: User) -> str:
    """A name that the person may have, made from their address."""
    local = owner.email.split("@")[0]
    return free_name(clusters, f"lab-{local}" if local[:1].isdigit() else f"{local}-lab", owner)


def free_name(clusters: Sequence[Cluster], wish: str, owner: User) -> str:
    """A name near the wish, whatever characters that has, that the person may have. Usually one query.

    Who can have no more names gets the one of theirs that they had first, of those that are free.
    """
    seen: list[_Holders] = []

    def is_taken(candidate: str) -> bool:
        if _is_the_sites(clusters, candidate):
            return True
        seen.append(_holders(clusters, candidate, owner))
        return not seen[-1].is_free

    near = names.suggest(wish, is_taken)
    if seen and seen[-1].has_all and not seen[-1].own_hosts:
        return _own_name(clusters, owner) or near
    return near


def take(host: str, owner: User, *, now: datetime.datetime) -> bool:
    """Make the host the person's, within the transaction that gives it to a lab. False: it is somebody else's."""
    row, _ = Host.objects.get_or_create(name=host, defaults={"owner": owner, "created_at": now})
    return row.owner_id == owner.pk


def _own_name(clusters: Sequence[Cluster], owner: User) -> str:
    """The first of the names under which the person once had a lab on these clusters and can have one now; empty without any."""
    domains = {cluster.lab_domain for cluster in clusters}
    hosts = Host.objects.filter(owner=owner).order_by("created_at", "pk").values_list("name", flat=True)
    had = dict.fromkeys(name for name, _, domain in (host.partition(".") for host in hosts) if domain in domains)
    live = set(Workload.objects.live().filter(owner=owner).values_list("name", flat=True))
    return next((name for name in had if name not in live and _holders(clusters, name, owner).is_free), "")


def _is_the_sites(clusters: Sequence[Cluster], name: str) -> bool:
    """Whether a lab of this name would answer in the place of the site itself, or stand above it and plant cookies there."""
    sites = {urlsplit(settings.SITE_URL).hostname or "", *settings.ALLOWED_HOSTS}
    return any(f".{site}".endswith(f".{cluster.host(name)}") for cluster in clusters for site in sites)


def _holders(clusters: Sequence[Cluster], name: str, owner: User) -> _Holders:
    hosts = Host.objects.filter(name__in=[cluster.host(name) for cluster in clusters])
    live = Workload.objects.live().filter(cluster__in=[cluster.pk for cluster in clusters], name=name).order_by()
    above = Q(pk=None)
    for cluster in clusters:
        above |= Q(lab_domain=cluster.host(name)) | Q(lab_domain__endswith=f".{cluster.host(name)}")
    domains = Cluster.objects.filter(above).order_by().values_list("pk", "lab_domain", Value("domain"))
    mine = Host.objects.filter(owner=owner).order_by().values("owner").annotate(count=Cast(Count("pk"), CharField()))
    # In one query: this is asked with each launch.
    found = list(
        live.values_list("owner_id", Value(""), Value("lab")).union(
            hosts.order_by().values_list("owner_id", "name", Value("host")), domains,
            mine.values_list("owner", "count", Value("count")), all=True,
        )
    )  # fmt: skip
    whose = [(pk, text) for pk, text, what in found if what in ("lab", "host")]
    return _Holders(
        is_in_use=any(pk == owner.pk and not host for pk, host in whose),
        is_of_others=any(pk != owner.pk for pk, _ in whose),
        own_hosts=frozenset(host for pk, host in whose if pk == owner.pk and host),
        is_a_domain=any(what == "domain" for _, _, what in found),
        has_all=any(what == "count" and int(text) >= settings.HOSTS_PER_PERSON for _, text, what in found),
    )


def in_the_way(domain: str) -> str:
    """A host of a lab that is this domain or stands above it; empty where there is none. No cluster may have such a domain: pages of
    that lab could read what browsers keep for all labs below it."""
    labels = domain.split(".")
    above = [".".join(labels[start:]) for start in range(len(labels))]
    return Host.objects.filter(name__in=above).values_list("name", flat=True).first() or ""
