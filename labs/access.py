"""How far a person reaches in the console: which instances they run, and which rows belong to those.

What may be *done* to an object is asked of `accounts.rules.authority` by the services; this is what is shown at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest

from accounts.models import Letter, Mail, MailTemplate, Membership, User
from labs.models import Cluster, Event, Instance, Lab, Quota, ServiceTemplate, Workload

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

Rows = models.QuerySet[Any]


def person(request: HttpRequest) -> User:
    """Who is at the console. Nobody else comes this far; should they, they go no further."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


@dataclass(frozen=True)
class Reach:
    """What one person runs. A site administrator runs everything, and the sets stay empty."""

    is_administrator: bool
    managed: frozenset[int]
    owned: frozenset[int]
    #: Where they may write letters: what they own, and where the owners leave that to the staff.
    writable: frozenset[int] = frozenset()

    @property
    def enters(self) -> bool:
        """Whether the console is for this person at all."""
        return self.is_administrator or bool(self.managed)

    @property
    def owns_any(self) -> bool:
        return self.is_administrator or bool(self.owned)

    @property
    def writes_any(self) -> bool:
        return self.is_administrator or bool(self.writable)

    def writes(self, instance_id: int | None) -> bool:
        return self.is_administrator or instance_id in self.writable

    def manages(self, instance_id: int | None) -> bool:
        return self.is_administrator or instance_id in self.managed

    def owns(self, instance_id: int | None) -> bool:
        return self.is_administrator or instance_id in self.owned


def reach(request: HttpRequest) -> Reach:
    """The reach of the person of this request; found once a request, by two queries."""
    known: Reach | None = getattr(request, "_console_reach", None)
    if known is None:
        known = _find(request.user)
        request._console_reach = known  # type: ignore[attr-defined]
    return known


def _find(user: User | AnonymousUser) -> Reach:
    if not user.is_authenticated or not user.is_active:
        return Reach(False, frozenset(), frozenset())
    if user.is_superuser:
        return Reach(True, frozenset(), frozenset())
    found = dict(Instance.objects.managed_by(user).values_list("pk", "staff_may_write"))
    managed = frozenset(found)
    owned = frozenset(Instance.objects.owned_by(user).values_list("pk", flat=True)) if managed else frozenset()
    return Reach(False, managed, owned, owned | {pk for pk, staff_may_write in found.items() if staff_may_write})


def _of_instance(rows: Rows, instances: Rows) -> Rows:
    return rows.filter(instance__in=instances)


def _people(rows: Rows, instances: Rows) -> Rows:
    return rows.filter(pk__in=Membership.objects.filter(instance__in=instances).values("user"))


def _clusters(rows: Rows, instances: Rows) -> Rows:
    return rows.filter(instances__in=instances).distinct()


#: How the rows of each model hang on instances. A model that is not here is for site administrators only.
RULES: dict[type[models.Model], Callable[[Rows, Rows], Rows]] = {
    Instance: lambda rows, instances: rows.filter(pk__in=instances),
    Membership: _of_instance,
    Workload: _of_instance,
    Lab: _of_instance,
    Quota: _of_instance,
    Event: _of_instance,
    Mail: _of_instance,
    Letter: _of_instance,
    MailTemplate: _of_instance,
    User: _people,
    Cluster: _clusters,
    ServiceTemplate: lambda rows, instances: rows.filter(
        models.Q(is_current=True) | models.Q(instances__in=instances)
    ).distinct(),
}


def within_reach(rows: Rows, user: User | AnonymousUser) -> Rows:
    """Those of the rows that belong to instances that the person runs; all for a site administrator."""
    if user.is_active and user.is_superuser:
        return rows
    rule = RULES.get(rows.model)
    return rule(rows, Instance.objects.managed_by(user).order_by().values("pk")) if rule else rows.none()


def may(request: HttpRequest, question: Callable[[Any, Any], bool], obj: Any) -> bool:
    """The answer of `accounts.rules.authority`, asked once a request: Django's admin asks for each button again."""
    answers: dict[Any, bool] | None = getattr(request, "_console_answers", None)
    if answers is None:
        answers = request._console_answers = {}  # type: ignore[attr-defined]
    key = (question, type(obj), obj.pk)
    if key not in answers:
        answers[key] = question(request.user, obj)
    return answers[key]
