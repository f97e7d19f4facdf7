"""Fixtures of the tests of the API server."""

import itertools
from collections.abc import Iterator

import pytest

from tests.support.devcluster import DevCluster

from .apiserver_support import Space

_numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    """An API server for the tests of a module."""
    with DevCluster.start(tmp_path_factory.mktemp("apiserver")) as started:
        yield started


@pytest.fixture
def space(cluster: DevCluster) -> Space:
    """A namespace for a test."""
    found = Space(cluster, f"test-{next(_numbers)}")
    found.make("/api/v1/namespaces", {"metadata": {"name": found.name}})
    return found
