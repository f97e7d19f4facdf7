"""Everything that is kept about one person, for that person."""

from __future__ import annotations

import datetime
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession

from accounts.models import Mail, Membership, RosterEntry, User
from k8s.resources import ASKED, KEYS
from labs.models import Event, Quota, Workload

#: Of each kind of row, what is told. Nothing secret, and nothing of other people.
FIELDS: dict[str, tuple[type[Any], str, tuple[str, ...]]] = {
    "addresses": (EmailAddress, "user", ("email", "verified", "primary")),
    "sign_ins": (SocialAccount, "user", ("provider", "uid", "date_joined", "last_login", "extra_data")),
    "second_factors": (Authenticator, "user", ("type", "created_at", "last_used_at")),
    "sessions": (UserSession, "user", ("created_at", "ip", "user_agent")),
    "memberships": (
        Membership,
        "user",
        ("instance__title", "role", "status", "reason", "requested_at", "decided_at", "decision_note"),
    ),
    "rosters": (RosterEntry, "user", ("instance__title", "email", "name", "section", "role", "limits", "notes")),
    "limits": (Quota, "user", ("instance__title", *KEYS)),
    "labs": (
        Workload,
        "owner",
        (
            "id", "name", "instance__title", "template__title", "image", *ASKED, "parameters",
            "state", "end_reason", "created_at", "started_at", "expires_at", "ended_at",
        ),
    ),
    "history": (Event, "user", ("at", "verb", "subject", "instance__title", "before", "after", "reason")),
    "mails": (Mail, "user", ("kind", "recipient", "instance__title", "state", "created_at", "sent_at")),
}  # fmt: skip


def data_of(user: User, *, now: datetime.datetime) -> dict[str, Any]:
    """For a JSON file: the profile, and one list a kind of row, each of the person's own rows only."""
    profile = {
        "email": user.email, "name": user.name, "affiliation": user.affiliation, "registered": user.created_at,
        "last_sign_in": user.last_login,
    }  # fmt: skip
    lists = {
        key: [_plain(row) for row in model.objects.filter(**{whose: user}).order_by("pk").values(*fields)]
        for key, (model, whose, fields) in FIELDS.items()
    }
    return {"made_at": now, "profile": profile, **lists}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Names as people would write them: "instance" for "instance__title"."""
    return {key.removesuffix("__title"): value for key, value in row.items()}
