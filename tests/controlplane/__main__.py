"""The control plane from a shell.

python -m tests.controlplane build                    the four programs, the plugin for network policies and an ingress controller,
                                                      into the cache (12 minutes on 2 cores, once)
python -m tests.controlplane start [--dir DIR]        prints the path of an administrator's kubeconfig when it is ready
python -m tests.controlplane stop [--dir DIR] [--wipe]  ends what was started there; --wipe forgets the cluster too
"""

import argparse
import sys
from pathlib import Path

from tests.controlplane import programs
from tests.support.controlplane import ControlPlane


def main() -> int:
    """What the command line says; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.controlplane", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["build", "start", "stop"])
    parser.add_argument("--dir", type=Path, default=Path(".run/controlplane"), help="where its state is kept")
    parser.add_argument("--wipe", action="store_true")
    options = parser.parse_args()
    try:
        if options.verb == "stop":
            plane = ControlPlane(options.dir)
            if options.wipe:
                plane.wipe()
            else:
                plane.stop()
            return 0
        print(f"Kubernetes {programs.version()}: {programs.build()}")
        if options.verb == "build":
            _build_more()
        if options.verb == "start":
            print(ControlPlane.start(options.dir).kubeconfig)
    except programs.NotBuilt as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return 0


def _build_more() -> None:
    """Without these some tests are skipped, and say so: no reason to do without all the others."""
    for more in programs.MORE:
        try:
            print(f"{', '.join(more.packages)} {more.version()}: {more.build()}")
        except programs.NotBuilt as problem:
            sys.stderr.write(f"{problem}\n")


if __name__ == "__main__":
    sys.exit(main())
