"""Probes of containers: HTTP, TCP and commands."""

import asyncio
import json
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .process import Process, shim
from .spec import translator

Object = dict[str, Any]


@dataclass
class Target:
    """What is probed: a running container at an address."""

    process: Process
    spec: Object
    ip: str


async def watch(probe: Object, target: Target, report: Callable[[bool | None, str], Awaitable[bool]]) -> None:
    """Probe for ever: at once (after initialDelaySeconds), then every periodSeconds.

    `report` is awaited with each verdict and the failure's text: True after successThreshold successes in a row, False
    after failureThreshold failures in a row, None for a failure below that. Returns when `report` returns True.
    """
    await asyncio.sleep(probe.get("initialDelaySeconds") or 0)
    good = bad = 0
    while True:
        text = await check(probe, target)
        good, bad = (0, bad + 1) if text else (good + 1, 0)
        verdict = True if not text else None if bad < (probe.get("failureThreshold") or 3) else False
        if (text or good >= (probe.get("successThreshold") or 1)) and await report(verdict, text):
            return
        await asyncio.sleep(probe.get("periodSeconds") or 10)


async def check(probe: Object, target: Target) -> str:
    """Nothing when the probe succeeds; why it does not, in a kubelet's words."""
    timeout = float(probe.get("timeoutSeconds") or 1)
    if "httpGet" in probe:
        return await _http(probe["httpGet"], target, timeout)
    if "tcpSocket" in probe:
        return await _tcp(probe["tcpSocket"], target, timeout)
    if "exec" in probe:
        return await _exec(probe["exec"]["command"], target, timeout)
    return "unsupported probe"


def _port(port: int | str, spec: Object) -> int:
    if isinstance(port, int):
        return port
    ports = {entry.get("name"): entry["containerPort"] for entry in spec.get("ports") or []}
    return int(ports.get(port, port))


async def _http(action: Object, target: Target, timeout: float) -> str:
    scheme = (action.get("scheme") or "HTTP").lower()
    host, port = action.get("host") or target.ip, _port(action["port"], target.spec)
    path = "/" + (action.get("path") or "/").lstrip("/")
    url = f"{scheme}://{host}:{port}{path}"
    headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/devcluster", "Accept": "*/*", "Connection": "close"}
    headers |= {entry["name"]: entry["value"] for entry in action.get("httpHeaders") or []}
    request = "\r\n".join([f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    try:
        async with asyncio.timeout(timeout):
            code = await _get(host, port, request.encode(), tls=scheme == "https")
    except TimeoutError:
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    except ConnectionRefusedError:
        return f'Get "{url}": dial tcp {host}:{port}: connect: connection refused'
    except (OSError, ValueError) as error:
        return f'Get "{url}": {error or "EOF"}'
    return "" if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"


async def _get(host: str, port: int, request: bytes, *, tls: bool) -> int:
    """The status code of a request. By hand, because a hundred labs are probed every other second."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        writer.write(request)
        line = await reader.readline()
        await reader.read(10240)
        return int(line.split(b" ", 2)[1]) if line.startswith(b"HTTP/") else 0
    finally:
        writer.close()


async def _tcp(action: Object, target: Target, timeout: float) -> str:
    host, port = action.get("host") or target.ip, _port(action["port"], target.spec)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), timeout)
    except TimeoutError:
        return f"dial tcp {host}:{port}: i/o timeout"
    except OSError:
        return f"dial tcp {host}:{port}: connect: connection refused"
    writer.close()
    return ""


async def _exec(command: list[str], target: Target, timeout: float) -> str:
    state = target.process.started
    spec = json.loads((target.process.folder / "spec.json").read_text())
    translate = translator(spec.get("paths", {}))
    env = {"SHIM_ARGV": json.dumps([translate(word) for word in command])}
    child = await asyncio.create_subprocess_exec(
        *shim("exec", str(state["pid"]) if state else "0", str(target.process.folder)),
        env=env,
        cwd="/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), timeout)
    except TimeoutError:
        return f'command timed out: "{" ".join(command)}" timed out after {timeout:.0f}s'
    finally:
        if child.returncode is None:
            os.killpg(child.pid, 9)
            await child.wait()
    return (
        ""
        if child.returncode == 0
        else output[-1024:].decode(errors="replace").strip() or f"exit code {child.returncode}"
    )
