"""Comparing the lines of a list with the roster, and writing what differs: the same way for the preview and for the real thing.

Lines go through django-import-export a batch at a time, so that memory and the number of queries a line do not grow with
the list.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import tablib
from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from import_export import resources
from import_export.instance_loaders import BaseInstanceLoader
from import_export.results import RowResult

from accounts.models import Membership, Role, RosterEntry, Status, User
from accounts.roles import OUT
from accounts.rules import authority
from accounts.rules.identity import verified_addresses
from labs.models import Event, Instance, Verb
from labs.rules.history import line as event_line

from .admitting import bind_known, update
from .lines import Line

#: Lines that are worked on at once.
BATCH = 1000
#: Lines of each kind that the preview shows.
SHOWN = 200
#: Notes of one person, whatever the number of lists.
MOST_NOTES = 60
KINDS = {
    RowResult.IMPORT_TYPE_NEW: "new", RowResult.IMPORT_TYPE_UPDATE: "changed", RowResult.IMPORT_TYPE_SKIP: "unchanged",
    RowResult.IMPORT_TYPE_INVALID: "wrong",
}  # fmt: skip
COMPARED = ("name", "section", "role", "limits", "notes", "left_at")


@dataclass
class Outcome:
    """What an import does, or would do. `samples`: the first lines of each kind, as the page shows them."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("new", "changed", "unchanged", "wrong"), 0))
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    #: How many got access at once, because their address is known already.
    let_in: int = 0
    #: Every address of the list, also of lines with something wrong.
    named: set[str] = field(default_factory=set)
    #: A line whose address cannot be read: nobody can say who is missing.
    unread: int = 0
    #: How many of the list are suspended or denied, which the list does not change.
    shut_out: int = 0
    #: How many of the new ones are to be invited.
    invite: int = 0
    hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=24))

    def note(self, kind: str, shown: dict[str, Any]) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        samples = self.samples.setdefault(kind, [])
        if len(samples) < SHOWN:
            samples.append(shown)
        if kind != "unchanged":
            self.hash.update(repr((kind, sorted(shown.items()))).encode())


class Standings:
    """How those whom a list names stand in the instance before the import. What it changes on its way does not count."""

    def __init__(self, roster: Instance) -> None:
        self.roster = roster
        #: The status by the key of a person, once met; "" without a membership.
        self.known: dict[int, str] = {}

    def of(self, entries: list[Any]) -> dict[str, str]:
        """By address: a status, "waits", "gone" or "account"; nothing for those who are to be invited. Two queries."""
        emails = [entry.email for entry in entries]
        found = EmailAddress.objects.filter(email__in=emails, verified=True, user__is_active=True).order_by("-pk")
        owners = dict(found.values_list("email", "user")) if emails else {}
        owners |= {entry.email: entry.user_id for entry in entries if entry.user_id}
        fresh = {pk for pk in owners.values() if pk not in self.known}
        rows = Membership.objects.filter(instance=self.roster, user__in=fresh)
        status = dict(rows.values_list("user", "status")) if fresh else {}
        self.known |= {pk: status.get(pk, "") for pk in fresh}
        return {entry.email: self._word(entry, owners.get(entry.email)) for entry in entries}

    def _word(self, entry: Any, owner: int | None) -> str:
        status = self.known[owner] if owner else ""
        if entry.barred or owner is None:
            return str(status or entry.barred)
        if entry.user_id:
            # A list lets nobody in whose line is theirs already: they asked, or have left.
            return {"": "gone", Status.REQUESTED: "waits"}.get(status, status)
        return status or "account"


class Loader(BaseInstanceLoader):
    """The entries of one batch, by their addresses. One query."""

    def __init__(self, resource: RosterResource, dataset: tablib.Dataset) -> None:
        super().__init__(resource, dataset)
        rows = RosterEntry.objects.filter(instance=resource.roster, email__in=set(dataset["email"]))
        self.known = {row.email: row for row in rows}
        for row in self.known.values():
            row.instance = resource.roster  # import-export writes each row out in words, which name it

    def get_instance(self, row: dict[str, Any]) -> RosterEntry | None:
        return self.known.get(row["email"])


