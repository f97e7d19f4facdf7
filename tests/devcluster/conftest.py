"""Fixtures of the tests of the API server: most run against the embedded one and against a real one, which is right."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.cluster import Cluster, wait_for
from tests.support.devcluster import DevCluster

from .apiserver_support import ROOT, Space

_numbers = itertools.count()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """An embedded API server for the tests of a module."""
    with DevCluster.start(tmp_path_factory.mktemp("apiserver")) as started:
        yield started


@pytest.fixture(scope="module", params=["embedded", pytest.param("real", marks=pytest.mark.k8s)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """An API server for the tests of a module."""
    found: Cluster = request.getfixturevalue("embedded" if request.param == "embedded" else "control_plane")
    return found


@contextmanager
def _space(cluster: Cluster) -> Iterator[Space]:
    found = Space(cluster, f"test-{next(_numbers)}")
    found.make("/api/v1/namespaces", {"metadata": {"name": found.name}})
    # Pods cannot be made before; a real controller takes a moment.
    for furniture in ("serviceaccounts/default", f"configmaps/{ROOT}"):
        wait_for(f"the namespace's {furniture}", lambda path=furniture: not found.gone(path))
    yield found
    found.call("DELETE", "pods", {"gracePeriodSeconds": 0})  # or they would take the room of the next test's node
    found.call("DELETE", f"/api/v1/namespaces/{found.name}")


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Space]:
    """A namespace for a test."""
    with _space(cluster) as made:
        yield made


@pytest.fixture
def embedded_space(embedded: DevCluster) -> Iterator[Space]:
    """A namespace for a test of what the embedded API server alone does."""
    with _space(embedded) as made:
        yield made
