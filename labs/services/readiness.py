"""What an instance still lacks before people can work in it: a list to tick off, on its page in the console."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import Membership, Role, RosterEntry
from labs.models import Instance, Policy, Quota, Scope


@dataclass(frozen=True)
class Item:
    title: str
    text: str
    #: "ok", "wait" (may stay as it is), or "bad" (nobody can work before that is done).
    tone: str

    @property
    def is_done(self) -> bool:
        return self.tone == "ok"


def checklist(instance: Instance) -> list[Item]:
    """Each thing to do, done or not. Six queries."""
    return [
        _owner(instance),
        _place(instance),
        _services(instance),
        _limits(instance),
        _texts(instance),
        _entry(instance),
    ]


def _owner(instance: Instance) -> Item:
    owners = Membership.objects.approved().filter(instance=instance, role=Role.OWNER, user__is_active=True)
    if names := [str(row.user) for row in owners.select_related("user").order_by("pk")[:5]]:
        return Item("Owner", ", ".join(names), "ok")
    expected = RosterEntry.objects.unbound().filter(instance=instance, role=Role.OWNER).order_by("pk").first()
    if expected:
        return Item("Owner", f"{expected.email} has been invited but has not joined yet.", "wait")
    return Item("Owner", "It has no owner. Add a member with the role “Owner” under Members.", "bad")


def _place(instance: Instance) -> Item:
    clusters = [place.cluster for place in instance.places.select_related("cluster").order_by("rank", "pk")]
    if not clusters:
        return Item("Cluster", "It has no cluster to run labs on. A site administrator must add one below.", "bad")
    if not any(cluster.is_open for cluster in clusters):
        return Item("Cluster", "None of its clusters takes launches. A site administrator must open one.", "bad")
    if silent := [str(cluster) for cluster in clusters if cluster.problem]:
        return Item("Cluster", f"Not responding: {', '.join(silent)}.", "wait")
    return Item("Cluster", ", ".join(map(str, clusters)), "ok")


def _services(instance: Instance) -> Item:
    titles = [service.title for service in instance.services.filter(is_current=True)]
    if not titles:
        return Item("Services", "It offers no services. Choose at least one below.", "bad")
    return Item("Services", ", ".join(titles), "ok")


def _limits(instance: Instance) -> Item:
    scopes = set(Quota.objects.filter(instance=instance).values_list("scope", flat=True).distinct())
    missing = [words for scope, words in _LIMITS.items() if scope not in scopes]
    if missing:
        return Item("Limits", f"No limits are set for {' and for '.join(missing)}.", "wait")
    return Item("Limits", "Set for each member and for the whole instance. Check that they suit the work.", "ok")


_LIMITS = {Scope.MEMBER: "each member", Scope.INSTANCE: "the whole instance"}


def _texts(instance: Instance) -> Item:
    missing = [name for name, text in (("summary", instance.summary), ("page", instance.about)) if not text.strip()]
    if missing:
        return Item("Description", f"It has no {' and no '.join(missing)} yet.", "wait")
    return Item("Description", "It has a summary and a page.", "ok")


def _entry(instance: Instance) -> Item:
    """How people get in, and whether anybody can find the way."""
    policy = Policy(instance.policy)
    if policy in (Policy.ROSTER, Policy.CLOSED):
        expected = RosterEntry.objects.filter(instance=instance, left_at=None).exclude(role=Role.OWNER).exists()
        if not expected:
            return Item("People", "Nobody can join before you import a roster.", "wait")
    elif not instance.is_public:
        return Item("People", "It is not listed on the home page. Import a roster and invite people.", "wait")
    return Item("People", f"{policy.label}.", "ok")
