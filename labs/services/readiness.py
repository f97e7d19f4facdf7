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
        return Item("Owner", f"{expected.email} is invited and has not joined yet.", "wait")
    return Item("Owner", "Nobody owns it. Add somebody under Members, with the role of an owner.", "bad")


def _place(instance: Instance) -> Item:
    clusters = [place.cluster for place in instance.places.select_related("cluster").order_by("rank", "pk")]
    if not clusters:
        return Item("Cluster", "Labs have nowhere to run. A site administrator adds a cluster below.", "bad")
    if not any(cluster.is_open for cluster in clusters):
        return Item("Cluster", "No cluster takes launches. A site administrator opens one.", "bad")
    if silent := [str(cluster) for cluster in clusters if cluster.problem]:
        return Item("Cluster", f"Not answering: {', '.join(silent)}.", "wait")
    return Item("Cluster", ", ".join(map(str, clusters)), "ok")


def _services(instance: Instance) -> Item:
    titles = [service.title for service in instance.services.filter(is_current=True)]
    if not titles:
        return Item("Services", "There is nothing to launch. Choose at least one service below.", "bad")
    return Item("Services", ", ".join(titles), "ok")


def _limits(instance: Instance) -> Item:
    scopes = set(Quota.objects.filter(instance=instance).values_list("scope", flat=True).distinct())
    missing = [words for scope, words in _LIMITS.items() if scope not in scopes]
    if missing:
        return Item("Limits", f"No limits are set for {' and for '.join(missing)}.", "wait")
    return Item("Limits", "Set for each member and for all together. Check that they suit the work.", "ok")


_LIMITS = {Scope.MEMBER: "each member", Scope.INSTANCE: "all members together"}


def _texts(instance: Instance) -> Item:
    missing = [name for name, text in (("summary", instance.summary), ("page", instance.about)) if not text.strip()]
    if missing:
        return Item("Description", f"People see no {' and no '.join(missing)} yet.", "wait")
    return Item("Description", "It has a summary and a page.", "ok")


def _entry(instance: Instance) -> Item:
    """How people get in, and whether anybody can find the way."""
    policy = Policy(instance.policy)
    if policy in (Policy.ROSTER, Policy.CLOSED):
        expected = RosterEntry.objects.filter(instance=instance, left_at=None).exclude(role=Role.OWNER).exists()
        if not expected:
            return Item("People", "Nobody can join before you import a list of people.", "wait")
    elif not instance.is_public:
        return Item("People", "It is not on the home page. Import a list and invite people.", "wait")
    return Item("People", f"{policy.label}.", "ok")
