"""What the site has asked of real clusters in all other tests, by their audit logs, beside its rights (k8s/site/rbac.yaml)."""

from __future__ import annotations

from typing import Any

import pytest

from k8s.instance_objects import SPARK_VERBS
from tests.support.site_account import Right, granted, refused, used

pytestmark = [pytest.mark.k8s, pytest.mark.last]


def test_the_site_was_refused_nothing(calls_of_the_site: list[dict[str, Any]]) -> None:
    assert not refused(calls_of_the_site), "add what is missing to k8s/site/rbac.yaml"


def test_the_site_has_used_every_right(calls_of_the_site: list[dict[str, Any]], request: pytest.FixtureRequest) -> None:
    """Or has given it to Spark's drivers: Kubernetes lets nobody give what they do not have."""
    config = request.config
    if config.getoption("keyword") or (config.args != [str(config.rootpath / "tests")] and config.args != ["tests"]):
        pytest.skip("only some of the tests ran: make test-k8s")
    taken = used(calls_of_the_site)
    if Right("rbac.authorization.k8s.io", "roles", "create") in taken:
        taken |= {Right("", resource, verb) for resource in ("pods", "services", "configmaps") for verb in SPARK_VERBS}
    never: set[Right] = granted() - taken
    assert not never, "remove from k8s/site/rbac.yaml, or write the test that uses it"
