"""What is left when the site costs nothing: the objects of labs, ready-made, sent to the control plane by one process.

`python -m bench.control_plane_alone 500:0 1000:10`, beside `bench.class_start`, whose rig it is: the same objects, account, policies and
hollow node, without the site, its data base, and the last call of a launch.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.class_start import NODE_SECONDS, THREADS, at, conditions, report_cpu
from k8s.client import Client
from k8s.errors import Unavailable
from k8s.instance_objects import instance_objects
from k8s.manifests import owned
from tests.k8s import examples
from tests.support import site_account
from tests.support.controlplane import ControlPlane
from tests.support.stack import until

SPACE = "ml-alone"
CAPACITY = {"cpu": "4000", "memory": "8000Gi", "pods": "20000", "ephemeral-storage": "20000Gi"}


def main(runs: list[tuple[int, float]]) -> None:
    for number, (labs, seconds) in enumerate(runs):
        with tempfile.TemporaryDirectory(prefix="mlsite-bench-") as name, ControlPlane.start(Path(name)) as plane:
            (Path(name) / "account").mkdir()
            client = Client.from_kubeconfig(str(site_account.make(plane.kubeconfig, Path(name) / "account")))
            plane.attach_kubelet("node", hollow=True, capacity=CAPACITY)
            if number == 0:
                conditions(plane)
            for manifest in instance_objects(
                name="alone", namespace=SPACE, site="site-1", quota={}, ingress_namespace_labels={"a": "b"}
            ):
                client.apply(manifest)
            time.sleep(5)
            measure(plane, client, labs, seconds)


def measure(plane: ControlPlane, client: Client, labs: int, seconds: float) -> None:
    classes = [_objects(number) for number in range(labs)]
    ready: dict[str, float] = {}
    version = client.list("Pod", SPACE).resource_version
    threading.Thread(target=_follow, args=(client, version, ready), daemon=True).start()
    used, begun = cpu_seconds(plane), time.time()
    due = [begun + 0.5 + number * seconds / labs for number in range(labs)]

    def one(number: int) -> None:
        time.sleep(max(0.0, due[number] - time.time()))
        secret, *others = classes[number]
        uid = client.create(secret)["metadata"]["uid"]
        for manifest in owned(others, secret, uid):
            client.create(manifest)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, range(labs)))
    until(lambda: len(ready) >= labs, 600, "all are ready")
    waited = sorted(ready[f"lab-{number}"] - due[number] - NODE_SECONDS for number in range(labs))
    print(f"{labs} labs in {seconds:g} s" if seconds else f"{labs} labs at once")
    print(f"  request to ready: p50 {at(waited, 0.5):.1f} s, p99 {at(waited, 0.99):.1f} s")
    report_cpu(used, cpu_seconds(plane), time.time() - begun)


def _objects(number: int) -> list[dict[str, Any]]:
    text = json.dumps(examples.golden("lab"))
    for old, new in (
        (examples.NAME, f"lab-{number}"),
        (str(examples.UID), str(uuid.uuid4())),
        (examples.NAMESPACE, SPACE),
        (examples.HOST, f"lab-{number}.example.org"),
    ):
        text = text.replace(old, new)
    found: list[dict[str, Any]] = json.loads(text)
    return found


def _follow(client: Client, version: str, ready: dict[str, float]) -> None:
    with suppress(Unavailable):  # at the end
        for _, pod in client.watch("Pod", namespace=SPACE, resource_version=version, timeout_seconds=600):
            said = pod.get("status", {}).get("conditions", [])
            if any(one["type"] == "Ready" and one["status"] == "True" for one in said):
                ready.setdefault(pod["metadata"]["name"], time.time())


def cpu_seconds(plane: ControlPlane) -> dict[str, float]:
    programs = {name: process for name in plane.processes.names() if (process := plane.processes.find(name))}
    found = {name: sum(process.cpu_times()[:2]) for name, process in programs.items()}
    return found | {"this process": sum(psutil.Process().cpu_times()[:2]), "idle": psutil.cpu_times().idle}


if __name__ == "__main__":
    asked = [one.split(":") for one in sys.argv[1:]] or [("500", "0"), ("1000", "10")]
    main([(int(labs), float(seconds)) for labs, seconds in asked])
