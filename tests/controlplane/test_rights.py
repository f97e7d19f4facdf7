"""The site's own rights (k8s/site/rbac.yaml): enough for all that it does, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.controlplane import ControlPlane
from tests.support.site_account import USER, granted, rules


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
