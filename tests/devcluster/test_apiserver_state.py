"""What survives a restart, and how the program starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.devcluster import DevCluster

from .apiserver_support import ROOT, Space, config_map, owner

pytestmark = pytest.mark.slow


def test_acknowledged_writes_survive_a_kill(tmp_path: Path) -> None:
    with DevCluster.start(tmp_path) as cluster:
        space = Space(cluster, "default")
        made = [space.make("configmaps", config_map(f"c{number}")) for number in range(50)]
        space.call("DELETE", "configmaps/c0")
        before = int(space.get("configmaps")["metadata"]["resourceVersion"])
        url, token = cluster.api_url, cluster.token
        cluster.kill()
        cluster.restart()
        assert (cluster.api_url, cluster.token) == (url, token)
        after = space.get("configmaps")
        assert [one["metadata"]["uid"] for one in after["items"] if one["metadata"]["name"] != ROOT] == [
            one["metadata"]["uid"] for one in sorted(made[1:], key=lambda one: one["metadata"]["name"])
        ]
        assert int(after["metadata"]["resourceVersion"]) >= before
        assert int(space.make("configmaps", config_map("new"))["metadata"]["resourceVersion"]) > before


def test_a_torn_line_at_the_end_is_forgotten(tmp_path: Path) -> None:
    with DevCluster.start(tmp_path) as cluster:
        space = Space(cluster, "default")
        space.make("configmaps", config_map("a"))
        cluster.kill()
        with (tmp_path / "journal.jsonl").open("ab") as file:
            file.write(b'{"rv":999,"key":["configm')
        cluster.restart()
        assert not space.gone("configmaps/a")


def test_a_watch_from_before_the_restart_is_told_to_list_again(tmp_path: Path) -> None:
    with DevCluster.start(tmp_path) as cluster:
        space = Space(cluster, "default")
        version = space.get("configmaps")["metadata"]["resourceVersion"]
        space.make("configmaps", config_map("a"))
        cluster.restart()
        answer = space.call("GET", f"configmaps?watch=true&timeoutSeconds=1&resourceVersion={version}")
        assert answer.body["object"]["code"] == 410


def test_owned_objects_go_after_a_restart_too(tmp_path: Path) -> None:
    with DevCluster.start(tmp_path) as cluster:
        space = Space(cluster, "default")
        top = space.make("secrets", {"metadata": {"name": "top"}})
        space.make("configmaps", config_map("a", ownerReferences=[owner(top)]))
        cluster.kill()
        cluster.restart()
        client = cluster.client()
        assert client.delete("Secret", "top", "default")
        assert not client.delete("Secret", "top", "default")
        assert not [one for one in client.list("ConfigMap", "default").items if one["metadata"]["name"] == "a"]


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with DevCluster.start(tmp_path / "one") as cluster:
        port = cluster.api_url.rpartition(":")[2]
        command = [sys.executable, "-m", "k8s.devcluster", "apiserver", "--dir", str(tmp_path / "two"), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 2
        assert done.stderr == f"apiserver: port {port} on 127.0.0.1 is in use by another program\n"
