"""The volumes of a pod as folders."""

import base64
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..kubeapi import Api, ApiError, path_of
from .spec import ConfigError, Sources, field_ref

Object = dict[str, Any]
_PATHS = {"secret": "secrets", "configmap": "configmaps"}


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host and where a container sees it."""

    source: Path
    target: str
    read_only: bool = False


async def fetch(api: Api, namespace: str, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, bytes]]:
    """The data of the named secrets and configmaps; what does not exist is left out. Raises ApiError for other failures."""
    found = {}
    for kind, name in wanted:
        try:
            item = await api.call("GET", path_of(_PATHS[kind], namespace, name))
        except ApiError as error:
            if error.code != 404:
                raise
            continue
        plain = {key: value.encode() for key, value in (item.get("data") or {}).items()}
        if kind == "secret":
            plain = {key: base64.b64decode(value) for key, value in plain.items()}
        binary = {key: base64.b64decode(value) for key, value in (item.get("binaryData") or {}).items()}
        found[kind, name] = plain | binary
    return found


def texts(found: Mapping[tuple[str, str], Mapping[str, bytes]]) -> Sources:
    """The same as text, for environments."""
    return {key: {name: value.decode(errors="replace") for name, value in data.items()} for key, data in found.items()}


class Volumes:
    """The folders of one pod's volumes; claims lie under `claims`, all else under `folder`."""

    def __init__(self, api: Api, pod: Object, folder: Path, claims: Path, ip: str) -> None:
        self._api, self._pod, self._ip = api, pod, ip
        self.folder, self._claims = folder, claims
        self._specs: dict[str, Object] = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}

    def path(self, name: str) -> Path:
        """The folder of a volume."""
        volume = self._specs.get(name, {})
        if "persistentVolumeClaim" in volume:
            return self._claims / self._pod["metadata"]["namespace"] / volume["persistentVolumeClaim"]["claimName"]
        return self.folder / name

    def limits(self) -> dict[str, str]:
        """The size limits of the pod's empty folders, by volume name."""
        return {
            name: volume["emptyDir"]["sizeLimit"]
            for name, volume in self._specs.items()
            if (volume.get("emptyDir") or {}).get("sizeLimit")
        }

    async def prepare(self) -> None:
        """Make all folders. Raises ConfigError where something named is missing, ApiError when it cannot be read."""
        for name, volume in self._specs.items():
            folder = self.path(name)
            if "emptyDir" in volume or "persistentVolumeClaim" in volume:
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o777)  # as a runtime does it: any user of the pod may write
            else:
                await self._project(name, volume, folder)

    async def _project(self, name: str, volume: Object, folder: Path) -> None:
        if "secret" in volume:
            source = {"secret": {**volume["secret"], "name": volume["secret"]["secretName"]}}
        elif "projected" in volume or "configMap" in volume or "downwardAPI" in volume:
            source = volume
        else:
            kind = next((key for key in volume if key != "name"), "?")
            raise ConfigError(
                f'MountVolume.SetUp failed for volume "{name}" : volumes of type {kind} are not supported here'
            )
        default = next(iter(source[key] for key in source if key != "name")).get("defaultMode", 0o644)
        sources = volume["projected"].get("sources") or [] if "projected" in volume else [source]
        try:
            files: dict[str, tuple[bytes, int]] = {}
            for one in sources:
                files |= await self._files(one, default)
        except ConfigError as error:
            raise ConfigError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
        folder.mkdir(parents=True, exist_ok=True)
        for path, (data, mode) in files.items():
            _write(folder, path, data, mode)

    async def _files(self, source: Object, default: int) -> dict[str, tuple[bytes, int]]:
        for kind, key in (("secret", "secret"), ("configmap", "configMap")):
            if key in source:
                return await self._data(kind, source[key], default)
        if "downwardAPI" in source:
            return {
                item["path"]: (
                    field_ref(self._pod, item["fieldRef"]["fieldPath"], self._ip).encode(),
                    item.get("mode", default),
                )
                for item in source["downwardAPI"].get("items") or []
                if "fieldRef" in item
            }
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: (await self._token(source["serviceAccountToken"]), default)}
        return {}

    async def _data(self, kind: str, source: Object, default: int) -> dict[str, tuple[bytes, int]]:
        namespace = self._pod["metadata"]["namespace"]
        found = await fetch(self._api, namespace, {(kind, source["name"])})
        data = found.get((kind, source["name"]))
        if data is None:
            if source.get("optional"):
                return {}
            raise ConfigError(f'{kind} "{source["name"]}" not found')
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        absent = [item["key"] for item in items if item["key"] not in data]
        if absent and not source.get("optional"):
            raise ConfigError(f"references non-existent {kind} key: {absent[0]}")
        return {item["path"]: (data[item["key"]], item.get("mode", default)) for item in items if item["key"] in data}

    async def _token(self, source: Object) -> bytes:
        meta, spec = self._pod["metadata"], self._pod["spec"]
        audiences = [source["audience"]] if source.get("audience") else None
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": audiences,
                "expirationSeconds": max(24 * 3600, source.get("expirationSeconds", 3600)),
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
            },
        }
        account = spec.get("serviceAccountName") or "default"
        answer = await self._api.call("POST", path_of("serviceaccounts", meta["namespace"], account, "token"), body)
        return str(answer["status"]["token"]).encode()

    def mounts(self, container: Object) -> list[Mount]:
        """What a container sees, in the order of its spec."""
        found = []
        for mount in container.get("volumeMounts") or []:
            source = self.path(mount["name"])
            if mount.get("subPath"):
                source = source / mount["subPath"]
                if source.resolve().is_relative_to(self.path(mount["name"]).resolve()) and not source.exists():
                    source.mkdir(parents=True)
            kinds = self._specs.get(mount["name"], {})
            fixed = any(kind in kinds for kind in ("secret", "configMap", "projected", "downwardAPI"))
            found.append(Mount(source, mount["mountPath"].rstrip("/") or "/", bool(mount.get("readOnly")) or fixed))
        return found

    def remove(self) -> None:
        """Delete all but the claims."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(folder: Path, path: str, data: bytes, mode: int) -> None:
    target = folder / path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"invalid path: {path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.new")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    scratch.write_bytes(data)
    scratch.chmod(mode)
    scratch.replace(target)
