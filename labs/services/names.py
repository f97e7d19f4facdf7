"""Names of labs: the first label of their address, free per lab domain."""

from __future__ import annotations

from dataclasses import dataclass

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
    if problem is None and _is_taken(cluster, name):
        problem = f"“{name}” is taken by another lab."
    if problem is None:
        return NameAnswer(ok=True, message=f"Free. Your lab will be at {cluster.address(name)}")
    return NameAnswer(
        ok=False, message=problem, suggestion=names.suggest(name, lambda candidate: _is_taken(cluster, candidate))
    )


def default_name(cluster: Cluster, user: User, instance: Instance) -> str:
    """A free name to offer, made from the person's address."""
    return names.suggest(f"{user.email.split('@')[0]}-lab", lambda candidate: _is_taken(cluster, candidate))


def _is_taken(cluster: Cluster, name: str) -> bool:
    return Workload.objects.live().filter(cluster=cluster, name=name).exists()