class RosterResource(resources.ModelResource):
    """One batch of lines, whose cells have been read already (`lines.read`): what they change, and whether the person may."""

    class Meta:
        model = RosterEntry
        fields = ("email",)
        import_id_fields = ("email",)
        instance_loader_class = Loader
        use_bulk = True
        batch_size = BATCH
        # Compared here: import-export would copy every row for that.
        skip_diff = True
        skip_unchanged = True
        report_skipped = True
        store_instance = True

    def __init__(self, roster: Instance, actor: User, note_heads: Iterable[str]) -> None:
        super().__init__()
        self.roster, self.note_heads = roster, frozenset(note_heads)
        self.gives_roles = authority.can_give_roles(actor, roster)
        self.gives_limits = authority.can_change_limits(actor, roster)
        #: Addresses of whoever imports, where nobody sets their own limits.
        self.own = set() if authority.can_set_own_limits(actor) else {actor.email, *verified_addresses(actor)}
        self.actor = actor
        self.standings = Standings(roster)
        #: In which line each address was met first.
        self.met: dict[str, int] = {}

    def init_instance(self, row: dict[str, Any] | None = None) -> RosterEntry:
        return RosterEntry(instance=self.roster, email=(row or {})["email"])

    def after_init_instance(self, instance: RosterEntry, new: bool, row: dict[str, Any], **kwargs: Any) -> None:
        first = self.met.setdefault(row["email"], row["line"])
        if first != row["line"]:
            raise ValidationError(f"Same address as row {first}, which is used instead.")
        instance.before = {} if new else {name: getattr(instance, name) for name in COMPARED}  # type: ignore[attr-defined]

    def import_instance(self, instance: RosterEntry, row: dict[str, Any], **kwargs: Any) -> None:
        values = row["values"]
        role = values.get("role") or instance.role
        limits = {**instance.limits, **values.get("limits", {})}
        limits = {name: value for name, value in limits.items() if value is not None}
        if role != instance.role and not self.gives_roles:
            raise ValidationError(
                f"Only owners can assign the role “{role}”." if role != Role.MEMBER else ONLY_OWNER_ROLE
            )
        if limits != instance.limits and not self.gives_limits:
            raise ValidationError("Only owners can set personal limits. Leave these cells empty.")
        if limits != instance.limits and self.own and (instance.user_id == self.actor.pk or instance.email in self.own):
            raise ValidationError("You cannot set your own limits. Ask another owner or a site administrator.")
        kept = {head: text for head, text in instance.notes.items() if head not in self.note_heads}
        notes = kept | values.get("notes", {})
        if len(notes) > MOST_NOTES:
            raise ValidationError(f"This person already has {MOST_NOTES} notes, which is the maximum.")
        instance.name = values.get("name") or instance.name
        instance.section = values.get("section", instance.section)
        instance.role, instance.limits, instance.notes, instance.left_at = role, limits, notes, None

    def skip_row(self, instance: Any, original: Any, row: dict[str, Any], import_validation_errors: Any = None) -> bool:
        before = instance.before
        return not import_validation_errors and bool(before) and changes(instance)[1] == {}

    def bulk_create(self, using_transactions: bool, dry_run: bool, *args: Any, **kwargs: Any) -> None:
        """A preview writes nothing. import-export would write, and take it back."""
        if dry_run:
            self.create_instances.clear()
        super().bulk_create(using_transactions, dry_run, *args, **kwargs)

    def bulk_update(self, using_transactions: bool, dry_run: bool, *args: Any, **kwargs: Any) -> None:
        if dry_run:
            self.update_instances.clear()
        super().bulk_update(using_transactions, dry_run, *args, **kwargs)

    def get_bulk_update_fields(self) -> list[str]:
        return list(COMPARED)


ONLY_OWNER_ROLE = "Only owners can change the role of staff and owners."


