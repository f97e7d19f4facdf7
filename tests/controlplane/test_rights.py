"""The site's own rights (k8s/site/rbac.yaml): enough for all that it does, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8s.instance_objects import SPARK_VERBS
from tests.support.controlplane import ControlPlane
from tests.support.site_account import USER, Right, granted, refused, rules, used


def test_no_right_is_a_way_to_more_rights() -> None:
    for right in granted():
        assert "*" not in "".join(right), right
        assert right.verb not in ("escalate", "bind", "impersonate"), right
        assert right.resource not in ("serviceaccounts/token", "pods/exec", "pods/attach", "nodes/proxy"), right
    assert not [rule for rule in rules() if rule.get("nonResourceURLs")]


def test_no_secret_is_read() -> None:
    """The removal of a collection is answered with all that was in it, and so is a dry run of that."""
    reading = ("get", "list", "watch", "deletecollection")
    assert not {right for right in granted() if right.resource == "secrets" and right.verb in reading}


@pytest.mark.k8s
@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        ("list", "secrets", ""),
        ("get", "secrets", "kube-system"),
        ("deletecollection", "secrets", "default"),
        ("create", "pods/exec", "default"),
        ("delete", "nodes", ""),
    ],
)
def test_the_cluster_refuses_what_the_site_does_not_need(
    control_plane: ControlPlane, site_account: Path, verb: str, resource: str, namespace: str
) -> None:
    assert not _may(control_plane, verb, resource, namespace)


@pytest.mark.k8s
def test_the_cluster_allows_what_the_file_says(control_plane: ControlPlane, site_account: Path) -> None:
    assert _may(control_plane, "create", "pods", "default")


def _may(plane: ControlPlane, verb: str, resource: str, namespace: str) -> bool:
    """What the API server would say. Asked by the administrator, so that the site's own calls stay free of refusals."""
    name, _, subresource = resource.partition("/")
    about = {"verb": verb, "resource": name, "subresource": subresource, "namespace": namespace}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": USER, "resourceAttributes": about},
    }
    answer = plane.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


@pytest.mark.k8s
@pytest.mark.last
def test_the_site_was_refused_nothing(control_plane: ControlPlane) -> None:
    calls = control_plane.audit(USER)
    if not calls:
        pytest.skip("the site did nothing in these tests")
    assert not refused(calls), "add what is missing to k8s/site/rbac.yaml"


@pytest.mark.k8s
@pytest.mark.last
def test_the_site_has_used_every_right(control_plane: ControlPlane, request: pytest.FixtureRequest) -> None:
    """Or has given it to Spark's drivers: Kubernetes lets nobody give what they do not have."""
    config = request.config
    if config.getoption("keyword") or (config.args != [str(config.rootpath / "tests")] and config.args != ["tests"]):
        pytest.skip("only some of the tests ran: make test-k8s")
    taken = used(control_plane.audit(USER))
    if Right("rbac.authorization.k8s.io", "roles", "create") in taken:
        taken |= {Right("", resource, verb) for resource in ("pods", "services", "configmaps") for verb in SPARK_VERBS}
    never: set[Right] = granted() - taken
    assert not never, "remove from k8s/site/rbac.yaml, or write the test that uses it"
