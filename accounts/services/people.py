"""Everybody of an instance: those on the roster, and members who came another way. A page of them, or all, as tables."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db.models import CharField, Count, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf
from django.utils import timezone

from accounts.models import Mail, Membership, Role, RosterEntry, Status
from accounts.roles import OUT
from accounts.rules.identity import address_on_list, is_by_address
from k8s.resources import LISTED, Resource
from labs.models import Instance

#: Where somebody is on the way in, in the words of the page.
STATES = {
    "not-invited": "Not invited yet", "invited": "Invited", "joined": "Joined", "waiting": "Waiting for approval",
    "out": "No access",
}  # fmt: skip
TONES = {"not-invited": "off", "invited": "wait", "joined": "ok", "waiting": "wait", "out": "bad"}


@dataclass(frozen=True)
class Person:
    """One row of the page: an entry of the roster, a membership, or both."""

    entry: RosterEntry | None
    membership: Membership | None
    #: When a mail to them last came back.
    came_back: datetime.datetime | None = None

    @property
    def key(self) -> int | None:
        """Of the membership."""
        return self.membership.pk if self.membership else None

    @property
    def name(self) -> str:
        account = self.entry.user if self.entry else self.membership and self.membership.user
        return (self.entry.name if self.entry else "") or (account.name if account else "")

    @property
    def email(self) -> str:
        return self.entry.email if self.entry else self.membership.user.email if self.membership else ""

    @property
    def other_email(self) -> str:
        """The address of the account, where it is not the roster's and the person has shown it."""
        account = self.entry.user if self.entry and not getattr(self.entry, "by_address", False) else None
        return account.email if account and account.email != self.email else ""

    @property
    def section(self) -> str:
        return self.entry.section if self.entry else ""

    @property
    def role(self) -> str:
        if self.membership and self.membership.status == Status.APPROVED:
            return str(Role(self.membership.role).label)
        return str(Role(self.entry.role if self.entry else Role.MEMBER).label)

    @property
    def state(self) -> str:
        if self.membership:
            return {Status.APPROVED: "joined", Status.REQUESTED: "waiting"}.get(Status(self.membership.status), "out")
        if self.entry is None or self.entry.left_at or self.entry.user_id or self.entry.barred:
            return "out"
        return "invited" if self.entry.invited_at else "not-invited"

    @property
    def state_text(self) -> str:
        if self.state != "out":
            return STATES[self.state]
        if self.membership:
            return str(self.membership.get_status_display())
        if self.entry and self.entry.barred:
            return str(self.entry.get_barred_display())
        return "Not on the roster" if self.entry and self.entry.left_at else "Left"

    @property
    def tone(self) -> str:
        return TONES[self.state]

    @property
    def since(self) -> datetime.datetime | None:
        if self.state == "invited" and self.entry:
            return self.entry.invited_at
        if self.state == "joined" and self.membership:
            return (self.entry.bound_at if self.entry else None) or self.membership.decided_at
        return None

    @property
    def can_be_invited(self) -> bool:
        return self.state in ("invited", "not-invited")

    @property
    def can_be_taken_off(self) -> bool:
        """Who is not here, or not any more: an entry of somebody who has left holds the seat, and another account cannot take it."""
        return self.entry is not None and self.membership is None


@dataclass(frozen=True)
class Wish:
    """What to show."""

    search: str = ""
    section: str = ""
    state: str = ""


def counts(instance: Instance) -> dict[str, int]:
    """How many are in each state. Two queries."""
    told = {state: Count("pk", filter=condition) for state, condition in _entry_states().items()}
    entries = _entries(instance).aggregate(**{name.replace("-", "_"): value for name, value in told.items()})
    told = {state: Count("pk", filter=condition) for state, condition in _member_states().items()}
    others = _others(instance).aggregate(**told)
    return {state: entries[state.replace("-", "_")] + others.get(state, 0) for state in STATES}


def page(instance: Instance, wish: Wish, *, start: int, size: int) -> tuple[int, list[Person]]:
    """How many there are in all, and `size` of them from `start` on, by name. Four queries, whatever their number.

    The names are sorted here: databases sort by bytes, or by the locale with which they happen to have been set up.
    """
    rows = _entry_rows(instance, wish)
    if not wish.section:
        rows = rows.union(_member_rows(instance, wish), all=True)
    found = sorted(rows, key=lambda row: (sort_key(row[2]), row))
    people = _people(instance, [(kind, key) for kind, key, _ in found[start : start + size]])
    back = Mail.objects.unreachable({address for one in people for address in (one.email, one.other_email) if address})
    return len(found), [replace(one, came_back=back.get(one.other_email) or back.get(one.email)) for one in people]


def sort_key(name: str) -> str:
    """By letters, whatever their accents and capitals: “Élodie” stands beside “Eva”, and not behind “Zoe”."""
    if name.isascii():
        return name.lower()
    return "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign)).casefold()


def _people(instance: Instance, keys: Sequence[tuple[str, int]]) -> list[Person]:
    known = RosterEntry.objects.select_related("user").annotate(by_address=is_by_address())
    entries = known.in_bulk([key for kind, key in keys if kind == "entry"])
    users = [entry.user_id for entry in entries.values() if entry.user_id]
    wanted = Q(user__in=users) | Q(pk__in=[key for kind, key in keys if kind == "member"])
    members = list(Membership.objects.filter(wanted, instance=instance).select_related("user"))
    by_user, by_key = {row.user_id: row for row in members}, {row.pk: row for row in members}
    made = []
    for kind, key in keys:
        if kind == "member":
            if key in by_key:
                made.append(Person(None, by_key[key]))
        elif entry := entries.get(key):
            made.append(Person(entry, by_user.get(entry.user_id or 0)))
    return made


