"""Who may do what: the one place of authorisation. Pages, console and API ask here; all answers are about one object.

A site administrator may do everything. Suspended, denied and merely requested memberships give nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from allauth.mfa.models import Authenticator
from django.conf import settings

from accounts.models import Membership, Role, Status
from accounts.roles import MANAGER_ROLES
from labs.models import Instance, Scope

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from accounts.models import User
    from labs.models import Quota, Workload

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
    """Its owner, and those who run the instance, with the second factor that they must have."""
    if user.is_authenticated and workload.owner_id == user.pk:
        return True
    return _is_manager(user, workload.instance) and not lacks_second_factor(user)


def can_stop_workload(user: Person, workload: Workload) -> bool:
    return can_see_workload(user, workload)


def stoppable_by(user: Person, workloads: Iterable[Workload]) -> list[Workload]:
    """Those of many that `can_stop_workload` would allow; one query, whatever their number."""
    lacks = lacks_second_factor(user)
    managed = set() if lacks else set(Instance.objects.managed_by(user).values_list("pk", flat=True))
    return [
        row for row in workloads if row.instance_id in managed or (user.is_authenticated and row.owner_id == user.pk)
    ]


def can_extend_workload(user: Person, workload: Workload) -> bool:
    """Its owner only, and only while they are in the instance."""
    return bool(user.is_authenticated and workload.owner_id == user.pk) and role_of(user, workload.instance) is not None


def can_open_workload(user: Person, workload: Workload) -> bool:
    """Its owner only: a lab is private, also from the staff."""
    return can_extend_workload(user, workload)


def can_decide_requests(user: Person, instance: Instance) -> bool:
    """Owners, and staff where the owners have left it to them."""
    return _decides(user, instance)


def can_see_console(user: Person, instance: Instance) -> bool:
    return _is_manager(user, instance)


def can_change_instance(user: Person, instance: Instance) -> bool:
    return _is_owner(user, instance)


def can_change_limits(user: Person, instance: Instance) -> bool:
    """The limits of members. Those of the whole instance are the site administrators' (`can_change_instance_limits`)."""
    return _is_owner(user, instance)


def can_change_instance_limits(user: Person, instance: Instance) -> bool:
    return _is_administrator(user)


def can_change_quota(user: Person, quota: Quota) -> bool:
    """One row of limits, as it stands or as it is to be: nobody sets their own."""
    if quota.scope == Scope.INSTANCE:
        return can_change_instance_limits(user, quota.instance)
    if quota.scope == Scope.PERSON and quota.user_id == user.pk:
        return can_set_own_limits(user)
    return can_change_limits(user, quota.instance)


def can_set_own_limits(user: Person) -> bool:
    return _is_administrator(user)


def can_add_member(user: Person, instance: Instance, role: Role) -> bool:
    """To put somebody in who has not asked: owners with any role, those who decide requests as a plain member."""
    return _decides(user, instance) if role == Role.MEMBER else _is_owner(user, instance)


def can_change_role(user: Person, membership: Membership) -> bool:
    """Owners, and never their own."""
    return _is_owner(user, membership.instance) and not _is_own(user, membership)


def can_decide_membership(user: Person, membership: Membership) -> bool:
    """To approve, deny or reinstate: those who decide requests, never their own; staff only about plain members."""
    if _is_own(user, membership):
        return False
    if membership.role == Role.MEMBER:
        return _decides(user, membership.instance)
    return _is_owner(user, membership.instance)


def decidable_by(user: Person, instance: Instance, memberships: Iterable[Membership]) -> list[Membership]:
    """Those of many memberships of one instance that `can_decide_membership` would allow; one query, whatever their number."""
    if _is_administrator(user):
        return list(memberships)
    role = role_of(user, instance)
    plain = decides(role, instance)
    return [
        row
        for row in memberships
        if row.user_id != user.pk and (role == Role.OWNER or (plain and row.role == Role.MEMBER))
    ]


def can_suspend_membership(user: Person, membership: Membership) -> bool:
    """Staff may always stop a plain member; to let them in again is another matter (`can_decide_membership`)."""
    if _is_own(user, membership):
        return False
    if membership.role == Role.MEMBER:
        return _is_manager(user, membership.instance)
    return _is_owner(user, membership.instance)


def can_remove_membership(user: Person, membership: Membership) -> bool:
    """Owners: personal limits go with it, and those are not for the staff. To go oneself is to leave."""
    return _is_owner(user, membership.instance) and not _is_own(user, membership)


def _decides(user: Person, instance: Instance) -> bool:
    return _is_administrator(user) or decides(role_of(user, instance), instance)


def decides(role: Role | None, instance: Instance) -> bool:
    """Whether an approved person with this role decides requests there; for lists that know the role already."""
    return role == Role.OWNER or (role == Role.STAFF and instance.staff_may_approve)


def _is_own(user: Person, membership: Membership) -> bool:
    return membership.user_id == user.pk and not _is_administrator(user)


def can_see_mails(user: Person, instance: Instance) -> bool:
    """Who got which mail and what became of it, and to send one again: owners."""
    return _is_owner(user, instance)


def can_write_letters(user: Person, instance: Instance) -> bool:
    """Owners, and staff where the owners have left it to them."""
    return _is_owner(user, instance) or (instance.staff_may_write and _is_manager(user, instance))


def can_change_wordings(user: Person, instance: Instance) -> bool:
    return _is_owner(user, instance)


def can_see_people(user: Person, instance: Instance) -> bool:
    """Who is in and who is expected: those who run the instance."""
    return _is_manager(user, instance)


def can_keep_roster(user: Person, instance: Instance) -> bool:
    """Import, invite, take off: who is on the roster is let in, so this is for those who decide requests."""
    return _decides(user, instance)


def can_give_roles(user: Person, instance: Instance) -> bool:
    """On the roster, before the person has come; afterwards `can_change_role` counts."""
    return _is_owner(user, instance)


def can_launch_for(user: Person, owner: User, instance: Instance) -> bool:
    """Start something that will be another person's, and count against their limits: those who run the instance."""
    return _is_manager(user, instance) and role_of(owner, instance) is not None


def can_start_class(user: Person, instance: Instance) -> bool:
    return _is_manager(user, instance)


def can_keep_people(user: Person) -> bool:
    """To make accounts, close them and open them again, and to say who is a site administrator."""
    return _is_administrator(user)


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
