"""Who may do what: the one place of authorisation. Pages, console and API ask here; all answers are about one object.

A site administrator may do everything. Suspended, denied and merely requested memberships give nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.mfa.models import Authenticator
from django.conf import settings

from accounts.models import Membership, Role, Status
from accounts.models.membership import MANAGER_ROLES

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User
    from labs.models import Instance, Workload

    Person = User | AnonymousUser


def role_of(user: Person, instance: Instance) -> Role | None:
    """The approved role of the person in the instance."""
    if user.is_anonymous or not user.is_active:
        return None
    role = (
        Membership.objects.filter(user=user, instance=instance, status=Status.APPROVED)
        .values_list("role", flat=True)
        .first()
    )
    return Role(role) if role else None


def _is_owner(user: Person, instance: Instance) -> bool:
    return _is_administrator(user) or role_of(user, instance) == Role.OWNER


def _is_manager(user: Person, instance: Instance) -> bool:
    return _is_administrator(user) or role_of(user, instance) in (Role.OWNER, Role.STAFF)


def _is_administrator(user: Person) -> bool:
    return bool(user.is_active and user.is_superuser)


def can_launch(user: Person, instance: Instance) -> bool:
    """Every approved person. Not an administrator as such: a workload counts against a member's limits."""
    return role_of(user, instance) is not None


def can_see_workload(user: Person, workload: Workload) -> bool:
    """Its owner, and those who run the instance."""
    return bool(user.is_authenticated and workload.owner_id == user.pk) or _is_manager(user, workload.instance)


def can_stop_workload(user: Person, workload: Workload) -> bool:
    return can_see_workload(user, workload)


def can_extend_workload(user: Person, workload: Workload) -> bool:
    """Its owner only, and only while they are in the instance."""
    return bool(user.is_authenticated and workload.owner_id == user.pk) and role_of(user, workload.instance) is not None


def can_open_workload(user: Person, workload: Workload) -> bool:
    """Its owner only: a lab is private, also from the staff."""
    return can_extend_workload(user, workload)


def can_decide_requests(user: Person, instance: Instance) -> bool:
    return _is_manager(user, instance)


def can_see_console(user: Person, instance: Instance) -> bool:
    return _is_manager(user, instance)


def can_change_instance(user: Person, instance: Instance) -> bool:
    return _is_owner(user, instance)


def can_change_limits(user: Person, instance: Instance) -> bool:
    """The limits of members. Those of the whole instance are the site administrators' (`can_change_instance_limits`)."""
    return _is_owner(user, instance)


def can_change_instance_limits(user: Person, instance: Instance) -> bool:
    return _is_administrator(user)


def can_change_role(user: Person, membership: Membership) -> bool:
    """Owners, and never their own."""
    return _is_owner(user, membership.instance) and (membership.user_id != user.pk or _is_administrator(user))


def can_decide_membership(user: Person, membership: Membership) -> bool:
    """Those who run the instance, never about themselves; staff only about plain members."""
    if membership.user_id == user.pk and not _is_administrator(user):
        return False
    if membership.role == Role.MEMBER:
        return _is_manager(user, membership.instance)
    return _is_owner(user, membership.instance)


def lacks_second_factor(user: Person) -> bool:
    """Whether the person runs something, and must set up a second factor before they may go on (REQUIRE_TWO_FACTOR).

    Recovery codes alone are none: they are the way back from one.
    """
    if settings.REQUIRE_TWO_FACTOR == "off" or user.is_anonymous:
        return False
    managed = Membership.objects.filter(user=user, status=Status.APPROVED, role__in=MANAGER_ROLES)
    if not _is_administrator(user) and not managed.exists():
        return False
    factors = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return not Authenticator.objects.filter(user=user, type__in=factors).exists()
