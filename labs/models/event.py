"""The append-only history: who or what did what to which object, when, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django.db import models
from django.utils import timezone
from django.utils.text import capfirst

from .instance import Instance

if TYPE_CHECKING:
    from accounts.models import User


class Verb(models.TextChoices):
    ACCESS_REQUESTED = "access-requested", "requested access"
    ACCESS_APPROVED = "access-approved", "approved"
    ACCESS_DENIED = "access-denied", "denied"
    ACCESS_SUSPENDED = "access-suspended", "suspended"
    ACCESS_REINSTATED = "access-reinstated", "reinstated"
    ACCESS_REMOVED = "access-removed", "removed"
    ACCESS_LEFT = "access-left", "left"
    ROSTER_IMPORTED = "roster-imported", "imported a roster"
    ROSTER_CHANGED = "roster-changed", "changed the roster"
    INVITED = "invited", "invited"
    INVITATION_TAKEN = "invitation-taken", "accepted an invitation"
    MAIL_WRITTEN = "mail-written", "wrote to members"
    MAIL_BOUNCED = "mail-bounced", "could not be reached by e-mail"
    ACCOUNT_LINKED = "account-linked", "linked a sign-in"
    ACCOUNT_UNLINKED = "account-unlinked", "unlinked a sign-in"
    ACCOUNT_DELETED = "account-deleted", "deleted the account"
    ACCOUNT_CLOSED = "account-closed", "closed the account"
    ACCOUNT_REOPENED = "account-reopened", "reopened the account"
    ADMINISTRATOR_MADE = "administrator-made", "gave site administrator rights"
    ADMINISTRATOR_UNMADE = "administrator-unmade", "removed site administrator rights"
    CLASS_STARTED = "class-started", "started class labs"
    CLASS_STOPPED = "class-stopped", "stopped class labs"
    ROLE_CHANGED = "role-changed", "changed the role"
    LIMITS_CHANGED = "limits-changed", "changed the limits"
    INSTANCE_CHANGED = "instance-changed", "changed the instance"
    INSTANCE_ARCHIVED = "instance-archived", "archived the instance"
    CLUSTER_CHANGED = "cluster-changed", "changed the cluster"
    LAUNCHED = "launched", "launched"
    QUEUED = "queued", "is queued"
    STARTING = "starting", "is starting"
    RUNNING = "running", "is running"
    EXTENDED = "extended", "extended"
    LOST = "lost", "lost its files"
    STOPPING = "stopping", "is stopping"
    ENDED = "ended", "ended"
    SECRET_SHOWN = "secret-shown", "viewed the access key"


#: Who did it when it was no person.
SITE_ACTOR = "the site"
#: What a line is about, for filters: of a person's place in an instance, of limits, of workloads, of instances, of mail.
ABOUT_ACCESS = (
    Verb.ACCESS_REQUESTED, Verb.ACCESS_APPROVED, Verb.ACCESS_DENIED, Verb.ACCESS_SUSPENDED, Verb.ACCESS_REINSTATED,
    Verb.ACCESS_REMOVED, Verb.ACCESS_LEFT, Verb.INVITED, Verb.INVITATION_TAKEN, Verb.ROSTER_IMPORTED, Verb.ROSTER_CHANGED,
    Verb.ROLE_CHANGED, Verb.ACCOUNT_LINKED, Verb.ACCOUNT_UNLINKED, Verb.ACCOUNT_DELETED, Verb.ACCOUNT_CLOSED, Verb.ACCOUNT_REOPENED,
    Verb.ADMINISTRATOR_MADE, Verb.ADMINISTRATOR_UNMADE,
)  # fmt: skip
ABOUT_LIMITS = (Verb.LIMITS_CHANGED,)
ABOUT_WORKLOADS = (
    Verb.LAUNCHED, Verb.QUEUED, Verb.STARTING, Verb.RUNNING, Verb.EXTENDED, Verb.LOST, Verb.STOPPING, Verb.ENDED, Verb.SECRET_SHOWN,
    Verb.CLASS_STARTED, Verb.CLASS_STOPPED,
)  # fmt: skip
ABOUT_INSTANCES = (Verb.INSTANCE_CHANGED, Verb.INSTANCE_ARCHIVED, Verb.CLUSTER_CHANGED)
ABOUT_MAIL = (Verb.MAIL_WRITTEN, Verb.MAIL_BOUNCED)
#: Of these the thing itself is the subject of the sentence; who caused it stands behind.
_ITSELF = (Verb.QUEUED, Verb.STARTING, Verb.RUNNING, Verb.LOST, Verb.STOPPING, Verb.ENDED, Verb.MAIL_BOUNCED)
#: How the subject follows these; after a colon behind all others.
_TO = {
    **dict.fromkeys((Verb.ROLE_CHANGED, Verb.LIMITS_CHANGED, Verb.SECRET_SHOWN), " of "),
    **dict.fromkeys((Verb.ACCESS_APPROVED, Verb.ACCESS_DENIED, Verb.ACCESS_SUSPENDED, Verb.ACCESS_REINSTATED), " "),
    **dict.fromkeys((Verb.ACCESS_REMOVED, Verb.INVITED, Verb.LAUNCHED, Verb.EXTENDED, Verb.CLUSTER_CHANGED), " "),
    **dict.fromkeys((Verb.INSTANCE_CHANGED, Verb.INSTANCE_ARCHIVED), " "),
    **dict.fromkeys((Verb.ACCOUNT_CLOSED, Verb.ACCOUNT_REOPENED), " of "),
    Verb.ADMINISTRATOR_MADE: " to ",
    Verb.ADMINISTRATOR_UNMADE: " from ",
}


class EventQuerySet(models.QuerySet["Event"]):
    def visible_to(self, user: User) -> EventQuerySet:
        """One's own, and those of the instances that one helps to run; all for a site administrator."""
        if user.is_superuser:
            return self
        return self.filter(models.Q(user=user) | models.Q(instance__in=Instance.objects.managed_by(user)))

    def of_membership(self, user: User, instance: Instance) -> EventQuerySet:
        """How the person came to be what they are there, and what they may use."""
        return self.filter(user=user, instance=instance, verb__in=(*ABOUT_ACCESS, *ABOUT_LIMITS))

    def update(self, **fields: Any) -> NoReturn:
        raise TypeError("History cannot be changed.")

    def delete(self) -> NoReturn:
        raise TypeError("History cannot be deleted.")


