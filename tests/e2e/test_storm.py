"""Steadiness: many launches and stops, a cluster that fails, programs that are killed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from k8s import labels
from k8s.client import Client
from k8s.errors import Unavailable
from labs.services.rendering import WORKLOAD_KINDS
from tests.support.site import ROOT
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow]
SEED = 7


def ours(client: Client) -> list[str]:
    """Everything of any workload that is on the cluster."""
    return [
        f"{kind} {item['metadata']['name']}"
        for kind in WORKLOAD_KINDS
        for item in client.list(kind, labels=labels.WORKLOAD, metadata_only=True).items
    ]


def _is_empty(client: Client) -> bool:
    """Whether nothing is left; False where our own look has met too many of the faults in a row."""
    try:
        return not ours(client)
    except Unavailable:
        return False


def test_100_labs_stopped_at_random_moments_of_their_start_leave_nothing_though_one_call_in_five_fails(
    hollow_stack: Stack,
) -> None:
    client = hollow_stack.client()
    assert hollow_stack.cluster
    hollow_stack.cluster.faults(error_rate=0.2, codes=[500, 503])
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.storm", "100", str(SEED)],
        env={**hollow_stack.env, "LOG_LEVEL": "ERROR"}, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    print(done.stdout)
    ended = time.monotonic()
    count = "from labs.models import Workload; print(Workload.objects.live().count())"
    until(
        lambda: _is_empty(client) and hollow_stack.shell(count) == "0",
        60,
        "nothing of ours is left and no row is stuck",
        every=1.0,
    )
    print(f"all gone {time.monotonic() - ended:.1f} s after the last stop")
