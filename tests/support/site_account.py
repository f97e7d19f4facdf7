"""The site's own account on a cluster, with the rights that it is shipped with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from k8s.client import Client, Error, Rejected
from tests.support.cluster import wait_for

_ROOT = Path(__file__).resolve().parents[2]
#: Those without which nothing runs, and those for what some clusters have beside: a Gateway, a look at what is there.
RIGHTS = (_ROOT / "k8s" / "site" / "rbac.yaml", _ROOT / "k8s" / "site" / "rbac-more.yaml")
POLICY = _ROOT / "k8s" / "site" / "policy.yaml"
NAMESPACE = ACCOUNT = "mlsite"
#: What the tests' labs are called and made of.
DOMAINS = "example.org,localhost,localtest.me"
IMAGES = "jupyter/,alpine/git:,busybox:,python:,debian:,alpine:,example/"
#: By which the API server and its audit log know it.
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


class Right(NamedTuple):
    """One verb on one kind of object; `resource` is "pods" or "pods/log"."""

    group: str
    resource: str
    verb: str


def make(kubeconfig: str | Path, folder: Path) -> Path:
    """Make the account and its rights as an operator does; the kubeconfig of a token of a day."""
    for file in RIGHTS:
        _kubectl(kubeconfig, folder, "apply", "-f", str(file))
    _hold_to_policy(kubeconfig, folder)
    return _kubeconfig_of(ACCOUNT, kubeconfig, folder)


def make_bare(kubeconfig: str | Path, folder: Path) -> Path:
    """Another account beside that of `make`, which has no more than rbac.yaml gives."""
    bind = ("--clusterrole", ACCOUNT, "--serviceaccount", f"{NAMESPACE}:bare")
    _kubectl(kubeconfig, folder, "create", "serviceaccount", "bare", "-n", NAMESPACE)
    _kubectl(kubeconfig, folder, "create", "clusterrolebinding", "mlsite-bare", *bind)
    return _kubeconfig_of("bare", kubeconfig, folder)


def _kubeconfig_of(account: str, kubeconfig: str | Path, folder: Path) -> Path:
    token = _kubectl(kubeconfig, folder, "create", "token", account, "-n", NAMESPACE, "--duration", "24h").strip()
    config = yaml.safe_load(Path(kubeconfig).read_text())
    current = next(one for one in config["contexts"] if one["name"] == config["current-context"])
    config["contexts"] = [{"name": "site", "context": {"cluster": current["context"]["cluster"], "user": "site"}}]
    config.update({"current-context": "site", "users": [{"name": "site", "user": {"token": token}}]})
    path = folder / f"{account}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def _hold_to_policy(kubeconfig: str | Path, folder: Path) -> None:
    """Apply the cluster's own check, and wait until it checks."""
    _kubectl(kubeconfig, folder, "apply", "-f", str(POLICY))
    data = json.dumps({"data": {"domains": DOMAINS, "images": IMAGES}})
    _kubectl(kubeconfig, folder, "patch", "configmap", "mlsite-policy", "-n", NAMESPACE, "--type=merge", "-p", data)
    probe = Client.from_kubeconfig(kubeconfig)
    labels = {"mlsite/site": "probe"}
    probe.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ml-probe", "labels": labels}})
    try:
        wait_for("the cluster refuses what its policy says", lambda: _is_held(probe))
    finally:
        probe.delete("Namespace", "ml-probe")


def _is_held(probe: Client) -> bool:
    """Each binding becomes active by itself: one object that only the last of them would refuse is asked for each."""
    tries: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth", "stringData": {"username": "x"}},
        {"apiVersion": "v1", "kind": "Service", "spec": {"type": "ExternalName", "externalName": "x.example.com"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"rules": [{"host": "x.example.com"}]}},
        {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "x", "image": "other/image"}]}},
    ]
    for obj in tries:
        try:
            probe.apply({**obj, "metadata": {"name": "probe", "namespace": "ml-probe"}})
        except Rejected as refusal:
            if "ValidatingAdmissionPolicy" in refusal.message:
                continue
        except Error:
            pass
        return False
    return True


def _kubectl(kubeconfig: str | Path, folder: Path, *words: str) -> str:
    program = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or "kubectl"
    command = [program, "--kubeconfig", str(kubeconfig), "--cache-dir", str(folder / "kubectl"), *words]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"kubectl {words[0]}: {done.stderr}"
    return done.stdout


def rules() -> list[dict[str, Any]]:
    """Every rule of every role of the files."""
    documents = [one for file in RIGHTS for one in yaml.safe_load_all(file.read_text())]
    return [rule for one in documents if one["kind"] in ("ClusterRole", "Role") for rule in one["rules"]]


def granted() -> set[Right]:
    """What the files give."""
    return {
        Right(group, resource, verb)
        for rule in rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(calls: Iterable[dict[str, Any]]) -> set[Right]:
    """What these calls of an audit log have taken."""
    found: set[Right] = set()
    for call in calls:
        if right := _right(call):
            found.add(right)
            # Server-side apply is asked for as a patch, and the API server wants create too where it makes something.
            if right.verb == "patch" and call["responseStatus"].get("code") == 201:
                found.add(right._replace(verb="create"))
    return found


def refused(calls: Iterable[dict[str, Any]]) -> set[str]:
    """What was not allowed: the right that was missing and an example. A full quota is 403 too, and allowed."""
    found: dict[Right | None, str] = {}
    for call in calls:
        if call.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid":
            found.setdefault(_right(call), call["requestURI"])
        elif call["responseStatus"].get("code") == 403 and "is forbidden: User " in call["responseStatus"].get(
            "message", ""
        ):
            found.setdefault(_right(call), call["requestURI"])  # the second question of an apply
    return {f"{right and ' '.join(right)}: {uri}" for right, uri in found.items()}


def _right(call: dict[str, Any]) -> Right | None:
    """The right that a call needs; None for what is not about objects, such as /version."""
    target = call.get("objectRef")
    if not target or not target.get("resource"):
        return None
    resource = "/".join(part for part in (target["resource"], target.get("subresource")) if part)
    return Right(target.get("apiGroup", ""), resource, call["verb"])
