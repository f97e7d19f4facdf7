"""An instance with its people, and lists for its roster."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.models import Role, RosterUpload, UploadState, User
from accounts.services.roster import uploads
from labs.errors import Refusal
from tests.factories import InstanceFactory, MembershipFactory, UserFactory


@pytest.fixture
def now() -> datetime.datetime:
    return timezone.now()


@pytest.fixture
def course(db: None) -> SimpleNamespace:
    """`owner`, `staff` and `member` of `instance`."""
    instance = InstanceFactory(slug="physics", title="Physics")
    people = {role.value: MembershipFactory(instance=instance, role=role).user for role in Role}
    return SimpleNamespace(instance=instance, **people)


@pytest.fixture
def keep(course: SimpleNamespace, now: datetime.datetime) -> Callable[..., RosterUpload]:
    """Upload a list as the owner, or as somebody else; returns the preview."""

    def make(content: bytes | str, actor: User | None = None, name: str = "list.csv", **more: Any) -> RosterUpload:
        given: dict[str, Any] = {"text": content} if isinstance(content, str) else {"content": content}
        upload = uploads.keep(
            instance=course.instance, actor=actor or course.owner, now=now, file_name=name, **given, **more
        )
        if upload.state == UploadState.WAITING:  # A large one: what a worker does.
            uploads.work_off(upload.pk, now=now)
            upload.refresh_from_db()
        if upload.state == UploadState.REFUSED:
            upload.delete()
            raise Refusal(upload.problem)
        return upload

    return make


@pytest.fixture
def load(
    course: SimpleNamespace, now: datetime.datetime, keep: Callable[..., RosterUpload]
) -> Callable[..., dict[str, int]]:
    """The same, and confirm it."""

    def make(content: bytes | str, actor: User | None = None, **more: Any) -> dict[str, int]:
        upload = keep(content, actor, **more)
        return uploads.confirm(upload.pk, instance=course.instance, actor=actor or course.owner, now=now)

    return make


def somebody(email: str, *, verified: bool = True) -> User:
    """A person with an account, whose address is verified or not."""
    user = UserFactory(email=email)
    EmailAddress.objects.create(user=user, email=email, verified=verified, primary=True)
    return user
