"""The whole site, each program a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.postgres import Postgres
from tests.support.stack import NO_IMAGES, Stack


@pytest.fixture
def hollow_stack(tmp_path: Path, postgres: Postgres) -> Iterator[Stack]:
    """A site whose node only pretends to run pods, for many of them; on PostgreSQL, as in production."""
    stack = Stack(
        tmp_path / "stack",
        database_url=postgres.url(f"site_{uuid4().hex[:8]}"),
        hollow=True,
        capacity={"cpu": "400", "memory": "800Gi", "pods": "1000"},
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A site that runs real labs on the embedded cluster."""
    if NO_IMAGES:
        pytest.skip(NO_IMAGES)
    stack = Stack(tmp_path / "stack")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def real_stack(tmp_path: Path, control_plane: ControlPlane, site_account: Path) -> Iterator[Stack]:
    """A site that runs real labs on a real control plane, with no more than its own rights."""
    if NO_IMAGES:
        pytest.skip(NO_IMAGES)
    stack = Stack(tmp_path / "stack", plane=control_plane, account=site_account)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        client = control_plane.client()
        for slug in ("physics-250", "jet-workshop"):
            client.delete("Namespace", f"ml-{slug}")


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.k8s)])
def any_stack(request: pytest.FixtureRequest) -> Stack:
    """A site that runs real labs, once on the embedded cluster and once on a real control plane."""
    found: Stack = request.getfixturevalue("stack" if request.param == "embedded" else "real_stack")
    return found
