"""Names of labs: the first label of their address, free per lab domain."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from accounts.models import User
from k8s import names
from labs.models import Cluster, Instance, Workload


@dataclass(frozen=True)
class NameAnswer:
    ok: bool
    message: str
    suggestion: str = ""


def check_name(cluster: Cluster, name: str) -> NameAnswer:
    """Whether a lab on this cluster may be called so; if not, why, and a free name near it."""
    problem = names.check_host_label(name)
    if problem is None and _is_the_sites(cluster, name):
        problem = f"The name “{name}” is reserved. Please choose another."
    if problem is None and _is_taken(cluster, name):
        problem = f"“{name}” is taken by another lab."
    if problem is None:
        return NameAnswer(ok=True, message=f"Free. Your lab will be at {cluster.address(name)}")
    return NameAnswer(
        ok=False, message=problem, suggestion=names.suggest(name, lambda candidate: not _is_free(cluster, candidate))
    )


def default_name(cluster: Cluster, user: User, instance: Instance) -> str:
    """A free name to offer, made from the person's address."""
    return names.suggest(f"{user.email.split('@')[0]}-lab", lambda candidate: not _is_free(cluster, candidate))


def _is_free(cluster: Cluster, name: str) -> bool:
    return not _is_the_sites(cluster, name) and not _is_taken(cluster, name)


def _is_the_sites(cluster: Cluster, name: str) -> bool:
    """Whether a lab of this name would answer in the place of the site itself, where it stands under the domain of labs."""
    return cluster.host(name) in {urlsplit(settings.SITE_URL).hostname, *settings.ALLOWED_HOSTS}


def _is_taken(cluster: Cluster, name: str) -> bool:
    return Workload.objects.live().filter(cluster=cluster, name=name).exists()