class Event(models.Model):
    """Written by `labs.rules.history.record`, in the transaction of the change itself."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey("accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    actor_name = models.CharField(max_length=254, help_text="Kept when the account is deleted.")
    verb = models.CharField(max_length=24, choices=Verb)
    subject = models.CharField(max_length=300, help_text="The object of the action, in words.")
    instance = models.ForeignKey(
        "labs.Instance", on_delete=models.SET_NULL, null=True, blank=True, related_name="events"
    )
    user = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="events",
        verbose_name="affected person",
    )
    workload = models.ForeignKey(
        "labs.Workload", on_delete=models.SET_NULL, null=True, blank=True, related_name="history"
    )
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    objects: ClassVar[models.Manager[Event]] = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        constraints = [models.CheckConstraint(condition=models.Q(verb__in=Verb.values), name="event_verb_known")]
        indexes = [
            models.Index(fields=["instance", "-at"], name="event_of_instance"),
            models.Index(fields=["workload", "-at"], name="event_of_workload"),
        ]

    def __str__(self) -> str:
        return self.sentence

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("History cannot be changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("History cannot be deleted.")

    @property
    def who(self) -> str:
        """Who did it: by the name they have now, or by what is left of an account that went."""
        if self.actor:
            return str(self.actor)
        return self.actor_name if "@" in self.actor_name else capfirst(self.actor_name)

    @property
    def sentence(self) -> str:
        """All of it in words: "Mina Member extended my-lab". Reads the actor: select it with the rows."""
        verb = self.get_verb_display()
        if self.verb in _ITSELF:
            return f"{self.subject} {verb}" + (f" ({self.actor})" if self.actor else "")
        if self.actor_id and self.actor_id == self.user_id and not self.workload_id:
            return f"{self.who} {verb}"
        return f"{self.who} {verb}{_TO.get(Verb(self.verb), ': ')}{self.subject}"
