"""Logs, passed on from the kubelet of a pod's node."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from k8s.client import NotFound, Rejected
from k8s.devcluster.apiserver import certificate
from tests.support.cluster import Cluster, wait_for

from .apiserver_support import MERGE, Space, node, pod

_KUBECTL = Path(sys.executable).with_name("kubectl")


class _Kubelet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str] = []
    more = threading.Event()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "previous=true" in self.path:
            self.send_error(400, explain='previous terminated container "c" in pod "a" not found')
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b"first\n")
        if "follow=true" in self.path:
            self.more.wait(10)
            self._chunk(b"second\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def kubelet(space: Space, tmp_path: Path) -> Iterator[type[_Kubelet]]:
    """A node whose kubelet has one log, and a pod `a` on it."""
    _Kubelet.asked.clear()
    _Kubelet.more.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Kubelet)
    context, _ = certificate.ensure(tmp_path)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    node(space, "n")
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_port}},
    }
    space.call("PATCH", "/api/v1/nodes/n/status", {"status": status}, content=MERGE)
    space.make("pods", pod("a"))
    wait_for("a has a node", lambda: space.get("pods/a")["spec"].get("nodeName"))
    yield _Kubelet
    space.call("DELETE", "/api/v1/nodes")
    _Kubelet.more.set()
    server.shutdown()
    server.server_close()


def test_the_log_comes_from_the_kubelet_with_its_options(
    cluster: Cluster, space: Space, kubelet: type[_Kubelet]
) -> None:
    client = cluster.client()
    assert client.logs("a", space.name, tail_lines=7, limit_bytes=99) == "first\n"
    assert kubelet.asked == [f"/containerLogs/{space.name}/a/c?limitBytes=99&tailLines=7"]


def test_what_the_kubelet_refuses_is_refused(cluster: Cluster, space: Space, kubelet: type[_Kubelet]) -> None:
    client = cluster.client()
    with pytest.raises(Rejected):
        client.logs("a", space.name, previous=True)
    with pytest.raises(Rejected, match="container zz is not valid for pod a"):
        client.logs("a", space.name, container="zz")
    with pytest.raises(NotFound):
        client.logs("b", space.name)


@pytest.mark.skipif(not _KUBECTL.exists(), reason="kubectl is not installed (requirements-dev.txt)")
def test_kubectl_follows_a_log(cluster: Cluster, space: Space, kubelet: type[_Kubelet]) -> None:
    command = [str(_KUBECTL), "--kubeconfig", str(cluster.kubeconfig), "-n", space.name, "logs", "-f", "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "first\n"
        kubelet.more.set()
        assert process.stdout.readline() == "second\n"
        assert process.wait(10) == 0
