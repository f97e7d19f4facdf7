"""Candidates for one lease, on living API servers: the embedded one and a real one."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from k8s import lease
from k8s.client import Client, Conflict
from k8s.lease import DURATION, RENEW_EVERY, Election
from tests.support.devcluster import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.alone]
#: Seconds; a tenth of the real ones, so that what takes the lease's time is soon seen.
QUICK: dict[str, Any] = {"duration": 1.5, "renew_every": 0.5}


class Candidate:
    """A program that stands for election until it is stopped or lost."""

    def __init__(self, kubeconfig: str, namespace: str, identity: str, **options: Any) -> None:
        self.client = Client.from_kubeconfig(kubeconfig, retries=0)
        self.identity, self.alive = identity, True
        self.led: list[float] = []
        self.ended: list[float] = []
        self.stop = threading.Event()
        self.election = Election(
            self.client, namespace=namespace, name="watcher", identity=identity, is_alive=lambda: self.alive,
            **{**QUICK, **options},
        )  # fmt: skip
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.election.run(
            self.stop,
            on_lead=lambda: self.led.append(time.monotonic()),
            on_lost=lambda: self.ended.append(time.monotonic()),
        )

    @property
    def leads(self) -> bool:
        return self.election.leads

    def hang(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As a program that was killed, or whose machine was: no further renewal, no release."""
        monkeypatch.setattr(self.election, "_renew", lambda: threading.Event().wait())
        monkeypatch.setattr(self.election, "_release", lambda: None)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(5)


@pytest.fixture
def candidates(kubeconfig: str) -> Iterator[Any]:
    """A function that makes candidates for a lease in a namespace of the test's own, which nobody has made yet."""
    namespace = f"election-{uuid.uuid4().hex[:8]}"
    made: list[Candidate] = []

    def make(identity: str, **options: Any) -> Candidate:
        made.append(Candidate(kubeconfig, namespace, identity, **options))
        return made[-1]

    make.namespace = namespace  # type: ignore[attr-defined]
    make.client = Client.from_kubeconfig(kubeconfig)  # type: ignore[attr-defined]
    yield make
    for one in made:
        one.end()
    make.client.delete("Namespace", namespace)  # type: ignore[attr-defined]


def holder(candidates: Any) -> str:
    found = candidates.client.get("Lease", "watcher", candidates.namespace)
    return str(found["spec"].get("holderIdentity", ""))


def test_one_of_many_leads_and_a_clean_stop_hands_over_at_once(candidates: Any) -> None:
    all_of_them = [candidates(f"c{number}", duration=30.0) for number in range(4)]
    first = wait_for("a leader", lambda: next((one for one in all_of_them if one.leads), None))
    time.sleep(2)  # nobody else comes to lead meanwhile
    assert [one.leads for one in all_of_them].count(True) == 1
    assert holder(candidates) == first.identity
    stopped = time.monotonic()
    first.end()
    second = wait_for("another leader", lambda: next((one for one in all_of_them if one.leads), None), 5)
    assert second is not first
    assert second.led[0] - stopped < 3
    assert first.ended[0] <= second.led[0]


def test_one_that_is_silent_is_followed_when_its_lease_has_run_out(
    candidates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = candidates("first")
    wait_for("the first leads", lambda: first.leads)
    second = candidates("second")
    time.sleep(3)  # twice the lease: it is renewed
    assert not second.led
    first.hang(monkeypatch)
    silent = time.monotonic()
    wait_for("the second leads", lambda: second.leads, 10)
    assert 0.5 < second.led[0] - silent < QUICK["duration"] + 1
    found = candidates.client.get("Lease", "watcher", candidates.namespace)
    assert found["spec"]["leaseTransitions"] == 1


def test_the_times_in_the_lease_are_not_believed(candidates: Any) -> None:
    client, namespace = candidates.client, candidates.namespace
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    old = "2001-01-01T00:00:00.000000Z"  # by a clock that is wrong
    spec = {"holderIdentity": "slow-clock", "leaseDurationSeconds": 1, "acquireTime": old, "renewTime": old}
    held = client.create(
        {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec,
            "metadata": {"name": "watcher", "namespace": namespace},
        }
    )  # fmt: skip
    one = candidates("one")
    for number in range(8):
        held = client.replace({**held, "spec": {**spec, "leaseTransitions": number}})  # it is alive: it changes
        time.sleep(0.4)
    assert not one.led
    wait_for("it is silent now", lambda: one.leads, 10)


def test_one_whose_lease_was_taken_notices_and_stops(candidates: Any) -> None:
    one = candidates("one")
    wait_for("it leads", lambda: one.leads)
    client, namespace = candidates.client, candidates.namespace

    def take() -> bool:
        found = client.get("Lease", "watcher", namespace)
        found["spec"]["holderIdentity"] = "thief"
        try:
            return bool(client.replace(found))
        except Conflict:
            return False

    wait_for("it is taken", take)
    wait_for("it has noticed", lambda: one.ended, 3)
    wait_for("it leads again when the other is silent", lambda: len(one.led) == 2, 10)


def test_a_lease_that_is_removed_is_made_again(candidates: Any) -> None:
    one = candidates("one")
    wait_for("it leads", lambda: one.leads)
    candidates.client.delete("Lease", "watcher", candidates.namespace)
    wait_for("it leads again", lambda: len(one.led) == 2 and one.leads, 10)
    assert holder(candidates) == "one"


def test_one_that_makes_no_progress_hands_over(candidates: Any) -> None:
    first = candidates("first", duration=30.0)
    wait_for("the first leads", lambda: first.leads)
    second = candidates("second", duration=30.0)
    first.alive = False
    wait_for("the second leads", lambda: second.leads, 10)
    assert not first.leads
    time.sleep(1)
    assert second.leads


def test_the_terms_keep_what_is_promised() -> None:
    assert DURATION + 2 * lease.TICK < 15  # a leader that was lost is followed within 15 s
    assert 60 / RENEW_EVERY <= 6  # half of the calls that may be made in a minute
    assert DURATION - RENEW_EVERY >= lease.CALL_TIMEOUT  # a renewal can fail and be tried again
