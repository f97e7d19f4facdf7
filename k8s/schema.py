"""Objects against the published schema of Kubernetes, without a cluster."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
from kubernetes_validate.utils import latest_version, schema_contents

from k8s.kinds import KINDS


def _published(name: str) -> Any:
    """One of the schemas of the newest Kubernetes that the library has, by the name of its file."""
    version = latest_version()
    return schema_contents(f"kubernetes-json-schema/v{version}-local-strict/{name}.json", version)


@cache
def _registry() -> jsonschema_rs.Registry:
    """Every definition, read once for all kinds. kubernetes_validate reads them each time."""
    definitions = _published("_definitions")
    return jsonschema_rs.Registry([(definitions["$id"], definitions)])


@cache
def httproute_spec() -> dict[str, Any]:
    """The schema of an HTTPRoute's specification: Kubernetes' own schemas do not have this kind."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "schemas" / "httproute.json").read_text())["spec"]
    return found


def _strict(node: Any) -> Any:
    """A schema that knows no fields beside its own."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _strict(value) for key, value in node.items() if key != "default"}
    return {**made, "additionalProperties": False} if isinstance(node.get("properties"), dict) else made


def _httproute_schema() -> dict[str, Any]:
    metadata = "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    properties = {"apiVersion": {}, "kind": {}, "metadata": {"$ref": metadata}, "spec": _strict(httproute_spec())}
    return {"type": "object", "required": ["spec"], "additionalProperties": False, "properties": properties}


@cache
def _validator(kind: str, api_version: str) -> jsonschema_rs.Draft202012Validator:
    registry = _registry()
    if kind == "HTTPRoute":
        return jsonschema_rs.Draft202012Validator(_httproute_schema(), registry=registry)
    group, _, number = api_version.rpartition("/")
    short = f"{group.split('.')[0]}-{number}" if group else number
    return jsonschema_rs.Draft202012Validator(_published(f"{kind.lower()}-{short}"), registry=registry)


def check_schema(obj: dict[str, Any]) -> list[str]:
    """What is malformed in an object, as "spec.containers.0.image: 5 is not of type 'string'"; empty when nothing is.

    Strict: a field that Kubernetes does not know is malformed too. A Secret's values are never quoted.
    """
    kind = obj.get("kind", "")
    if kind not in KINDS or obj.get("apiVersion") != KINDS[kind].api_version:
        return [f"{obj.get('apiVersion')} {kind}: not a kind of object that the site uses"]
    problems = []
    for error in _validator(kind, obj["apiVersion"]).iter_errors(obj):
        where = ".".join(str(part) for part in error.instance_path) or "the object"
        problems.append(f"{where}: {'malformed' if kind == 'Secret' else error.message[:200]}")
    return sorted(problems)
