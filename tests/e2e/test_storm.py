"""Steadiness: many launches and stops, a cluster that fails, programs that are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request

import pytest
import yaml

from k8s import labels
from k8s.client import Client
from labs.services.rendering import WORKLOAD_KINDS
from tests.support.site import ROOT
from tests.support.stack import Stack, until

pytestmark = [pytest.mark.slow]
SEED = 7


def faults(stack: Stack, **wanted: object) -> None:
    """Tell the embedded API server to fail."""
    token = yaml.safe_load(stack.kubeconfig.read_text())["users"][0]["user"]["token"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.api_port}/devcluster/faults",
        data=json.dumps(wanted).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(request, timeout=10).close()


def ours(client: Client) -> list[str]:
    """Everything of any workload that is on the cluster."""
    return [
        f"{kind} {item['metadata']['name']}"
        for kind in WORKLOAD_KINDS
        for item in client.list(kind, labels=labels.WORKLOAD, metadata_only=True).items
    ]


def test_100_labs_stopped_at_random_moments_of_their_start_leave_nothing_though_one_call_in_five_fails(hollow_stack: Stack) -> None:
    client = hollow_stack.client()
    faults(hollow_stack, error_rate=0.2, codes=[500, 503])
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.storm", "100", str(SEED)],
        env={**hollow_stack.env, "LOG_LEVEL": "ERROR"}, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    print(done.stdout)
    ended = time.monotonic()
    count = "from labs.models import Workload; print(Workload.objects.live().count())"
    until(lambda: not ours(client) and hollow_stack.shell(count) == "0", 60, "nothing of ours is left and no row is stuck", every=1.0)
    print(f"all gone {time.monotonic() - ended:.1f} s after the last stop")
