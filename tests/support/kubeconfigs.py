"""Kubeconfig files that the tests' own process may use, named as an operator names them in KUBECONFIG_FILES."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings

from mlsite.env import NamedFile


def named(path: str | Path, *, trusted: bool = False) -> str:
    """The name of this file for a cluster's row; the same for the same file."""
    name = f"test-{hashlib.sha256(f'{path} {trusted}'.encode()).hexdigest()[:12]}"
    settings.KUBECONFIG_FILES[name] = NamedFile(Path(path), trusted)
    return name
