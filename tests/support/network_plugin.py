"""A real plugin for network policies, kube-router, on a machine of the tests' that is a node of their control plane."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

from k8s.kinds import path
from tests.controlplane.programs import NETWORK_PLUGIN
from tests.support import machine as machine_of
from tests.support.cluster import wait_for
from tests.support.controlplane import ControlPlane
from tests.support.machine import Machine
from tests.support.netns import Namespace

NAME = "kube-router"
NODE = "machine-1"
#: What it asks of iptables and ipset, in three rules.
_MATCHES = "-m set --match-set probe src -m physdev --physdev-is-bridged -m comment --comment x -m mark ! --mark 1/1"
_PROBES = (
    "-m addrtype --src-type LOCAL -m conntrack --ctstate INVALID -j DROP",
    "-m limit --limit 1/m -j NFLOG --nflog-group 100",
    "-j REJECT",
)
_RBAC = "rbac.authorization.k8s.io"
_LOOK = ["get", "list", "watch"]
#: What its documentation gives it, without what it writes when it serves as router and for Services.
_RULES = [
    {"apiGroups": [""], "resources": ["namespaces", "pods", "services", "nodes", "endpoints"], "verbs": _LOOK},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _LOOK},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _LOOK},
]


def missing() -> str:
    """Why it cannot run here, in one line; empty when it can."""
    if why := NETWORK_PLUGIN.missing():
        return why
    if os.geteuid():
        return "a machine with network policies needs root"
    if absent := [name for name in ("ip", "iptables", "ipset") if not shutil.which(name)]:
        return f"{', '.join(absent)} not installed (Debian: iproute2, iptables, ipset)"
    try:
        with Namespace() as one, Namespace() as other:
            one.run(f"link add probe type veth peer name probe netns {other.path}")
            one.execute(["ipset", "create", "probe", "hash:net", "timeout", "0"])
            for probe in _PROBES:
                one.execute(["iptables", "-A", "FORWARD", *_MATCHES.split(), *probe.split()])
    except OSError as problem:
        return f"there can be no machine with network policies here: {problem}"
    return ""


@contextlib.contextmanager
def running(plane: ControlPlane, machine: Machine) -> Iterator[None]:
    """Have the plugin see to the policies of the pods on this machine."""
    kubeconfig = plane.identity.add_user(NAME, _account(plane))
    options = ["--run-firewall=true", "--run-router=false", "--run-service-proxy=false"]
    command = [NETWORK_PLUGIN.folder() / NAME, f"--kubeconfig={kubeconfig}", "--service-cluster-ip-range=10.96.0.0/16"]
    try:
        _add_node(plane)
        with _bridge(machine.itself, plane.identity.ports["kube-apiserver"]):
            environment = {"NODE_NAME": NODE}
            machine.itself.inside(lambda: plane.processes.start(NAME, [*command, *options], env=environment))
            try:
                wait_for("the plugin has made its chains", lambda: _works(plane, machine))
                yield
            finally:
                plane.processes.end(NAME)
    finally:
        plane.detach(NODE)


def _works(plane: ControlPlane, machine: Machine) -> bool:
    assert plane.processes.find(NAME), f"{NAME} has ended: {plane.processes.tail(NAME)}"
    with contextlib.suppress(OSError):
        machine.itself.execute(["iptables", "-S", "KUBE-NWPLCY-DEFAULT"])
        return True
    return False


def _add_node(plane: ControlPlane) -> None:
    """Nothing is scheduled to it: pods of other tests must not come to a machine that runs none."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": {"unschedulable": True}}
    put_status(plane, plane.client().apply(node), addresses=[{"type": "InternalIP", "address": machine_of.ADDRESS}])


def _account(plane: ControlPlane) -> str:
    """Make its account; the token."""
    client, named = plane.client(), {"apiVersion": f"{_RBAC}/v1", "metadata": {"name": NAME}}
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}
    client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": "kube-system"}})
    client.apply({**named, "kind": "ClusterRole", "rules": _RULES})
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME}
    client.apply({**named, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [account]})
    token = f"{path('ServiceAccount', 'kube-system', NAME)}/token"
    return str(plane.request("POST", token, {"spec": {"expirationSeconds": 24 * 3600}})["status"]["token"])


def put_status(plane: ControlPlane, obj: dict[str, Any], **status: Any) -> None:
    """Say of an object what only its machine says, whatever controllers write into it at the same time."""
    meta = obj["metadata"]
    place = f"{path(obj['kind'], meta.get('namespace'), meta['name'])}/status"
    fresh = plane.request("GET", place)
    del fresh["metadata"]["resourceVersion"]
    plane.request("PUT", place, {**fresh, "status": {**fresh.get("status", {}), **status}})


@contextlib.contextmanager
def _bridge(namespace: Namespace, port: int) -> Iterator[None]:
    """Whoever asks this port of loopback in the namespace asks the same port of this machine's loopback."""
    with _Bridge(namespace, port) as bridge:
        thread = threading.Thread(target=bridge.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            bridge.shutdown()
            thread.join()


class _Onward(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(self.server.server_address) as server,  # type: ignore[arg-type]
            selectors.DefaultSelector() as ends,
        ):
            ends.register(self.request, selectors.EVENT_READ, server)
            ends.register(server, selectors.EVENT_READ, self.request)
            while True:
                for key, _ in ends.select():
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                    if not data:
                        return
                    key.data.sendall(data)


class _Bridge(socketserver.ThreadingTCPServer):
    """Its threads are not in the namespace, so what they open is not; only where it listens is."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, namespace: Namespace, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Onward, bind_and_activate=False)
        self.socket.close()
        self.socket = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.server_bind()
        self.server_activate()
