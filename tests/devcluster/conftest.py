"""Fixtures of the tests of the API server: most run against the embedded one and against a real one, which is right."""

import itertools
from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster, wait_for
from tests.support.devcluster import DevCluster

from .apiserver_support import Space

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


def _space(cluster: Cluster) -> Space:
    found = Space(cluster, f"test-{next(_numbers)}")
    found.make("/api/v1/namespaces", {"metadata": {"name": found.name}})
    # Pods cannot be made before; a real controller takes a moment.
    wait_for("the namespace's account", lambda: not found.gone("serviceaccounts/default"))
    return found


@pytest.fixture
def space(cluster: Cluster) -> Space:
    """A namespace for a test."""
    return _space(cluster)


@pytest.fixture
def embedded_space(embedded: DevCluster) -> Space:
    """A namespace for a test of what the embedded API server alone does."""
    return _space(embedded)
