"""The command line of the embedded cluster.

python -m k8s.devcluster up          API server, kubelet and ingress in one process
python -m k8s.devcluster apiserver   the API server alone
python -m k8s.devcluster kubelet     a node of any cluster (--kubeconfig)
python -m k8s.devcluster ingress     a reverse proxy for any cluster (--kubeconfig)
"""

import argparse
import asyncio
import contextlib
import importlib
import logging
import signal
import sys
from pathlib import Path

_PARTS = {
    "apiserver": "k8s.devcluster.apiserver.server",
    "kubelet": "k8s.devcluster.kubelet",
    "ingress": "k8s.devcluster.ingress",
}


def _capacity(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    if not all(name and value for name, _, value in pairs):
        raise argparse.ArgumentTypeError("cpu=8,memory=32Gi,nvidia.com/gpu=2")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _labels(text: str) -> dict[str, str]:
    return {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in text.split(",") if part)}


def _options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m k8s.devcluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["up", *_PARTS])
    parser.add_argument("--dir", type=Path, default=Path(".run/devcluster"), help="folder for the state")
    parser.add_argument("--kubeconfig", type=Path, help="kubeconfig of the cluster to join; default: the one in --dir")
    parser.add_argument(
        "--port", type=int, default=0, help="port of the API server; 0: the last one used, or a free one"
    )
    parser.add_argument(
        "--ingress-port", type=int, default=0, help="port of the ingress; 0: the last one used, or a free one"
    )
    parser.add_argument("--node-name", default="laptop")
    parser.add_argument(
        "--capacity", type=_capacity, help="resources of the node, such as cpu=8,memory=32Gi,nvidia.com/gpu=2"
    )
    parser.add_argument("--labels", type=_labels, help="labels of the node, such as gpu=a100,zone=b")
    parser.add_argument("--pod-network", help="network of the pod addresses, such as 198.18.0.0/15 on the interface lo")
    parser.add_argument("--hollow", action="store_true", help="pods become ready without running processes")
    parser.add_argument("--hollow-delay", type=float, help="seconds until pods become ready")
    parser.add_argument("--backoff", type=float, help="seconds before the first restart of a container")
    parser.add_argument("--images-dir", type=Path, default=Path(".run/images"), help="folder for building local images")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args(arguments)
    options.kubeconfig = options.kubeconfig or options.dir / "kubeconfig"
    return options


async def _part(part: str, options: argparse.Namespace) -> int:
    """One part, until it ends; the answer is the exit code that it asks for."""
    try:
        await importlib.import_module(_PARTS[part]).run(options)
    except SystemExit as stop:  # left alone, it would tear the loop down with the other parts still in it
        return int(stop.code or 0)
    return 0


async def _run(options: argparse.Namespace) -> int:
    parts = list(_PARTS) if options.part == "up" else [options.part]
    options.started = asyncio.Event()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, over.set)
    waiting = [asyncio.create_task(over.wait())]
    tasks: list[asyncio.Task[int]] = []
    try:
        for part in parts:
            tasks.append(asyncio.create_task(_part(part, options), name=part))
            if part == "apiserver":  # the others read the address that it writes
                started = asyncio.create_task(options.started.wait())
                await asyncio.wait([*tasks, *waiting, started], return_when=asyncio.FIRST_COMPLETED)
                started.cancel()
                if tasks[0].done():
                    break
        await asyncio.wait([*tasks, *waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = [task for task in tasks if task.done()]
        # Clients before the server, so that they can still say goodbye.
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        waiting[0].cancel()
    return max((task.result() for task in done), default=0)


def main() -> None:
    """Run the parts that the command line names until SIGTERM or SIGINT."""
    options = _options()
    level = logging.DEBUG if options.verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    sys.exit(asyncio.run(_run(options)))


if __name__ == "__main__":
    main()
