"""What a person can be in an instance: the role, and whether the owner let them in. No model stands here: those of both apps need it."""

from __future__ import annotations

from django.db.models import TextChoices


class Role(TextChoices):
    OWNER = "owner", "Owner"
    STAFF = "staff", "Staff"
    MEMBER = "member", "Member"


class Status(TextChoices):
    REQUESTED = "requested", "Waiting for approval"
    APPROVED = "approved", "Approved"
    DENIED = "denied", "Not approved"
    SUSPENDED = "suspended", "Suspended"


#: Turned away by somebody's decision, which only another decision undoes.
OUT = (Status.DENIED, Status.SUSPENDED)

#: Roles that see and help the people of an instance. What each may do is decided in `accounts.rules.authority`.
MANAGER_ROLES = (Role.OWNER, Role.STAFF)
