"""What a JupyterLab is told at its start. Names checked against jupyter_server 2.21 and jupyterlab 4.6."""

from typing import Any
from urllib.parse import quote

from argon2 import PasswordHasher

#: The cost that jupyter_server's own `passwd` takes (jupyter_server/auth/security.py).
_HASHER = PasswordHasher(time_cost=10, memory_cost=10240, parallelism=8)


def hash_password(password: str) -> str:
    """The password as jupyter_server stores it: "argon2:$argon2id$...". Takes some tens of milliseconds."""
    return f"argon2:{_HASHER.hash(password)}"


def lab_config(password_hash: str, token: str, host: str, opens: str = "") -> dict[str, Any]:
    """The content of jupyter_server_config.json.

    `password_hash`: from hash_password, or "". `token`: the sign-in page takes it in place of a password, or "". One of
    the two must be given: without either, Jupyter would let anybody in. A configured token is never printed by Jupyter
    (it shows "..." instead); a token of its own making would be. `host`: the lab's host name.
    `opens`: the folder or file in the home folder that it shows first; "": as it was left.
    Raises ValueError.
    """
    if not password_hash and not token:
        raise ValueError("a lab needs a password or a token")
    return {
        "IdentityProvider": {"token": token, "cookie_options": {"samesite": "Lax", "httponly": True}},
        "PasswordIdentityProvider": {"hashed_password": password_hash, "allow_password_change": False},
        "ServerApp": {
            # The probe comes with the pod's address as its host, so the host cannot be checked.
            "allow_remote_access": True,
            "local_hostnames": ["localhost", host],
            "open_browser": False,
            "port_retries": 0,
            # Behind the ingress: believe its word on https, so that the cookie is marked as secure.
            "trust_xheaders": True,
            "terminals_enabled": True,
            # Shut Down in the File menu ends the process with 0, the pod is over, and its resources are free.
            "quit_button": True,
        },
        # The trash would fill the small home directory, and nobody could empty it.
        "FileContentsManager": {"delete_to_trash": False},
        "LabApp": {
            "extension_manager": "readonly",
            "news_url": None,
            "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            **({"default_url": f"/lab/tree/{quote(opens)}"} if opens else {}),
        },
    }
