"""One launched thing, and the lab: interactive, with an address and a lifetime."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.db.models import Aggregate, Count, Q, Sum
from django.urls import reverse
from django.utils import timezone

from k8s.resources import ASKED, COUNTED

from .instance import Instance
from .reconciled import Reconciled, due

if TYPE_CHECKING:
    from accounts.models import User


class State(models.TextChoices):
    REQUESTED = "requested", "Accepted"
    QUEUED = "queued", "Queued"
    STARTING = "starting", "Starting"
    RUNNING = "running", "Running"
    STOPPING = "stopping", "Stopping"
    ENDED = "ended", "Ended"


#: Which state may follow which. Everything else is refused by `labs.services.transition`.
TRANSITIONS: dict[State, tuple[State, ...]] = {
    State.REQUESTED: (State.STARTING, State.STOPPING),
    # What only waits has nothing on a cluster.
    State.QUEUED: (State.REQUESTED, State.ENDED),
    State.STARTING: (State.RUNNING, State.STOPPING),
    State.RUNNING: (State.STOPPING,),
    State.STOPPING: (State.ENDED,),
    State.ENDED: (),
}
#: Counted against limits: has, or may still have, something on the cluster.
USING_STATES = (State.REQUESTED, State.STARTING, State.RUNNING, State.STOPPING)
#: Should exist on the cluster.
WANTED_STATES = (State.REQUESTED, State.STARTING, State.RUNNING)
#: Can still be stopped by a person.
STOPPABLE_STATES = (State.REQUESTED, State.QUEUED, State.STARTING, State.RUNNING)
#: The page changes by itself.
CHANGING_STATES = (State.REQUESTED, State.QUEUED, State.STARTING, State.STOPPING)


class EndReason(models.TextChoices):
    USER = "user", "Stopped by its owner"
    EXPIRED = "expired", "Lifetime over"
    IDLE = "idle", "Idle"
    STAFF = "staff", "Stopped by the staff"
    INSTANCE_OVER = "instance-over", "Instance ended"
    FAILED = "failed", "Failed"


def taken(key: str, rows: Q | None = None) -> Aggregate:
    """What rows take of a resource that is counted: a sum over their columns, or how many they are."""
    return Count("pk", filter=rows) if key == "running" else Sum(key, filter=rows)


class WorkloadQuerySet(models.QuerySet["Any"]):
    def live(self) -> WorkloadQuerySet:
        """Not ended yet."""
        return self.exclude(state=State.ENDED)

    def ended(self) -> WorkloadQuerySet:
        return self.filter(state=State.ENDED)

    def counted(self) -> WorkloadQuerySet:
        """Those that count against the limits."""
        return self.filter(state__in=USING_STATES)

    def due(self, now: datetime.datetime) -> WorkloadQuerySet:
        """Those with work for a worker; see `labs.models.reconciled.due`. What waits in the queue of an instance has none yet."""
        return self.filter(due(now)).exclude(state__in=(State.QUEUED, State.ENDED))

    def expired(self, now: datetime.datetime) -> WorkloadQuerySet:
        """Those that should be there and whose time is over."""
        return self.filter(state__in=WANTED_STATES, expires_at__lte=now)

    def overdue(self, now: datetime.datetime) -> WorkloadQuerySet:
        """Those that have not answered before their start deadline."""
        return self.filter(state__in=(State.REQUESTED, State.STARTING), start_deadline__lte=now)

    def visible_to(self, user: User) -> WorkloadQuerySet:
        """One's own, and those of the instances that one helps to run; all for a site administrator."""
        if user.is_superuser:
            return self
        return self.filter(Q(owner=user) | Q(instance__in=Instance.objects.managed_by(user)))

    def usage(self) -> dict[str, int]:
        """What these take of each resource that is counted (COUNTED). One query."""
        sums = self.aggregate(**{key: taken(key) for key in COUNTED})
        return {key: value or 0 for key, value in sums.items()}

    def usage_of(
        self, user: User, own: Collection[str], whole: Collection[str]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """`usage` of what the person has among these, and of all of these; of these keys, since each sum costs. One query."""
        sums: dict[str, Any] = {}
        for whose, keys, rows in (("own", own, Q(owner=user)), ("all", whole, Q())):
            for key in keys:
                sums[f"{whose}.{key}"] = taken(key, rows)
        found = {key: value or 0 for key, value in self.aggregate(**sums).items()}
        return {key: found[f"own.{key}"] for key in own}, {key: found[f"all.{key}"] for key in whole}


class Workload(Reconciled):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    instance = models.ForeignKey("labs.Instance", on_delete=models.PROTECT, related_name="workloads")
    owner = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="workloads")
    template = models.ForeignKey(
        "labs.ServiceTemplate", on_delete=models.PROTECT, related_name="workloads", verbose_name="service"
    )
    cluster = models.ForeignKey("labs.Cluster", on_delete=models.PROTECT, related_name="workloads")
    name = models.CharField(max_length=40)
    state = models.CharField(max_length=16, choices=State, default=State.REQUESTED)
    end_reason = models.CharField(max_length=16, choices=EndReason, blank=True)
    image = models.CharField(max_length=300)
    cpu_millis = models.PositiveIntegerField("CPU", help_text="In thousandths of a core.")
    memory_mib = models.PositiveIntegerField("memory", help_text="In MiB.")
    gpus = models.PositiveIntegerField("GPUs", default=0)
    gpu_model = models.CharField(max_length=60, blank=True)
    parameters = models.JSONField(
        default=dict, blank=True, help_text="The other settings of the form, without secrets."
    )
    lifetime_minutes = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    start_deadline = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField("ready at", null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    #: Answers right now (the readiness probe passes). The link is shown only then.
    is_ready = models.BooleanField(default=False)
    #: What is wrong, as `k8s.diagnosis.Diagnosis` in JSON; null when nothing is.
    diagnosis = models.JSONField(null=True, blank=True)
    #: Where the start has got to, as `k8s.diagnosis.Step`s in JSON.
    steps = models.JSONField(default=list, blank=True)
    #: The last lines that the cluster said of it: {"at", "type", "reason", "message"}.
    cluster_events = models.JSONField(default=list, blank=True)
    #: The end of the log at the moment of a failure, for afterwards.
    log_tail = models.TextField(blank=True)
    #: Tells the request that launched it from others: the same one sent again gives this lab.
    launch_key = models.CharField(max_length=64, blank=True, editable=False)
    #: Digest of every object as last applied, so that only what changed is sent: {"Pod": "…"}.
    applied = models.JSONField(default=dict, blank=True)
    #: uid of the Secret that owns the others.
    owner_uid = models.CharField(max_length=64, blank=True)
    #: uid of its pod, as last seen; empty when it has none. Files live as long as the pod: another uid means that they are gone.
    pod_uid = models.CharField(max_length=64, blank=True)
    #: When the cluster last took its pod away, and with it its files, and why in one sentence.
    lost_at = models.DateTimeField("lost its files", null=True, blank=True)
    lost_why = models.CharField(max_length=200, blank=True)
    #: What keeps it on the cluster although it is being removed, as `k8s.diagnosis.Diagnosis` in JSON; null when nothing does.
    removal = models.JSONField(null=True, blank=True)
    #: When its owner was last told by mail that it ends soon.
    warned_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[Any]] = WorkloadQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "name"], condition=~Q(state="ended"), name="workload_name_free"),
            models.UniqueConstraint(
                fields=["owner", "name", "launch_key"],
                condition=~Q(launch_key=""),
                name="workload_launched_once",
            ),
            models.CheckConstraint(condition=Q(state__in=State.values), name="workload_state_known"),
            models.CheckConstraint(
                condition=Q(end_reason__in=["", *EndReason.values]), name="workload_end_reason_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["stopping", "ended"]) ^ Q(end_reason=""), name="workload_end_has_reason"
            ),
            models.CheckConstraint(
                condition=~Q(state="ended") | Q(ended_at__isnull=False), name="workload_end_has_time"
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | (Q(started_at__isnull=False) & Q(expires_at__isnull=False)),
                name="workload_running_has_times",
            ),
            models.CheckConstraint(
                condition=Q(cpu_millis__gt=0) & Q(memory_mib__gt=0) & Q(lifetime_minutes__gt=0),
                name="workload_asks_for_something",
            ),
        ]
        indexes = [
            models.Index(fields=["instance", "state"], name="workload_of_instance"),
            models.Index(fields=["owner", "state"], name="workload_of_owner"),
            # What ran in the last days, out of years.
            models.Index(fields=["instance", "ended_at"], name="workload_of_instance_ended"),
            models.Index(fields=["state", "expires_at"], name="workload_expiry"),
            # Small whatever the history: what the workers have to do.
            models.Index(
                fields=["due_at"], condition=Q(observed_generation__lt=models.F("generation")), name="workload_due"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def amounts(self) -> dict[str, int]:
        """What it asks for of each resource that a launch asks for."""
        return {key: getattr(self, key) for key in ASKED}

    @property
    def is_live(self) -> bool:
        return self.state != State.ENDED

    @property
    def is_changing(self) -> bool:
        """Whether the page has reason to ask again."""
        return self.state in CHANGING_STATES or (self.state == State.RUNNING and not self.is_ready)

    @property
    def can_stop(self) -> bool:
        return self.state in STOPPABLE_STATES

    @property
    def trouble(self) -> dict[str, Any] | None:
        """Its diagnosis where it matters: while the lab lives, and of one that failed. What once went wrong with a lab that
        somebody stopped explains nothing."""
        over = self.state in (State.STOPPING, State.ENDED) and self.end_reason != EndReason.FAILED
        return None if over else self.diagnosis

    @property
    def latest_end(self) -> datetime.datetime:
        """When it ends at the latest. Its time counts from its first answer, and is cut where its instance is over before."""
        if self.expires_at:
            return self.expires_at
        begin = self.started_at or self.start_deadline or self.created_at
        return self.instance.cut(begin + datetime.timedelta(minutes=self.lifetime_minutes))

    @property
    def ends_with_instance(self) -> bool:
        """Whether it is the end of its instance that ends it, and not its lifetime."""
        return self.latest_end == self.instance.ends_at

    def is_unknown(self, now: datetime.datetime) -> bool:
        """Whether nothing can be said of it, because its cluster is silent. What it was last known to be stands in the row."""
        return self.state in (State.STARTING, State.RUNNING, State.STOPPING) and self.cluster.is_silent(now)

    def time_left(self, now: datetime.datetime) -> datetime.timedelta | None:
        """Until it ends, never negative; None while it does not count."""
        return (
            max(self.expires_at - now, datetime.timedelta())
            if self.expires_at and self.state == State.RUNNING
            else None
        )


class Lab(Workload):
    #: As jupyter_server stores it ("argon2:…"); empty: a token made from the site's key and the row's id.
    password_hash = models.CharField(max_length=300, blank=True)

    objects: ClassVar[models.Manager[Any]] = WorkloadQuerySet.as_manager()

    def get_absolute_url(self) -> str:
        return reverse("lab", args=[self.pk])

    @property
    def host(self) -> str:
        return self.cluster.host(self.name)

    @property
    def address(self) -> str:
        return self.cluster.address(self.name)
