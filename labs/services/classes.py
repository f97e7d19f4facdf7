"""A lab for everybody of a class, from answers that were prepared; and the end of all of them.

Each lab goes through `launch`, with the limits of its member. The run is worked off in the queue: who is at a seat holds
the instance's row, so that two workers never start one twice, and a run that was lost on the way is found by the sweep.
"""

from __future__ import annotations

import datetime
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Membership, Role, RosterEntry, Status, User
from accounts.rules import authority, rates
from labs.errors import Refusal
from labs.models import (
    ClassRun,
    ClassSeat,
    EndReason,
    Instance,
    Lab,
    SavedLaunch,
    SeatState,
    ServiceTemplate,
    State,
    Verb,
)  # fmt: skip
from labs.models.template import ServiceKind
from labs.models.workload import STOPPABLE_STATES
from labs.rules.history import record
from labs.rules.queue import enqueue

from .launch import launch, when_open
from .names import free_name
from .parameters import clean
from .placement import clusters_of, gpu_counts
from .refusals import NO_NAME, to_staff
from .stopping import end_many
from .waiting import promote_queued

TASK = "work_off_class"
#: Seconds after which a task ends and lets another go on: well below the queue's time-out.
LONGEST = 15.0
#: A run that nobody has gone on with for so long was lost.
LOST = datetime.timedelta(seconds=60)
TRIES = 3


@transaction.atomic
def save_launch(
    *, instance: Instance, template: ServiceTemplate, title: str, values: Mapping[str, Any], actor: User,
    now: datetime.datetime,
) -> SavedLaunch:  # fmt: skip
    """Keep the answers of a form under a title. Raises Refusal with a sentence for each field that is wrong."""
    _check(actor, instance)
    title = " ".join(title.split())
    kept = {name: value for name, value in values.items() if name not in ("name", "password")}
    if values.get("password"):
        raise Refusal("A class lab has no password: each member opens theirs with an access key.", code="invalid")
    if not 1 <= len(title) <= 60:
        problem = "Please enter a title of at most 60 characters."
        raise Refusal("Please correct the marked fields.", code="invalid", errors={"title": problem})
    if template.kind != ServiceKind.LAB or not instance.services.filter(pk=template.pk, is_current=True).exists():
        raise Refusal(f"{instance} does not offer this service.", code="not-offered")
    clean(template, gpu_counts(clusters_of(instance)), {**kept, "name": "any"})
    if SavedLaunch.objects.filter(instance=instance, title=title).exists():
        problem = f"There is already one called “{title}”."
        raise Refusal("Please correct the marked fields.", code="invalid", errors={"title": problem})
    saved = SavedLaunch.objects.create(
        instance=instance, template=template, title=title, values=kept, made_by=actor, created_at=now
    )
    record(Verb.INSTANCE_CHANGED, instance, actor=actor, now=now, instance=instance, after={"prepared lab": title})
    return saved


@transaction.atomic
def remove_saved(saved: SavedLaunch, *, actor: User, now: datetime.datetime) -> None:
    """Labs that were started from it go on."""
    _check(actor, saved.instance)
    record(
        Verb.INSTANCE_CHANGED, saved.instance, actor=actor, now=now, instance=saved.instance,
        before={"prepared lab": saved.title}, reason="removed",
    )  # fmt: skip
    saved.delete()


def members_of(instance: Instance, section: str = "") -> QuerySet[Membership]:
    """The approved plain members, or those of one section of the roster."""
    rows = Membership.objects.filter(instance=instance, status=Status.APPROVED, role=Role.MEMBER, user__is_active=True)
    if section:
        entries = RosterEntry.objects.filter(instance=instance, section=section, user__isnull=False)
        rows = rows.filter(user__in=entries.values("user"))
    return rows


def sections_of(instance: Instance) -> list[str]:
    rows = RosterEntry.objects.filter(instance=instance, left_at=None).exclude(section="")
    return list(rows.order_by("section").values_list("section", flat=True).distinct())


@transaction.atomic
def start(
    saved: SavedLaunch, *, section: str, wait: bool, actor: User, now: datetime.datetime
) -> ClassRun:  # fmt: skip
    """Have one started for each member of the section, or for all. Pressed twice, it is the same run. Raises Refusal."""
    instance = Instance.objects.select_for_update(no_key=True).get(pk=saved.instance_id)
    _check(actor, instance)
    if not instance.is_running(timezone.localdate(now)):
        raise Refusal(when_open(instance, now), code="instance-over")
    going_on = ClassRun.objects.filter(saved=saved, section=section, finished_at=None).first()
    if going_on:
        return going_on
    users = list(members_of(instance, section).order_by("user__name", "user__email").values_list("user", flat=True))
    if not users:
        where = f"in the section “{section}”" if section else "here"
        raise Refusal(f"There are no members {where} yet: no invited person has joined.", code="nobody")
    rates.spend(actor, "launch", now=now)
    run = ClassRun.objects.create(
        instance=instance, saved=saved, section=section, wait=wait, started_by=actor, created_at=now, due_at=now + LOST
    )
    ClassSeat.objects.bulk_create([ClassSeat(run=run, user_id=pk) for pk in users], batch_size=500)
    told = {"lab": saved.title, "section": section or "all", "members": len(users)}
    record(Verb.CLASS_STARTED, str(run), actor=actor, now=now, instance=instance, after=told)
    enqueue(TASK, run.pk)
    return run


