"""The whole site, each program a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.databases import Databases
from tests.support.stack import NO_IMAGES, Stack


@pytest.fixture
def hollow_stack(tmp_path: Path, demo_on_postgres: str) -> Iterator[Stack]:
    """A site whose node only pretends to run pods, for many of them; on PostgreSQL, as in production."""
    stack = Stack(
        tmp_path / "stack",
        database_url=demo_on_postgres,
        hollow=True,
        capacity={"cpu": "400", "memory": "800Gi", "pods": "1000"},
    )
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def stack(tmp_path: Path, databases: Databases) -> Iterator[Stack]:
    """A site that runs real labs on the embedded cluster."""
    if NO_IMAGES:
        pytest.skip(NO_IMAGES)
    stack = Stack(tmp_path / "stack", database_url=databases.sqlite(tmp_path / "site.sqlite3", demo=True))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def real_stack(
    tmp_path: Path, databases: Databases, control_plane: ControlPlane, site_account: Path
) -> Iterator[Stack]:
    """A site that runs real labs on a real control plane, with no more than its own rights."""
    if NO_IMAGES:
        pytest.skip(NO_IMAGES)
    url = databases.sqlite(tmp_path / "site.sqlite3", demo=True)
    stack = Stack(tmp_path / "stack", database_url=url, plane=control_plane, account=site_account)
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
