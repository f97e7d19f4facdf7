"""Names of labs: the first label of their address, free on every lab domain on which the lab may come to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from accounts.models import User
from k8s import names
from labs.models import Cluster, Workload


@dataclass(frozen=True)
class NameAnswer:
    ok: bool
    message: str
    suggestion: str = ""


def check_name(clusters: Sequence[Cluster], name: str) -> NameAnswer:
    """Whether a lab on these clusters, in this order, may be called so; if not, why, and a free name near it."""
    problem = names.check_host_label(name)
    if problem is None and _is_the_sites(clusters, name):
        problem = f"The name “{name}” is reserved. Please choose another."
    if problem is None and _is_taken(clusters, name):
        problem = f"“{name}” is taken by another lab."
    if problem is None:
        return NameAnswer(ok=True, message=_free(clusters, name))
    return NameAnswer(
        ok=False, message=problem, suggestion=names.suggest(name, lambda candidate: not _is_free(clusters, candidate))
    )


def _free(clusters: Sequence[Cluster], name: str) -> str:
    if not clusters:
        return "Free."
    elsewhere = ", or at another address if there is no room" if len(clusters) > 1 else ""
    return f"Free. Your lab will be at {clusters[0].address(name)}{elsewhere}"


def default_name(clusters: Sequence[Cluster], user: User) -> str:
    """A free name to offer, made from the person's address."""
    return free_name(clusters, f"{user.email.split('@')[0]}-lab")


def free_name(clusters: Sequence[Cluster], wish: str) -> str:
    """A free name near the wish, whatever signs that has. Usually one query."""
    return names.suggest(wish, lambda candidate: not _is_free(clusters, candidate))


def _is_free(clusters: Sequence[Cluster], name: str) -> bool:
    return not _is_the_sites(clusters, name) and not _is_taken(clusters, name)


def _is_the_sites(clusters: Sequence[Cluster], name: str) -> bool:
    """Whether a lab of this name would answer in the place of the site itself, where it stands under the domain of labs."""
    sites = {urlsplit(settings.SITE_URL).hostname, *settings.ALLOWED_HOSTS}
    return any(cluster.host(name) in sites for cluster in clusters)


def _is_taken(clusters: Sequence[Cluster], name: str) -> bool:
    return Workload.objects.live().filter(cluster__in=[cluster.pk for cluster in clusters], name=name).exists()
