"""A course, workshop or experiment."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from accounts.roles import MANAGER_ROLES, Role, Status

from .reconciled import Reconciled

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User

COLOUR = RegexValidator(r"^#[0-9a-fA-F]{6}$", "A colour such as #3454d1.")
SLUG = RegexValidator(
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "Lower-case letters, digits and single hyphens, starting with a letter."
)


DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")

#: Keeps a slug from meeting a namespace of somebody else.
NAMESPACE_PREFIX = "ml-"


class Kind(models.TextChoices):
    COURSE = "course", "Course"
    WORKSHOP = "workshop", "Workshop"
    EXPERIMENT = "experiment", "Experiment"


class Phase(models.TextChoices):
    """Where an instance is in its time."""

    NOT_BEGUN = "not-begun", "Not started"
    RUNNING = "running", "Running"
    OVER = "over", "Ended"


class Policy(models.TextChoices):
    APPROVAL = "approval", "An owner approves each request"
    OPEN = "open", "Everyone can join"
    DOMAIN = "domain", "People with a confirmed address at these domains can join; an owner approves all others"
    ROSTER = "roster", "Only people on the roster can join"
    CLOSED = "closed", "Closed: owners add people themselves"


def check_domains(value: object) -> None:
    """A list of domain names in small letters. Raises ValidationError."""
    if not isinstance(value, list) or not all(isinstance(item, str) and DOMAIN.fullmatch(item) for item in value):
        raise ValidationError('A list of lower-case domains, such as ["uni.example"].')


class InstanceQuerySet(models.QuerySet["Instance"]):
    def public(self) -> InstanceQuerySet:
        """What a visitor may see."""
        return self.filter(is_public=True, archived_at=None)

    def visible_to(self, user: User | AnonymousUser) -> InstanceQuerySet:
        """The public ones, and those the person has anything to do with; all for a site administrator."""
        if user.is_anonymous:
            return self.public()
        if user.is_superuser:
            return self
        mine = models.Q(pk__in=self.model.objects.filter(memberships__user=user).values("pk"))
        return self.filter(models.Q(is_public=True, archived_at=None) | mine)

    def of_member(self, user: User) -> InstanceQuerySet:
        """Those in which the person is approved, whatever the role."""
        return self.filter(memberships__user=user, memberships__status=Status.APPROVED)

    def managed_by(self, user: User | AnonymousUser) -> InstanceQuerySet:
        """Those the person owns or is staff of; all for a site administrator."""
        return self._with_roles(user, MANAGER_ROLES)

    def owned_by(self, user: User | AnonymousUser) -> InstanceQuerySet:
        """Those the person owns; all for a site administrator."""
        return self._with_roles(user, (Role.OWNER,))

    def _with_roles(self, user: User | AnonymousUser, roles: tuple[Role, ...]) -> InstanceQuerySet:
        if user.is_anonymous or not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        mine = self.model.objects.filter(
            memberships__user=user, memberships__status=Status.APPROVED, memberships__role__in=roles
        )
        return self.filter(pk__in=mine.values("pk"))


class Instance(Reconciled):
    slug = models.CharField(
        max_length=40,
        unique=True,
        validators=[SLUG],
        help_text="Used in web addresses and as the name of the namespace.",
    )
    title = models.CharField(max_length=120)
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.COURSE)
    summary = models.CharField(
        max_length=300, blank=True, help_text="One or two sentences for the list on the home page."
    )
    about = models.TextField(blank=True, help_text="Shown on the page of the instance. Plain text with paragraphs.")
    footer = models.CharField(
        max_length=300,
        blank=True,
        help_text="Grants and acknowledgements, shown at the bottom of the instance's pages.",
    )
    accent = models.CharField(
        max_length=7, default="#3454d1", validators=[COLOUR], help_text="The accent colour of the instance's pages."
    )
    policy = models.CharField("access", max_length=16, choices=Policy, default=Policy.APPROVAL)
    email_domains = models.JSONField(
        "domains",
        default=list,
        blank=True,
        validators=[check_domains],
        help_text='People with a confirmed address at these domains can join, such as ["uni.example"]. List each subdomain separately.',
    )
    staff_may_approve = models.BooleanField(
        "staff can approve requests", default=True, help_text="Otherwise, only owners approve and deny requests."
    )
    staff_may_write = models.BooleanField(
        "staff can write to members", default=False, help_text="Otherwise, only owners send messages to members."
    )
    is_public = models.BooleanField("listed on the home page", default=True)
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True, help_text="The last day on which labs run.")
    keep_days = models.PositiveSmallIntegerField(
        "keep volumes for",
        default=30,
        validators=[MaxValueValidator(3650)],
        help_text="Days after archiving. Then volumes are deleted permanently. Files inside a lab are deleted when the lab ends.",
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: When nothing of it was left on any cluster.
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)
    clusters: models.ManyToManyField = models.ManyToManyField(
        "labs.Cluster", through="labs.InstanceCluster", related_name="instances"
    )
    services = models.ManyToManyField("labs.ServiceTemplate", related_name="instances", blank=True)
    members: models.ManyToManyField = models.ManyToManyField(
        "accounts.User", through="accounts.Membership", through_fields=("instance", "user"), related_name="instances"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[models.Manager[Instance]] = InstanceQuerySet.as_manager()

    class Meta:
        ordering = ["title"]
        constraints = [
            models.CheckConstraint(condition=models.Q(policy__in=Policy.values), name="instance_policy_known"),
            models.CheckConstraint(condition=models.Q(kind__in=Kind.values), name="instance_kind_known"),
            models.CheckConstraint(
                condition=models.Q(starts_on=None)
                | models.Q(ends_on=None)
                | models.Q(ends_on__gte=models.F("starts_on")),
                name="instance_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        super().clean()
        if self.policy == Policy.DOMAIN and not self.email_domains:
            raise ValidationError({"email_domains": "Enter at least one domain, or choose another way of access."})
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            raise ValidationError({"ends_on": "The last day is before the first one."})

    def get_absolute_url(self) -> str:
        return reverse("instance", args=[self.slug])

    @property
    def namespace(self) -> str:
        """Its namespace on every cluster."""
        return f"{NAMESPACE_PREFIX}{self.slug}"

    @property
    def kept_until(self) -> datetime.datetime | None:
        """Until when its files are kept; None as long as it is not archived."""
        return self.archived_at + datetime.timedelta(days=self.keep_days) if self.archived_at else None

    @property
    def ends_at(self) -> datetime.datetime | None:
        """The moment after its last day, in the site's time zone; None where it has no last day."""
        if self.ends_on is None or self.ends_on == datetime.date.max:
            return None
        after = self.ends_on + datetime.timedelta(days=1)
        midnight = datetime.datetime.combine(after, datetime.time(), timezone.get_default_timezone())
        # In UTC, or sums and comparisons would be those of the clock on the wall, which is changed twice a year.
        return midnight.astimezone(datetime.UTC)

    def cut(self, end: datetime.datetime) -> datetime.datetime:
        """The end of something that would end then, if the instance were not over before."""
        return min(end, self.ends_at) if self.ends_at else end

    def phase(self, today: datetime.date) -> Phase:
        """Before the first day, within the dates, or after the last one; archived is over."""
        if self.archived_at or (self.ends_on is not None and self.ends_on < today):
            return Phase.OVER
        return Phase.NOT_BEGUN if self.starts_on is not None and self.starts_on > today else Phase.RUNNING

    def is_running(self, today: datetime.date) -> bool:
        """Whether things may be launched on this day."""
        return self.phase(today) == Phase.RUNNING


class InstanceCluster(models.Model):
    """A cluster on which an instance runs. Launches go to the first with room; null means no limit of this kind there."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="places")
    cluster = models.ForeignKey("labs.Cluster", on_delete=models.PROTECT, related_name="places")
    rank = models.PositiveSmallIntegerField("order", default=1, help_text="Labs start on the first cluster with room.")
    cpu_millis = models.PositiveIntegerField("CPU", null=True, blank=True, help_text="In thousandths of a core.")
    memory_mib = models.PositiveIntegerField("memory", null=True, blank=True, help_text="In MiB.")
    gpus = models.PositiveIntegerField("GPUs", null=True, blank=True)
    running = models.PositiveIntegerField("services at once", null=True, blank=True)

    class Meta:
        ordering = ["rank", "pk"]
        verbose_name = "cluster"
        constraints = [models.UniqueConstraint(fields=["instance", "cluster"], name="instance_cluster_once")]

    def __str__(self) -> str:
        return str(self.cluster)
