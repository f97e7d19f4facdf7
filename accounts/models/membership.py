"""What a person is in an instance: the role, and whether the owner let them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.apps import apps
from django.db import models
from django.utils import timezone

from accounts.roles import Role, Status

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from .user import User


class MembershipQuerySet(models.QuerySet["Membership"]):
    def approved(self) -> MembershipQuerySet:
        return self.filter(status=Status.APPROVED)

    def waiting(self) -> MembershipQuerySet:
        return self.filter(status=Status.REQUESTED)

    def decidable_by(self, user: User | AnonymousUser) -> MembershipQuerySet:
        """The requests that the person may decide: as `authority.can_decide_membership`, for many at once."""
        if user.is_active and user.is_superuser:
            return self.waiting()
        instances = apps.get_model("labs.Instance").objects
        owned = models.Q(instance__in=instances.owned_by(user))
        helped = models.Q(instance__in=instances.managed_by(user), instance__staff_may_approve=True, role=Role.MEMBER)
        return self.waiting().filter(owned | helped).exclude(user=user.pk)

    def managed_by(self, user: User) -> MembershipQuerySet:
        """Those of the instances that the person owns or helps to run; all for a site administrator."""
        if user.is_superuser:
            return self
        return self.filter(instance__in=apps.get_model("labs.Instance").objects.managed_by(user))


class Membership(models.Model):
    instance = models.ForeignKey("labs.Instance", on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        "accounts.User", on_delete=models.CASCADE, related_name="memberships", verbose_name="person"
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)
    status = models.CharField(max_length=16, choices=Status, default=Status.REQUESTED)
    reason = models.TextField("reason for the request", blank=True, max_length=1000)
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)
    decided_by = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    #: Somebody else has put the person in, unasked: told at their next visit, until they say that they have seen it.
    is_news = models.BooleanField(default=False, editable=False)
    decision_note = models.CharField("note to the person", max_length=500, blank=True)

    objects: ClassVar[models.Manager[Membership]] = MembershipQuerySet.as_manager()

    class Meta:
        ordering = ["instance", "user"]
        constraints = [
            models.UniqueConstraint(fields=["instance", "user"], name="membership_once_per_person"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="membership_status_known"),
        ]
        indexes = [models.Index(fields=["user", "status"], name="membership_of_person")]

    def __str__(self) -> str:
        return f"{self.user} in {self.instance}"

    @property
    def is_approved(self) -> bool:
        return self.status == Status.APPROVED
