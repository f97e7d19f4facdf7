"""Pure: a service template and its context in, Kubernetes objects out.

Templates are json-e (https://json-e.js.org): JSON that stays JSON, so that no value can ever change the structure.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsone

SERVICES = Path(__file__).parent / "services"


class ManifestError(Exception):
    """A template cannot be rendered; the message says which and where."""


def render(template: dict[str, Any], context: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a service template, in the template's order. Nothing is added to what it says.

    Raises ManifestError.
    """
    title = f"{template.get('slug', 'template')} version {template.get('version', '?')}"
    try:
        objects = jsone.render(template["objects"], context)
    except KeyError:
        raise ManifestError(f"{title}: has no objects") from None
    except jsone.JSONTemplateError as problem:
        raise ManifestError(f"{title}: {problem}") from None
    if not isinstance(objects, list):
        raise ManifestError(f"{title}: objects must be a list")
    for number, obj in enumerate(objects):
        if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
            raise ManifestError(f"{title}: objects[{number}] has no kind or no apiVersion")
        if not isinstance(obj.get("metadata"), dict) or not obj["metadata"].get("name"):
            raise ManifestError(f"{title}: objects[{number}] ({obj['kind']}) has no name")
    return objects


def owned(objects: Iterable[dict[str, Any]], owner: dict[str, Any], uid: str) -> Iterator[dict[str, Any]]:
    """The objects, as owned by another: they go when it goes (https://kubernetes.io/docs/concepts/architecture/garbage-collection/)."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": uid,
    }
    for obj in objects:
        yield {**obj, "metadata": {**obj["metadata"], "ownerReferences": [reference]}}


def digest(obj: Any) -> str:
    """The same for two objects exactly when they say the same, whatever the order of their keys."""
    canonical = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def _builtin_text(slug: str) -> str:
    return (SERVICES / f"{slug}.json").read_text(encoding="utf-8")


def builtin(slug: str) -> dict[str, Any]:
    """A service template that comes with the site, such as "jupyterlab". Raises FileNotFoundError."""
    loaded: dict[str, Any] = json.loads(_builtin_text(slug))
    return loaded


def builtins() -> list[dict[str, Any]]:
    """All service templates that come with the site."""
    return [builtin(file.stem) for file in sorted(SERVICES.glob("*.json"))]
