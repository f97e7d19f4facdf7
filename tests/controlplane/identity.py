"""What a control plane keeps between starts: ports, keys, tokens, kubeconfigs. Made once, so that a restart finds its cluster."""

import base64
import json
import os
import random
import secrets
import socket
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from k8s.devcluster.apiserver import certificate

_PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
#: User name and group of each kubeconfig. The embedded cluster's kubelet and ingress come in as "kubelet".
_USERS = {
    "admin": ("admin", "system:masters"),
    "kubelet": ("kubelet", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
}
#: What people and the site call; not the control plane's talk with itself, which is most of it.
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {
            "level": "None",
            "users": ["kubelet", "system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"],
        },
        {"level": "Metadata"},
    ],
}


class Identity:
    """Of the control plane whose state lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        pki = folder / "pki"
        self._folder = folder
        #: Key and certificate of the API server, which is its own authority.
        self.certificate = pki / "tls.pem"
        #: The certificate alone, for those who must trust it.
        self.authority = pki / "ca.crt"
        #: The key by which tokens of service accounts are signed.
        self.account_key = pki / "service-accounts.key"
        self.tokens = pki / "tokens.csv"
        self.audit_policy = pki / "audit.json"
        ports = folder / "ports.json"
        if not ports.exists():
            pki.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / "log").mkdir(exist_ok=True)
            self.ports = _free_ports()
            self._make(pki)
            ports.write_text(json.dumps(self.ports))  # last: a half-made identity is made anew
        self.ports: dict[str, int] = json.loads(ports.read_text())

    def url(self, name: str) -> str:
        """Where a program listens; https for the API server."""
        scheme = "https" if name == "kube-apiserver" else "http"
        return f"{scheme}://127.0.0.1:{self.ports[name]}"

    def kubeconfig(self, user: str) -> Path:
        """The file by which a user finds the cluster: "admin", "kubelet" or one made by `add_user`."""
        return self._folder / f"{user}.kubeconfig"

    def add_user(self, user: str, token: str) -> Path:
        """Write the kubeconfig of a bearer token, complete in itself."""
        data = base64.b64encode(self.authority.read_bytes()).decode()
        cluster = {"server": self.url("kube-apiserver"), "certificate-authority-data": data}
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "controlplane",
            "clusters": [{"name": "controlplane", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "controlplane", "context": {"cluster": "controlplane", "user": user}}],
        }
        path = self.kubeconfig(user)
        _write_private(path, json.dumps(config))
        return path

    def _make(self, pki: Path) -> None:
        _, authority = certificate.ensure(pki)
        self.authority.write_text(authority)
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        _write_private(self.account_key, key.decode())
        self.audit_policy.write_text(json.dumps(_AUDIT))
        lines = []
        for name, (user, group) in _USERS.items():
            token = secrets.token_urlsafe(24)
            lines.append(f'{token},{user},{user},"{group}"\n')
            self.add_user(name, token)
        _write_private(self.tokens, "".join(lines))


def _free_ports() -> dict[str, int]:
    """One for each. Below those that the system lends to outgoing calls, or a restart could find its port taken."""
    found: list[int] = []
    while len(found) < len(_PORTS):
        port = random.randrange(20_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if port not in found:
            found.append(port)
    return dict(zip(_PORTS, found, strict=True))


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
