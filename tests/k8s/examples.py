"""What the tests of this package render and check: one lab, as the site describes it."""

import json
import uuid
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
UID = uuid.UUID("5c0ffee5-0000-4000-8000-000000000001")
NAME = "my-lab-5c0ffee5"
NAMESPACE = "mlsite-ml101"
HOST = "my-lab.labs.example.org"
IMAGE = "jupyter/scipy-notebook:2023-10-20"
GIT_IMAGE = "alpine/git:2.45.2"
LABELS = {
    "app.kubernetes.io/managed-by": "mlsite",
    "mlsite/site": "site-1",
    "mlsite/instance": "ml101",
    "mlsite/workload": str(UID),
}


def context(**changes: Any) -> dict[str, Any]:
    """The context of a plain lab: no GPU, no repository, no TLS of its own."""
    return {
        "name": "my-lab",
        "object_name": NAME,
        "namespace": NAMESPACE,
        "host": HOST,
        "uid": str(UID),
        "labels": LABELS,
        "expires": "1767225600",
        "image": IMAGE,
        "git_image": GIT_IMAGE,
        "cpu_request_millis": 500,
        "cpu_limit_millis": 1000,
        "memory_mib": 1024,
        "gpus": 0,
        "gpu_label": {},
        "repository": "",
        "repository_dir": "repository",
        "branch": "",
        "config": {"IdentityProvider": {"token": "t0ken-of-the-lab"}},
        "scratch_gib": 10,
        "home_gib": 5,
        "shm_mib": 512,
        "ingress_class": "",
        "tls": [],
        "ingress_annotations": {},
        "gateway": {},
        "run_as_user": 1000,
        "group": 100,
        **changes,
    }


def full_context() -> dict[str, Any]:
    """The context of a lab with all that the template knows."""
    return context(
        gpus=2,
        gpu_label={"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
        repository="https://git.example.org/course/exercises.git",
        repository_dir="exercises",
        branch="week-3",
        ingress_class="nginx",
        tls=[{"hosts": [HOST], "secretName": "labs-wildcard"}],
        ingress_annotations={"nginx.ingress.kubernetes.io/proxy-read-timeout": "86400"},
    )


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())
