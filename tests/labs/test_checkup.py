"""A look at a cluster: at which host its certificate is looked at."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest
from django.utils import timezone

from k8s import certificate
from k8s.checkup import Finding
from labs.models import State
from labs.services import checkup
from tests.factories import ClusterFactory, InstanceFactory, LabFactory, UserFactory

pytestmark = pytest.mark.django_db
WITH_EACH_LAB = ({"tls_secret": "wildcard"}, {"cluster_issuer": "letsencrypt"})


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hosts whose certificate was asked for; the cluster itself has all that it needs."""
    hosts: list[str] = []

    def look(host: str, port: int, *, now: datetime.datetime) -> Finding:
        hosts.append(host)
        return Finding("ok", "Good.")

    monkeypatch.setattr(certificate, "look", look)
    monkeypatch.setattr(checkup.clusters, "client", lambda cluster: SimpleNamespace(version=lambda: "v1.36"))
    monkeypatch.setattr(checkup, "examine", lambda client, expected, now: [Finding("ok", "It answers.")])
    return hosts


def checked(**cluster: str) -> list[str]:
    """What a look at such a cluster says, beside that it answers; a lab runs there, and one does not yet."""
    row = ClusterFactory(lab_domain="labs.example.org", lab_scheme="https", **cluster)
    instance = InstanceFactory(clusters=[row])
    LabFactory(instance=instance, name="answer", state=State.RUNNING)
    LabFactory(instance=instance, name="coming", state=State.STARTING)
    found = checkup.check(row, actor=UserFactory(is_superuser=True), now=timezone.now())
    return [finding.title for finding in found[1:]]


@pytest.mark.parametrize("cluster", [{}, {"gateway": "gateways/labs"}])
def test_a_certificate_that_the_cluster_holds_is_seen_at_any_name(
    looked_at: list[str], cluster: dict[str, str]
) -> None:
    assert checked(**cluster) == ["Good."]
    assert looked_at == ["connection-test.labs.example.org"]


@pytest.mark.parametrize("cluster", WITH_EACH_LAB)
def test_a_certificate_that_comes_with_a_lab_is_seen_at_one_that_runs(
    looked_at: list[str], cluster: dict[str, str]
) -> None:
    assert checked(**cluster) == ["Good."]
    assert looked_at == ["answer.labs.example.org"]


@pytest.mark.parametrize("cluster", WITH_EACH_LAB)
def test_where_no_lab_runs_such_a_certificate_is_not_missed(looked_at: list[str], cluster: dict[str, str]) -> None:
    row = ClusterFactory(lab_scheme="https", **cluster)
    found = checkup.check(row, actor=UserFactory(is_superuser=True), now=timezone.now())
    assert [finding.tone for finding in found] == ["ok", "wait"]
    assert found[1].text == "It is issued with a lab, and no lab is running there now."
    assert not looked_at