def changes(entry: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was, and what is, of all that differs. Of notes only which: what they say may be nobody's business later on."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name in COMPARED:
        old, new = entry.before.get(name), getattr(entry, name)
        if old == new or (not entry.before and not new):
            continue
        if name == "notes":
            kept: dict[str, str] = old or {}
            old, new = sorted(kept), sorted(key for key in new if new[key] != kept.get(key))
        if name == "left_at":
            old, new, name = "left out", "named again", "list"
        before |= {name: old} if entry.before else {}
        after[name] = new
    return before, after


def run(
    instance: Instance, lines: Iterable[Line], *, note_heads: Iterable[str], actor: User, now: datetime.datetime, write: bool
) -> Outcome:  # fmt: skip
    """Compare the lines with the roster and, with `write`, change it: in the caller's transaction, the instance locked."""
    resource, outcome = RosterResource(instance, actor, note_heads), Outcome()
    source = iter(lines)
    while batch := list(islice(source, BATCH)):
        _run_batch(resource, batch, outcome, actor=actor, now=now, write=write)
    return outcome


def _run_batch(
    resource: RosterResource, batch: list[Line], outcome: Outcome, *, actor: User, now: datetime.datetime, write: bool
) -> None:  # fmt: skip
    outcome.named.update(item.email for item in batch if item.email and not item.status)
    outcome.unread += sum(not item.email for item in batch)
    table = tablib.Dataset(headers=["email", "line", "values"])
    for item in batch:
        if not item.problem and not item.status:
            table.append((item.email, item.number, item.values))
    result = resource.import_data(table, dry_run=not write, use_transactions=False)
    # A line that is wrong is told below. Anything else is a fault of ours, and must not pass for one.
    for problem in (*result.base_errors, *(error for _, errors in result.row_errors() for error in errors)):
        raise problem.error
    resource.create_instances.clear()
    resource.update_instances.clear()
    rows = iter(result.rows)
    pairs = [(item, None if item.problem or item.status else next(rows)) for item in batch]
    entries = [row.instance for _, row in pairs if row and KINDS[row.import_type] in ("new", "changed")]
    standings = resource.standings.of(entries)
    touched: list[RosterEntry] = []
    known: list[RosterEntry] = []
    for item, row in pairs:
        kind = KINDS[row.import_type] if row else "wrong" if item.problem else "left"
        entry: Any = row.instance if row and kind != "wrong" else None
        standing = standings.get(item.email, "") if entry is not None else ""
        outcome.note(kind, _shown(item, kind, entry, row, standing))
        outcome.shut_out += standing in OUT
        outcome.invite += kind == "new" and not standing
        if entry is not None:
            known.append(entry)
            touched += [entry] if kind != "unchanged" else []
    if write:
        _follow(resource.roster, known, touched, outcome, actor=actor, now=now)


def _follow(
    instance: Instance, known: list[RosterEntry], touched: list[RosterEntry], outcome: Outcome, *, actor: User,
    now: datetime.datetime,
) -> None:  # fmt: skip
    """What comes of lines that have been written: their Events, and what changes for the people who are here already."""
    users = {user.pk: user for user in User.objects.filter(pk__in={entry.user_id for entry in known if entry.user_id})}
    events = []
    for entry in touched:
        before, after = changes(entry)
        user = users.get(entry.user_id) if entry.user_id else None
        events.append(
            event_line(
                Verb.ROSTER_CHANGED,
                entry.email,
                actor=actor,
                now=now,
                instance=instance,
                user=user,
                before=before,
                after=after,
            )
        )
    Event.objects.bulk_create(events, batch_size=500)
    theirs = [(entry, users[entry.user_id]) for entry in touched if entry.user_id and entry.user_id in users]
    update(instance, theirs, roles=_given(theirs, "role"), limits=_given(theirs, "limits"), actor=actor, now=now)
    outcome.let_in += bind_known(instance, known, actor=actor, now=now).let_in


def _given(pairs: Iterable[tuple[Any, User]], name: str) -> set[int]:
    """Keys of the people for whom this import changes that: what stood there before gives nothing once more."""
    return {user.pk for entry, user in pairs if entry.before.get(name) != getattr(entry, name)}


def _shown(item: Line, kind: str, entry: Any, row: Any, standing: str) -> dict[str, Any]:
    """One line of the preview; texts and numbers only."""
    shown: dict[str, Any] = {"line": item.number, "email": item.email}
    if kind == "wrong":
        return shown | {"problem": item.problem or _problem(row)}
    if kind == "left":
        return shown | {"name": item.values.get("name", ""), "status": item.status}
    shown |= {"name": entry.name, "section": entry.section, "role": entry.role}
    if item.remark:
        shown["remark"] = item.remark
    if standing:
        shown["standing"] = standing
    if entry.limits:
        shown["limits"] = dict(sorted(entry.limits.items()))
    if kind == "changed":
        before, after = changes(entry)
        shown["changes"] = [{"what": name, "before": before.get(name, ""), "after": after[name]} for name in after]
    return shown


def _problem(row: Any) -> str:
    return " ".join(row.validation_error.messages)
