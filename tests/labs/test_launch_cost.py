"""What a launch costs the database: a class of hundreds launches in the same minute."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from labs.models import State, Workload
from tests.labs.test_launch import launched

pytestmark = pytest.mark.django_db


def test_the_statements_of_a_launch(
    world: SimpleNamespace, django_capture_on_commit_callbacks: Any, django_assert_max_num_queries: Any
) -> None:
    """Savepoint and task included. The first of a person also writes whose the host is, and the row that counts launches."""
    with django_assert_max_num_queries(23), django_capture_on_commit_callbacks(execute=True):
        lab = launched(world)
    Workload.objects.filter(pk=lab.pk).update(state=State.ENDED, end_reason="user", ended_at=world.now)
    with django_assert_max_num_queries(19), django_capture_on_commit_callbacks(execute=True):
        launched(world)
