"""A real JupyterLab in a pod, reached through the ingress."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from k8s.devcluster.kubeapi import path_of
from tests.devcluster.kubelet_cluster import IMAGES, Cluster, Program, api_server, ready, until

JUPYTER = IMAGES / "jupyterlab" / "bin" / "python"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not JUPYTER.exists(), reason="the environment of the Jupyter image is not installed (make run does it)"
    ),
]
PASSWORD = "open sesame"


def _lab(cluster: Cluster, node: str, name: str) -> None:
    program = f"from jupyter_server.auth import passwd; print(passwd({PASSWORD!r}))"
    hashed = subprocess.run([JUPYTER, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    config = {"PasswordIdentityProvider": {"hashed_password": hashed}, "ServerApp": {"allow_remote_access": True}}
    cluster.secret(name, **{"jupyter_server_config.json": json.dumps(config)})
    mounts = {"home": "/home/jovyan", "data": "/data", "shm": "/dev/shm", "config": "/etc/lab"}
    arguments = [
        "--config=/etc/lab/jupyter_server_config.json",
        "--ServerApp.ip=$(POD_IP)",
        "--ServerApp.port=8888",
        "--ServerApp.root_dir=/home/jovyan",
    ]
    env = [
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "HOME", "value": "/home/jovyan"},
    ]
    container = {
        "name": "lab",
        "image": "jupyter/scipy-notebook:2023-10-20",
        "command": ["jupyter", "lab"],
        "args": arguments,
        "env": env,
        "ports": [{"name": "http", "containerPort": 8888}],
        "readinessProbe": {"httpGet": {"path": "/api", "port": 8888}, "periodSeconds": 2},
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in mounts.items()],
    }
    volumes = [
        {"name": "home", "emptyDir": {}},
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
        {"name": "config", "secret": {"secretName": name, "defaultMode": 0o440}},
    ]
    cluster.pod(
        node, container, name=name, restartPolicy="OnFailure", terminationGracePeriodSeconds=10, volumes=volumes
    )
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    cluster.create("services", {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}})
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    rule = {"host": f"{name}.localhost", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    cluster.create("networking.k8s.io/v1/ingresses", {"metadata": {"name": name}, "spec": {"rules": [rule]}})


@pytest.fixture(scope="module", params=["translated", "namespaces"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("lab")
    server = api_server(tmp_path_factory.mktemp("apiserver"))
    kubeconfig: Path = next(server)
    cluster = Cluster(kubeconfig)
    node, name = f"node-{cluster.namespace}", f"{cluster.namespace}-lab"
    common = {
        "kubeconfig": kubeconfig,
        "dir": folder,
        "images_dir": IMAGES,
        "hollow": False,
        "capacity": None,
        "node_name": node,
    }
    kubelet = Program("kubelet", **common, namespaces=None if request.param == "namespaces" else False)
    proxy = Program("ingress", **common, ingress_port=0)
    _lab(cluster, node, name)
    cluster.pod_when(name, ready, "lab ready", seconds=60)
    port = (folder / "ingress-port").read_text()
    yield SimpleNamespace(base=f"http://127.0.0.1:{port}", host=f"{name}.localhost:{port}", cluster=cluster, name=name)
    cluster.delete("pods", name)
    until(lambda: cluster.get("pods", name) is None, "lab gone", seconds=15)
    kubelet.stop()
    proxy.stop()
    cluster.call("DELETE", path_of("nodes", None, node))
    server.close()


async def _login(session: aiohttp.ClientSession, base: str, password: str) -> tuple[int, str]:
    async with session.get(f"{base}/login") as answer:
        found = re.search(r'name="_xsrf" value="([^"]+)"', await answer.text())
    assert found
    form = {"password": password, "_xsrf": found[1]}
    async with session.post(f"{base}/login", data=form, allow_redirects=False) as answer:
        return answer.status, found[1]


async def _execute(session: aiohttp.ClientSession, base: str, kernel: str, code: str) -> str:
    header = {
        "msg_id": "1",
        "username": "",
        "session": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "version": "5.3",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    message = {"header": {**header, "date": ""}, "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": []}
    async with session.ws_connect(f"{base}/api/kernels/{kernel}/channels") as socket:
        await socket.send_json({**message, "content": content})
        while True:
            answer = await socket.receive_json(timeout=30)
            if answer["msg_type"] in ("stream", "error"):
                return str(answer["content"].get("text", answer["content"]))


def test_the_password_opens_the_lab_and_a_kernel_computes(lab: Any) -> None:
    async def work() -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(headers={"Host": lab.host}, cookie_jar=jar) as session:
            assert (await _login(session, lab.base, PASSWORD))[0] == 302
            token = next(cookie.value for cookie in jar if cookie.key == "_xsrf")
            async with session.post(f"{lab.base}/api/kernels", json={}, headers={"X-XSRFToken": token}) as answer:
                assert answer.status == 201, await answer.text()
                kernel = (await answer.json())["id"]
            code = "import os; print(6 * 7, os.path.samefile('.', os.environ['HOME']))"
            assert await _execute(session, lab.base, kernel, code) == "42 True\n"

    asyncio.run(work())


def test_a_wrong_password_does_not_open_the_lab(lab: Any) -> None:
    async def work() -> None:
        async with aiohttp.ClientSession(
            headers={"Host": lab.host}, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as session:
            assert (await _login(session, lab.base, "wrong"))[0] == 401
            async with session.get(f"{lab.base}/api/contents") as answer:
                assert answer.status == 403

    asyncio.run(work())


def test_the_log_can_be_read_and_holds_no_password(lab: Any) -> None:
    log = lab.cluster.log(lab.name)
    assert "Jupyter Server" in log
    assert PASSWORD not in log
