"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Postgres, binaries


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of our own; skipped, with the reason, where none is installed."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    # The server's user must be able to reach its folder, and pytest's own is private.
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="mlsite-postgres-"))
    folder.chmod(0o755)
    server = Postgres(folder / "server")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty data base for programs that the test starts, once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/site.sqlite3"
    server: Any = request.getfixturevalue("postgres")
    return str(server.url(f"test_{os.getpid()}_{abs(hash(request.node.name)) % 10**8}"))


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API server: that of MLSITE_TEST_KUBECONFIG, or an embedded one without a node."""
    if given := os.environ.get("MLSITE_TEST_KUBECONFIG"):
        yield given
        return
    from tests.support.devcluster import DevCluster

    cluster = DevCluster.start(tmp_path_factory.mktemp("apiserver"))
    try:
        yield str(cluster.kubeconfig)
    finally:
        cluster.stop()