def work_off(pk: Any) -> int:
    """Go on with a run for LONGEST seconds, or to its end. May run twice at once. Returns how many seats were done."""
    run = (
        ClassRun.objects.select_related("saved__template", "instance", "started_by")
        .filter(pk=pk, finished_at=None)
        .first()
    )
    if run is None:
        return 0
    end, done = time.monotonic() + LONGEST, 0
    promote_queued(run.instance_id, now=timezone.now())  # Room that has come free is theirs who wait for it.
    template = run.instance.services.filter(slug=run.saved.template.slug, is_current=True).first()
    with_one = set(_live_seats(run.saved).values_list("user", flat=True))
    for seat in ClassSeat.objects.filter(run=run, state=SeatState.PENDING).select_related("user").order_by("pk"):
        if time.monotonic() > end:
            ClassRun.objects.filter(pk=run.pk).update(due_at=timezone.now() + LOST)
            enqueue(TASK, run.pk)
            return done
        done += _seat(run, seat, template, seat.user_id in with_one)
    with transaction.atomic():
        left = ClassSeat.objects.filter(run=run, state=SeatState.PENDING)
        if not left.exists():
            ClassRun.objects.filter(pk=run.pk, finished_at=None).update(finished_at=timezone.now())
    return done


def _seat(run: ClassRun, seat: ClassSeat, template: ServiceTemplate | None, has_one: bool) -> bool:
    """Start this member's, or note why not. False: somebody else has just done that."""
    for attempt in range(TRIES):
        try:
            with transaction.atomic():
                # Before the seat, as in `stop`: two who lock in another order wait for each other for ever.
                Instance.objects.select_for_update(no_key=True).get(pk=run.instance_id)
                if not _settle(seat, SeatState.STARTED):
                    return False
                if has_one or _live_seats(run.saved).filter(user=seat.user_id).exists():
                    return _settle(seat, SeatState.HAS_ONE, SeatState.STARTED)
                lab = _launch(run, seat, template, timezone.now())
                state = SeatState.QUEUED if lab.state == State.QUEUED else SeatState.STARTED
                return _settle(seat, state, SeatState.STARTED, lab=lab)
        except Refusal as refusal:
            if refusal.code == "name" and attempt + 1 < TRIES:
                continue
            return _settle(seat, SeatState.REFUSED, reason=to_staff(refusal)[:500])
        except IntegrityError:
            if attempt + 1 == TRIES:
                return _settle(seat, SeatState.REFUSED, reason=NO_NAME)
    return False


def _launch(run: ClassRun, seat: ClassSeat, template: ServiceTemplate | None, now: datetime.datetime) -> Lab:
    if template is None:
        raise Refusal(f"{run.instance} no longer offers this service.", code="not-offered")
    if run.started_by is None:
        raise Refusal("The person who started this no longer has an account.", code="forbidden")
    name = free_name(clusters_of(run.instance), f"{seat.user.email.split('@')[0][:22]}-{run.saved.title}", seat.user)
    return launch(
        actor=run.started_by, owner=seat.user, instance=run.instance, template=template,
        values={**{key: value for key, value in run.saved.values.items() if value != ""}, "name": name}, now=now, wait=run.wait,
    )  # fmt: skip


def _settle(seat: ClassSeat, to: SeatState, was: SeatState = SeatState.PENDING, **fields: Any) -> bool:
    return bool(ClassSeat.objects.filter(pk=seat.pk, state=was).update(state=to, **fields))


def _live_seats(saved: SavedLaunch) -> QuerySet[ClassSeat]:
    """Seats whose lab was started from these answers and has not ended, nor is ending."""
    return ClassSeat.objects.filter(run__saved=saved, lab__state__in=STOPPABLE_STATES)


def live_by_section(instance: Instance) -> dict[int, dict[str, int]]:
    """How many labs that were started from each of the prepared ones run, in all ("") and by section. Two queries."""
    sections = dict(RosterEntry.objects.filter(instance=instance, user__isnull=False).values_list("user", "section"))
    seats = ClassSeat.objects.filter(run__instance=instance, lab__state__in=STOPPABLE_STATES)
    numbers: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for saved, user in seats.values_list("run__saved", "user"):
        for section in {"", sections.get(user, "")}:
            numbers[saved][section] += 1
    return numbers


@transaction.atomic
def stop(saved: SavedLaunch, *, section: str = "", actor: User, now: datetime.datetime) -> int:
    """End all labs that were started from these answers, or those of one section; what is still to be started is not.

    Returns how many labs are ended by it. Raises Refusal.
    """
    instance = Instance.objects.select_for_update(no_key=True).get(pk=saved.instance_id)
    _check(actor, instance)
    rates.spend(actor, "stop", now=now)
    seats = ClassSeat.objects.filter(run__saved=saved)
    if section:
        people = RosterEntry.objects.filter(instance=instance, section=section, user__isnull=False).values("user")
        seats = seats.filter(user__in=people)
    seats.filter(state=SeatState.PENDING).update(state=SeatState.REFUSED, reason="Stopped before it was started.")
    running = Lab.objects.filter(
        pk__in=seats.filter(lab__isnull=False).values("lab"), state__in=STOPPABLE_STATES, instance=instance
    )
    ended = end_many(
        running.select_related("instance", "owner"), EndReason.STAFF, now=now, actor=actor, reason="class stopped"
    )
    told = {"lab": saved.title, "section": section or "all", "labs": len(ended)}
    record(Verb.CLASS_STOPPED, f"{saved} for {section or 'all'}", actor=actor, now=now, instance=instance, after=told)
    return len(ended)


def remind(now: datetime.datetime) -> None:
    """Send again for runs that were lost on the way."""
    for pk in ClassRun.objects.filter(finished_at=None, due_at__lte=now).values_list("pk", flat=True)[:20]:
        ClassRun.objects.filter(pk=pk).update(due_at=now + LOST)
        enqueue(TASK, pk)


def _check(actor: User, instance: Instance) -> None:
    if not authority.can_start_class(actor, instance):
        raise Refusal("Only owners and staff can start and stop labs for others.", code="forbidden")
