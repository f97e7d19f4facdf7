"""Pure: the login of a registry of images, as somebody pastes it. No sentence here quotes it: it holds a password."""

import base64
import json
from typing import Any

#: The Secret that holds it in each namespace; the account of labs names it.
SECRET = "registry"  # noqa: S105  # its name
_KEY = ".dockerconfigjson"
_LONGEST = 50_000


def read(text: str) -> str:
    """The content of a docker config.json, reduced to what a Secret needs of it. Raises ValueError with a sentence."""
    if len(text) > _LONGEST:
        raise ValueError("This is too long for a config.json.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is not JSON. Paste the whole config.json, from the first line to the last.") from None
    logins = found.get("auths") if isinstance(found, dict) else None
    if not isinstance(logins, dict) or not logins:
        # Docker keeps them in a program of the machine (credsStore), unless told otherwise.
        raise ValueError("It has no logins (auths). “podman login --authfile config.json” writes a file with them.")
    return json.dumps({"auths": {host: {"auth": _auth(host, login)} for host, login in sorted(logins.items())}})


def _auth(host: str, login: Any) -> str:
    """Name and password, as the Secret has them."""
    login = login if isinstance(login, dict) else {}
    auth = login.get("auth") or ""
    if not auth and login.get("username") and login.get("password"):
        return base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    try:
        name, _, password = base64.b64decode(str(auth), validate=True).decode().partition(":")
    except ValueError:
        name = password = ""
    if not name or not password:
        raise ValueError(f"Its login for {host[:100]} has no user name and password.")
    return str(auth)


def secret(login: str) -> dict[str, Any]:
    """The object that a kubelet reads it from; namespace and labels are for the caller to add."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {_KEY: base64.b64encode(login.encode()).decode()},
    }
