"""From a pod's container to the spec that a shim runs."""

import os
from pathlib import Path
from typing import Any

from .context import Context
from .images import Image
from .spec import ConfigError, environment, expand, references, translator
from .volumes import Mount, Volumes, fetch, texts

Object = dict[str, Any]


async def describe(
    context: Context, pod: Object, container: Object, image: Image, *, volumes: Volumes, ip: str
) -> Object:
    """The shim's spec of a container. Raises ConfigError (a kubelet's words) and ApiError."""
    found = await fetch(context.api, pod["metadata"]["namespace"], references(container))
    own = environment(pod, container, texts(found), ip=ip, node=context.allocatable)
    base = {
        "PATH": image.path,
        "HOME": image.home,
        "LANG": "C.UTF-8",
        "TZ": os.environ.get("TZ", "UTC"),
        "HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"],
    }
    env = base | image.env | own
    command = container.get("command") or list(image.command)
    args = container.get("args") or []
    if not command and not args:
        raise ConfigError("no command specified")
    argv = [expand(word, own) for word in [*command, *args]]
    cwd = container.get("workingDir") or image.workdir
    mounts = _with_home(volumes, container, image)
    if context.namespaces:
        return {
            "argv": argv,
            "env": env,
            "cwd": cwd,
            "namespace": _namespace(context, pod, container, image, volumes, mounts),
        }
    translate = translator({mount.target: str(mount.source) for mount in mounts})
    env["TMPDIR"] = str(_folder(volumes, "tmp"))
    env = {name: value if name == "PATH" else translate(value) for name, value in env.items()}
    env["HOME"] = translate(env["HOME"]) if Path(translate(env["HOME"])).is_dir() else str(_folder(volumes, "root"))
    cwd = translate(cwd)
    return {
        "argv": [translate(word) for word in argv],
        "env": env,
        "cwd": cwd if cwd != "/" and Path(cwd).is_dir() else str(_folder(volumes, "root")),
        "paths": {mount.target: str(mount.source) for mount in mounts},
    }


def _folder(volumes: Volumes, name: str) -> Path:
    # A dot, which no name of a volume may have, keeps these apart.
    folder = volumes.folder / f".{name}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _with_home(volumes: Volumes, container: Object, image: Image) -> list[Mount]:
    """The container's mounts and, where none is there, a writable folder for the image's home and working directory."""
    mounts = volumes.mounts(container)
    taken = {mount.target for mount in mounts}
    extra = dict.fromkeys(path for path in (image.home, image.workdir) if path not in {"/", *taken})
    return mounts + [Mount(_folder(volumes, f"layer{path.replace('/', '-')}"), path) for path in extra]


def _namespace(
    context: Context, pod: Object, container: Object, image: Image, volumes: Volumes, mounts: list[Mount]
) -> Object:
    security = (pod["spec"].get("securityContext") or {}) | (container.get("securityContext") or {})
    listed: list[list[object]] = [[str(mount.source), mount.target, mount.read_only] for mount in mounts]
    taken = {mount.target for mount in mounts}
    if "/tmp" not in taken:  # noqa: S108
        listed.append([str(_folder(volumes, "tmp")), "/tmp", False])  # noqa: S108
    listed += [[None, str(folder), False] for folder in context.hidden if str(folder) not in taken]
    listed += [[str(folder), str(folder), True] for folder in _covered(context, [str(entry[1]) for entry in listed])]
    return {
        "uid": security.get("runAsUser", image.uid),
        "gid": security.get("runAsGroup", image.gid),
        "root": str(_folder(volumes, "newroot")),
        "mounts": listed,
    }


def _covered(context: Context, targets: list[str]) -> list[Path]:
    """Of the folders that pods need, those that one of the mounts would cover."""
    return [
        folder
        for folder in dict.fromkeys(path.resolve() for path in context.images.kept)
        if any(folder.is_relative_to(target) for target in targets)
    ]