def _entries(instance: Instance) -> QuerySet[RosterEntry]:
    status = Membership.objects.filter(instance=OuterRef("instance"), user=OuterRef("user")).values("status")[:1]
    return RosterEntry.objects.filter(instance=instance).annotate(status=Subquery(status), by_address=is_by_address())


def _others(instance: Instance) -> QuerySet[Membership]:
    bound = RosterEntry.objects.filter(instance=instance, user__isnull=False).values("user")
    return Membership.objects.filter(instance=instance).exclude(user__in=bound)


def _entry_states() -> dict[str, Q]:
    nobody = Q(user=None, left_at=None, barred="")
    return {
        "not-invited": nobody & Q(invited_at=None),
        "invited": nobody & Q(invited_at__isnull=False),
        "joined": Q(status=Status.APPROVED),
        "waiting": Q(status=Status.REQUESTED),
        "out": Q(status__in=OUT)
        | (Q(status=None) & (Q(user__isnull=False) | Q(left_at__isnull=False) | ~Q(barred=""))),
    }


def _member_states() -> dict[str, Q]:
    return {"joined": Q(status=Status.APPROVED), "waiting": Q(status=Status.REQUESTED), "out": Q(status__in=OUT)}


def _entry_rows(instance: Instance, wish: Wish) -> QuerySet[Any, Any]:
    rows = _entries(instance)
    if wish.section:
        rows = rows.filter(section=wish.section)
    if wish.state:
        rows = rows.filter(_entry_states()[wish.state])
    for word in wish.search.split()[:5]:
        rows = rows.filter(
            Q(name__icontains=word) | Q(email__icontains=word) | Q(user__name__icontains=word)
            | Q(user__email__icontains=word, by_address=False) | Q(section__icontains=word)
        )  # fmt: skip
    name = Coalesce(NullIf("name", Value("")), NullIf("user__name", Value("")), "email", output_field=CharField())
    return _keys(rows, "entry", name)


def _member_rows(instance: Instance, wish: Wish) -> QuerySet[Any, Any]:
    rows = _others(instance)
    if wish.state:
        rows = rows.filter(_member_states().get(wish.state, Q(pk=None)))
    for word in wish.search.split()[:5]:
        rows = rows.filter(Q(user__name__icontains=word) | Q(user__email__icontains=word))
    return _keys(rows, "member", Coalesce(NullIf("user__name", Value("")), "user__email", output_field=CharField()))


def _keys(rows: QuerySet[Any], kind: str, name: Any) -> QuerySet[Any, Any]:
    rows = rows.order_by().annotate(kind=Value(kind, output_field=CharField()), key=F("pk"), sort=name)
    return rows.values_list("kind", "key", "sort")


# Tables -----------------------------------------------------------------------------------------------------------------

ROSTER_HEAD = ("E-mail", "Name", "Section", "Role")
MEMBERS_HEAD = ("Name", "E-mail", "Affiliation", "Section", "Role", "State", "Requested", "Decided")


def roster_table(instance: Instance) -> tuple[list[str], Iterator[list[Any]]]:
    """The roster as it can be imported again: head and rows. What stands in brackets is only told."""
    rows = _entries(instance).filter(left_at=None).order_by("email")
    notes: dict[str, None] = {}
    has_limits = False
    for limits, kept in rows.values_list("limits", "notes").iterator(chunk_size=2000):
        notes |= dict.fromkeys(kept)
        has_limits = has_limits or bool(limits)
    heads = [*ROSTER_HEAD, *(item.head for item in LISTED if has_limits), *notes, "(state)", "(account)"]
    return heads, _roster_rows(rows, list(notes), has_limits)


def _roster_rows(rows: QuerySet[Any], notes: list[str], has_limits: bool) -> Iterator[list[Any]]:
    for entry in rows.select_related("user").iterator(chunk_size=2000):
        limits = [_amount(item, entry.limits) for item in LISTED if has_limits]
        person = Person(entry, Membership(status=entry.status, user=entry.user) if entry.status else None)
        kept = [entry.notes.get(head, "") for head in notes]
        account = entry.user.email if entry.user and not entry.by_address else ""
        yield [entry.email, entry.name, entry.section, entry.role, *limits, *kept, person.state_text, account]


def _amount(resource: Resource, limits: dict[str, int]) -> Any:
    if resource.key not in limits:
        return ""
    value = round(Decimal(limits[resource.key]) / resource.factor, 6)
    return int(value) if value == int(value) else float(value)


def members_table(instance: Instance) -> tuple[Sequence[str], Iterator[list[Any]]]:
    """Everybody who has asked or is in: head and rows."""
    section = RosterEntry.objects.filter(instance=OuterRef("instance"), user=OuterRef("user")).values("section")[:1]
    rows = Membership.objects.filter(instance=instance).select_related("user")
    rows = rows.annotate(section=Subquery(section), on_list=address_on_list())
    return MEMBERS_HEAD, (
        [
            row.user.name, row.on_list or row.user.email, row.user.affiliation, row.section or "", row.get_role_display(),
            row.get_status_display(), _day(row.requested_at), _day(row.decided_at),
        ]
        for row in rows.order_by("user__name", "user__email").iterator(chunk_size=2000)
    )  # fmt: skip


def _day(at: datetime.datetime | None) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d}" if at else ""
