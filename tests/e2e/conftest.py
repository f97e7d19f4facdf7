"""The whole site, each program a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import NO_IMAGES, Stack


@pytest.fixture
def hollow_stack(tmp_path: Path) -> Iterator[Stack]:
    """A site whose node only pretends to run pods: for many of them."""
    stack = Stack(tmp_path / "stack", hollow=True, capacity={"cpu": "400", "memory": "800Gi", "pods": "1000"})
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A site that runs real labs."""
    if NO_IMAGES:
        pytest.skip(NO_IMAGES)
    stack = Stack(tmp_path / "stack")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
