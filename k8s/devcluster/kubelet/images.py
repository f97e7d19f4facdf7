"""Which local programs stand in for which image."""

import fnmatch
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).resolve().parents[1] / "images" / "images.json"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """The local equivalent of an image: where its programs are and what its own configuration says."""

    name: str
    path: str
    env: dict[str, str] = field(default_factory=dict)
    home: str = "/root"
    workdir: str = "/"
    command: tuple[str, ...] = ()
    uid: int = 0
    gid: int = 0


class Images:
    """The table of images.json with its places filled in; `images_dir` holds the virtual environments."""

    def __init__(self, images_dir: Path) -> None:
        self.folder = images_dir.absolute()
        text = _TABLE.read_text()
        for key, value in (("images", self.folder), ("here", _TABLE.parent), ("python", Path(sys.executable).parent)):
            text = text.replace("{%s}" % key, str(value))  # noqa: UP031
        self._table: dict[str, dict[str, Any]] = json.loads(text)

    @property
    def kept(self) -> list[Path]:
        """Folders of the host that pods need to see, wherever they lie."""
        found = [self.folder, _TABLE.parent, Path(sys.prefix)]
        for python in (Path(sys.executable), *self.folder.glob("*/bin/python")):
            found += _behind(python)
        return [folder for folder in dict.fromkeys(found) if folder.is_dir()]

    def find(self, name: str) -> Image | None:
        """The local equivalent of an image; None where there is none on this machine."""
        for pattern, entry in self._table.items():
            if fnmatch.fnmatch(name, pattern):
                if "requires" in entry and not shutil.which(entry["requires"]):
                    return None
                return Image(
                    name=name,
                    path=":".join([*entry.get("path", []), _SYSTEM_PATH]),
                    env=entry.get("env", {}),
                    home=entry.get("home", "/root"),
                    workdir=entry.get("workdir", "/"),
                    command=tuple(entry.get("command", [])),
                    uid=entry.get("uid", 0),
                    gid=entry.get("gid", 0),
                )
        return None


def _behind(python: Path) -> list[Path]:
    """The folders of the installations that a virtual environment's interpreter leads to, link by link."""
    found = []
    for _ in range(10):
        if len(python.parents) > 2 and not (python.parents[1] / "pyvenv.cfg").exists():
            # The folder above, because installations can have links beside them that lead to them.
            found.append(python.parents[2])
        if not python.is_symlink():
            break
        python = Path(os.path.normpath(python.parent / python.readlink()))
    return found


def missing(name: str) -> str:
    """What a container runtime says of an image that its registry does not have."""
    name = name if ":" in name or "@" in name else f"{name}:latest"
    return (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{name}": '
        f'failed to resolve reference "{name}": {name}: not found'
    )
